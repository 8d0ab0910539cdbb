"""Embeddings: an image becomes a vector of unit length, alike images become near ones."""
