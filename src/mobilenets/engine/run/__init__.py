"""What runs a compiled network: cache, loader, threads, the session."""
