"""Built-in data sets but for their pictures: the word that opens one, and what they share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal, get_args

from mobilenets.data.problems import Problem

Split = Literal["train", "val", "test", "all"]
BUILT_IN = "shapes"
"""The word that opens the built-in data set where no such file or folder exists."""


def is_built_in(path: str | Path) -> bool:
    """Whether `path` is the word `shapes` and no file or folder of that name exists."""
    return str(path) == BUILT_IN and not Path(path).exists()


class Drawn(ABC):
    """What data sets have in common whose pictures are drawn when asked for, always the same.

    `all` is train followed by val. Subclasses are dataclasses with `size`, `split` and `seed`, and
    with `length` where a person may ask for fewer pictures.
    """

    size: int
    split: Split
    seed: int
    length: int | None = None
    """Pictures in all; None for what `lengths` says."""
    word: ClassVar[str] = BUILT_IN
    """What the names of pictures begin with."""

    @property
    @abstractmethod
    def lengths(self) -> Mapping[str, int]:
        """Pictures of train, val and test."""
        ...

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError(f"size must be at least 16 pixels, got {self.size!r}")
        if self.split not in get_args(Split):
            raise ValueError(f"split must be train, val, test or all, got {self.split!r}")
        if self.length is not None and self.length < 1:
            raise ValueError(f"length must be positive, got {self.length!r}")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed must be in 0 .. 2**32 - 1, got {self.seed!r}")

    @property
    def notes(self) -> list[str]:
        """Nothing: there is nothing to say of made pictures."""
        return []

    @property
    def problems(self) -> list[Problem]:
        """None: nothing was found wrong."""
        return []

    def __len__(self) -> int:
        parts = ("train", "val") if self.split == "all" else (self.split,)
        full = sum(self.lengths[part] for part in parts)
        return full if self.length is None else self.length

    def locate(self, i: int) -> tuple[Split, int]:
        """The part that picture i is of, and its number there; IndexError where there is none."""
        if not 0 <= i < len(self):
            raise IndexError(f"index must be in 0 .. {len(self) - 1}, got {i}")
        if self.split != "all":
            return self.split, i
        first = self.lengths["train"]
        return ("train", i) if i < first else ("val", i - first)

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.size, self.size

    def name(self, i: int) -> str:
        """What a message calls picture i: `shapes/train/17`."""
        part, index = self.locate(i)
        return f"{self.word}/{part}/{index}"

    def source(self, i: int) -> bytes:
        """What picture i is made from."""
        return f"{self.name(i)} {self.size} {self.seed}".encode()

    def labels_digest(self) -> str:
        """Nothing: what is in a picture, its source says."""
        return "made"
