"""What a model file is, said without running it: `mobilenets info`, and `info` of an open model."""

from mobilenets.about.info import Info

__all__ = ["Info"]
