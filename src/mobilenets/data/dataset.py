"""What every data set offers to training and evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from mobilenets.data.problems import Problem

if TYPE_CHECKING:
    from PIL import Image


class Dataset(Protocol):
    """Pictures with what is known of them, by index from 0.

    Reading item i twice gives the same; threads and processes may read at once. Optional, for
    large sets: `source(i)`, the file's path or bytes that stand for the picture, and
    `labels_digest()`, a short text that differs where what is known of the pictures does
    (`contents`); `origin`, which of the data's pictures these are, in words; and `kept`, what a
    network that is trained on it has to keep in its card (`ModelCard.kept`).
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; a class is its place here."""
        ...

    @property
    def notes(self) -> list[str]:
        """What a person should know of this data: one sentence each, such as files left out."""
        ...

    def __len__(self) -> int: ...

    def image(self, i: int) -> Image.Image:
        """The picture, RGB and upright; DataError names a file that cannot be read."""
        ...

    def target(self, i: int) -> Any:
        """What is to be predicted: for classification the class, an int."""
        ...

    def name(self, i: int) -> str:
        """What to call the item in a message: a file's path in its data set, or a number."""
        ...


@runtime_checkable
class OnDisk(Protocol):
    """What else a data set offers whose pictures are files of their own."""

    def path(self, i: int) -> Path:
        """The file of picture i."""
        ...


class AnnotatedDataset(Dataset, Protocol):
    """Pictures with files of what is in them, boxes or masks, in which much can be wrong."""

    @property
    def kind(self) -> str:
        """What it is on disk: `COCO JSON`, `VOC masks`, `built-in shapes` and the like."""
        ...

    @property
    def named(self) -> bool:
        """False where the data has only numbers for its classes."""
        ...

    @property
    def problems(self) -> Sequence[Problem]:
        """What was found wrong: counted, named and kept out."""
        ...

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) of the upright picture in pixels."""
        ...


class OwnImages:
    """A data set of a person's own: with the names and notes that it may lack, its images RGB."""

    def __init__(self, data: Any) -> None:
        self.given = data
        self.classes: tuple[str, ...] = tuple(data.classes)
        self.notes: list[str] = list(getattr(data, "notes", ()))

    def __len__(self) -> int:
        return len(self.given)

    def image(self, i: int) -> Image.Image:
        """The picture, RGB: whatever kind of image the data set gives."""
        from mobilenets.runtime.inputs import to_image

        return to_image(self.given.image(i))

    def target(self, i: int) -> Any:
        """What is to be predicted, as the data set gives it."""
        return self.given.target(i)

    def name(self, i: int) -> str:
        """What the data set calls it, else its number."""
        name = getattr(self.given, "name", None)
        return str(name(i)) if callable(name) else f"image {i}"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "given":
            raise AttributeError(name)
        return getattr(self.given, name)


def whole(data: Any) -> Dataset:
    """A data set with all that is asked for: itself where it is one of ours."""
    found: Dataset = data
    return found if type(data).__module__.startswith("mobilenets.") else OwnImages(data)
