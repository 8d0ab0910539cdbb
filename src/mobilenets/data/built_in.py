"""The word that opens the built-in data set, known without what draws its pictures."""

from pathlib import Path

BUILT_IN = "shapes"
"""The word that opens the built-in data set where no such file or folder exists."""


def is_built_in(path: str | Path) -> bool:
    """Whether `path` is the word `shapes` and no file or folder of that name exists."""
    return str(path) == BUILT_IN and not Path(path).exists()
