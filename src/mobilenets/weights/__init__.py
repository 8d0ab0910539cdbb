"""Weights that others published, or we trained, as our networks."""
