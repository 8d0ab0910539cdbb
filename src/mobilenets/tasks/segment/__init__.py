"""A class for every pixel: DeepLabv3."""
