"""The commands about the classes that a model knows."""
