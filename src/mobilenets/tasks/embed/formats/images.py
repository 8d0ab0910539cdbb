"""Data sets whose images are to be near those of their class."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from mobilenets.data.contents.hashes import short_hash
from mobilenets.data.files import InFolder
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import Role
from mobilenets.data.shapes import Shapes, shape_split
from mobilenets.tasks.embed.formats.targets import Sought


@dataclass(frozen=True)
class ImagePair:
    """Two images of a list, by their numbers in the data set."""

    fold: int
    """Which part of the list it is in, from 0."""
    first: int
    second: int
    same: bool
    """Whether they are of one class."""


@dataclass(frozen=True)
class SoughtImages(InFolder):
    """Images on disk, each of a class; implements `Dataset`."""

    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    """Relative to the root, with `/`."""
    labels: tuple[int, ...]
    """Each one's class, as its place in `classes`."""
    notes: list[str]
    origin: str
    """Which of the data's images these are, in words."""
    taken: Taken
    """All files of the folder that were listed, for an account of the others."""
    roles: tuple[Role, ...] = ()
    """Of each image; () where all are both looked for and found."""
    pairs: tuple[ImagePair, ...] = ()
    """Of the list of pairs that lies there."""
    groups: tuple[str, ...] = ()
    """What each image has in common with others; '' where nothing is said."""

    def labels_digest(self) -> str:
        """A hash of every image's class and role, and of the pairs."""
        rest = repr((self.roles, [(p.fold, p.first, p.second, p.same) for p in self.pairs]))
        return short_hash(np.asarray(self.labels, np.int64).tobytes(), rest.encode())

    def target(self, i: int) -> Sought:
        """The image's class and role."""
        return Sought(self.labels[i], i, self.roles[i] if self.roles else "")


class UnseenShapes:
    """The built-in shapes, half of the classes to learn from and the other half to measure on."""

    pairs: tuple[ImagePair, ...] = ()

    def __init__(self, split: str, seed: int) -> None:
        self.shapes = Shapes(split=shape_split(split), seed=seed)
        every = self.shapes.classes
        half = len(every) // 2
        self.classes = {"train": every[:half], "all": every}.get(split, every[half:])
        self._first = every.index(self.classes[0])
        self.size = self.shapes.size
        chosen = "all classes" if split == "all" else f"the classes {', '.join(self.classes)}"
        self.origin = f"{self.shapes.split} images of {chosen}"
        self.notes: list[str] = []
        if split != "all":
            self.notes = [f"{split}: {chosen}; those of train are never measured on"]

    def __len__(self) -> int:
        return len(self.shapes) * len(self.classes) // len(self.shapes.classes)

    def place(self, i: int) -> int:
        """The number of picture i among all shapes: the classes come in turn there."""
        turn, label = divmod(i, len(self.classes))
        return turn * len(self.shapes.classes) + self._first + label

    def image(self, i: int) -> Image.Image:
        """The picture, RGB, as it is drawn."""
        return self.shapes.image(self.place(i))

    def target(self, i: int) -> Sought:
        """The class of the shape in it."""
        return Sought(i % len(self.classes), i, "")

    def name(self, i: int) -> str:
        """What a message calls picture i."""
        return self.shapes.name(self.place(i))

    def source(self, i: int) -> bytes:
        """What picture i is made from."""
        return self.shapes.source(self.place(i))

    def labels_digest(self) -> str:
        """The classes: what is in a picture, its source says."""
        return " ".join(self.classes)


def numbered(labels: Sequence[str], classes: Sequence[str]) -> tuple[int, ...]:
    """Classes in words as places in `classes`."""
    places = {name: i for i, name in enumerate(classes)}
    return tuple(places[label] for label in labels)
