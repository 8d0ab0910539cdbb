"""Images in a class each."""

from pathlib import Path
from typing import cast

from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import open_classification
from mobilenets.data.splits import Split


def open_data(path: str | Path, split: str, *, seed: int = 0) -> Dataset:
    """Folders of classes, a CSV list, or `shapes`."""
    return open_classification(path, cast(Split, split), seed=seed)
