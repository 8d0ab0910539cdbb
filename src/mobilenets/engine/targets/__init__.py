"""Processors that code is made for: what a target is, and a file for each family of them."""
