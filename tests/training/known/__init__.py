"""What a network tells of images that are none of its classes, and classes learned at once."""
