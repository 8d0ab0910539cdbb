"""Data sets that people have, and one that is built in."""
