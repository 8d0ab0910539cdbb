"""Torch modules of the bodies, built from the tables in `models.geometry`."""
