"""Whose names a file's tensors have, and what those say of the network."""
