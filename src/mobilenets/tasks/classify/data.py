"""Images in a class each."""

from pathlib import Path
from typing import cast

from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import Split, has_validation, open_classification


def open_data(path: str | Path, split: str, *, seed: int = 0) -> Dataset:
    """Folders of classes, a CSV list, or `shapes`."""
    if split == "eval":
        split = "val" if has_validation(path) else "all"
    return open_classification(path, cast(Split, split), seed=seed)
