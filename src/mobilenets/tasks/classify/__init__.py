"""One label for an image."""
