"""Speed, memory and agreement: this engine beside the runtimes that people use."""
