"""Annotated images on disk: what data sets of any labels do alike."""

import codecs
import csv
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.data.inventory import Taken
from mobilenets.data.problems import Problem
from mobilenets.errors import DataError
from mobilenets.runtime.images import read_image


class InFolder:
    """What data sets of files have in common: where picture i lies, and its pixels."""

    root: Path
    files: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.files)

    def image(self, i: int) -> Image.Image:
        """The picture, RGB and upright; DataError names a file that cannot be read."""
        return read_image(self.path(i))

    def path(self, i: int) -> Path:
        """The file that picture i is read from."""
        return self.root / self.files[i]

    def source(self, i: int) -> Path:
        """What picture i is told by: its file."""
        return self.path(i)

    def name(self, i: int) -> str:
        """The file's path in the data set."""
        return self.files[i]


@dataclass(frozen=True, eq=False)
class ImagesOnDisk(InFolder):
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

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) of the upright picture, without reading it."""
        width, height = self.sizes[i].tolist()
        return width, height


def read_text(path: Path) -> str:
    """A text file in UTF-8, or as a mark in front says; DataError names one that is not."""
    try:
        return decoded(path.read_bytes()).replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not text in UTF-8 ({error})") from error


def decoded(data: bytes) -> str:
    """Text in UTF-8, or in UTF-16 or 32 where a mark says so; else a UnicodeDecodeError."""
    marks = {codecs.BOM_UTF32_LE: "utf-32", codecs.BOM_UTF32_BE: "utf-32"}
    marks |= {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
    return data.decode(next((marks[mark] for mark in marks if data.startswith(mark)), "utf-8-sig"))


def read_table(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """The heads of a table's columns, and its rows by head with their lines in the file.

    Comma, semicolon or tab, whichever the first line has most of; a cell that is missing is ''.
    DataError for a file that is no text; csv.Error for one that is no table.
    """
    text = read_text(path)
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(text.splitlines(keepends=True), delimiter=delimiter, restval="")
    heads = [head for head in reader.fieldnames or [] if head is not None]
    rows = [(reader.line_num, {head: row[head] or "" for head in heads}) for row in reader]
    return heads, rows
