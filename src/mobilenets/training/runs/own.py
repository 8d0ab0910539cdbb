"""Data sets that people made themselves, as training takes them."""

from __future__ import annotations

import os
from typing import Any

from mobilenets.data.dataset import Dataset, whole

NEEDED = ("classes", "__len__", "image", "target")


class OwnParts:
    """The training and the validation images of a person's own."""

    def __init__(self, train: Dataset, val: Dataset) -> None:
        self.parts = {"train": train, "val": val}
        self._kind = type(getattr(train, "given", train)).__name__

    def __str__(self) -> str:
        return f"<{self._kind}>"


def pair(data: Any, val: Any) -> str | OwnParts:
    """What `train` is given: a path or a name, or two data sets.

    ValueError for one that lacks something, has no images or whose parts' classes differ.
    """
    if isinstance(data, (str, os.PathLike)):
        if val is not None:
            raise ValueError("val is for a data set of one's own; data on disk has its own parts")
        return os.fspath(data)
    if val is None:
        raise ValueError(
            f"val must be a data set too, where data is one of one's own ({type(data).__name__})"
        )
    for name, one in (("data", data), ("val", val)):
        for part in NEEDED:
            if not hasattr(one, part):
                raise ValueError(
                    f"{name} must be a path, or a data set with classes, a length, image(i) and "
                    f"target(i); {type(one).__name__} has no {part.replace('__len__', 'length')}"
                )
        if not len(one):
            raise ValueError(f"{name} must have one image at least, {type(one).__name__} has none")
    if tuple(data.classes) != tuple(val.classes):
        raise ValueError(
            f"val must have the classes of data, {tuple(data.classes)!r:.80}, "
            f"got {tuple(val.classes)!r:.80}"
        )
    return OwnParts(whole(data), whole(val))


def own_name(data: str) -> str:
    """The kind of a data set of one's own by what a run's arguments say of it; '' for others."""
    return data[1:-1] if data.startswith("<") and data.endswith(">") else ""
