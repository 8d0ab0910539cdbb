"""Vectors of a folder's images in a file: made, kept up to date, searched, and told apart."""
