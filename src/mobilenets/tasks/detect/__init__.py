"""Boxes around objects: SSD and SSDLite."""
