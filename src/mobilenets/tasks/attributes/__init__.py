"""Several labels for an image: what a thing in it is like, or all that it shows."""
