"""Annotated images on disk: what data sets of any labels do alike."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.data.inventory import Taken
from mobilenets.data.problems import Problem
from mobilenets.errors import DataError
from mobilenets.runtime.images import read_image


@dataclass(frozen=True, eq=False)
class ImagesOnDisk:
    """Images in a folder, their sizes known; `AnnotatedDataset` but for the targets."""

    kind: str
    root: Path
    classes: tuple[str, ...]
    named: bool
    files: tuple[str, ...]
    """The images, relative to the root, with `/`."""
    sizes: NDArray[np.int64]
    """(images, 2): width and height of the upright images."""
    notes: list[str]
    problems: list[Problem]
    origin: str = field(default="", kw_only=True)
    """Which of the data's images these are, in words."""
    taken: Taken | None = field(default=None, kw_only=True)
    """All files of the folder that its reader took, for an account of the others."""

    def __len__(self) -> int:
        return len(self.files)

    def image(self, i: int) -> Image.Image:
        """The picture, RGB and upright; DataError names a file that cannot be read."""
        return read_image(self.root / self.files[i])

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) of the upright picture, without reading it."""
        width, height = self.sizes[i].tolist()
        return width, height

    def name(self, i: int) -> str:
        """The file's path in the data set."""
        return self.files[i]


def read_text(path: Path) -> str:
    """A text file in UTF-8, with or without a mark in front; DataError names one that is not."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8 ({error})") from error
