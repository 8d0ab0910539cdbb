"""The folder of a run: what it is called, and what a run keeps there to go on by itself."""
