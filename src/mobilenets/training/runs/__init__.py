"""A run as its folder: what it is called, and what is kept there so that it can go on."""

NAME = "state.pt"
"""The file that a run goes on from."""
