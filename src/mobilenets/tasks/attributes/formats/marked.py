"""What all formats give: images, attributes, and marks of each image for each attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from mobilenets.data.contents.hashes import short_hash
from mobilenets.data.files import InFolder
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import Part, count, few
from mobilenets.data.paths import Tree, is_file
from mobilenets.errors import DataError
from mobilenets.runtime.images import walk_images
from mobilenets.tasks.attributes.marks import Marks


@dataclass
class Marked:
    """All that is on disk, before a split is chosen."""

    kind: str
    """`CSV list`, `CelebA's list` and the like."""
    root: Path
    names: tuple[str, ...]
    """The attributes, in the order of the files."""
    files: list[str]
    """The images, relative to the root, with `/`."""
    marks: Marks
    """(images, attributes)"""
    parts: list[Part]
    """Of each image; '' where the data does not say."""
    groups: list[str]
    """What each image has in common with others, a person say; '' where nothing is said."""
    notes: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    """The files with marks, names and parts that were read, relative to the root."""


@dataclass(frozen=True, eq=False)
class MarkedImages(InFolder):
    """Images on disk with their marks; implements `Dataset`."""

    kind: str
    root: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    marks: Marks
    notes: list[str]
    origin: str
    """Which of the data's images these are, in words."""
    taken: Taken
    """All files of the folder that were listed, for an account of the others."""
    groups: tuple[str, ...] = ()
    """Of each image what it has in common with others; () where the data says nothing of groups."""

    def target(self, i: int) -> Marks:
        """(attributes,) of 1, 0 and -1 for unknown."""
        row: Marks = self.marks[i]
        return row

    def labels_digest(self) -> str:
        """A hash of all marks."""
        return short_hash(np.ascontiguousarray(self.marks).tobytes())


class Row:
    """One image of a list, with its marks."""

    __slots__ = ("group", "image", "line", "marks", "part")

    def __init__(
        self, image: str, marks: Sequence[int], line: int, part: Part = "", group: str = ""
    ) -> None:
        self.image, self.marks, self.line = image, tuple(marks), line
        self.part, self.group = part, group


def placed(
    path: Path, root: Path, rows: Sequence[Row], folders: Sequence[str], notes: list[str]
) -> tuple[list[Row], list[str]]:
    """The rows whose image exists, each once, and their files, relative to the root.

    A path that is no file is found by its longest end, a name without suffix by that. What is
    missing is said in `notes`. DataError where two rows of an image contradict each other, or none
    exists.
    """
    found = Tree(root).find([row.image for row in rows], folders)
    places = [
        place if there and is_file(root / place) else ""
        for place, there in zip(found.files, found.there, strict=True)
    ]
    if not all(places):
        stems = _by_stem(root)
        for i, place in enumerate(places):
            one = [] if place else stems.get(PurePosixPath(rows[i].image).name, [])
            places[i] = one[0] if len(one) == 1 else place
    missing = [row.image for row, place in zip(rows, places, strict=True) if not place]
    what = count(len(missing), "image", "images")
    if missing and len(missing) == len(rows):
        raise DataError(f"{path}: none of its {what} exist: {few(missing)}")
    notes += found.notes
    if missing:
        notes.append(f"{what} of {path.name} not found, left out: {few(missing)}")
    kept: dict[str, Row] = {}
    for row, place in zip(rows, places, strict=True):
        first = kept.setdefault(place, row) if place else row
        if (first.marks, first.part, first.group) != (row.marks, row.part, row.group):
            raise DataError(
                f"{path}: {row.image} is there twice and not the same, in lines {first.line} and "
                f"{row.line}"
            )
    twice = sum(map(bool, places)) - len(kept)
    if twice:
        notes.append(f"{count(twice, 'row', 'rows')} of {path.name} said before, left out")
    return list(kept.values()), list(kept)


def gathered(
    kind: str,
    root: Path,
    names: Sequence[str],
    rows: Sequence[Row],
    files: Sequence[str],
    notes: list[str],
    lists: Sequence[Path],
) -> Marked:
    """The rows of all lists together. DataError for no images or no attributes."""
    if not rows or not names:
        what = "images" if names else "attributes"
        raise DataError(f"{root}: no {what} in {few([one.name for one in lists])}")
    return Marked(
        kind,
        root,
        tuple(names),
        list(files),
        np.array([row.marks for row in rows], np.int8),
        [row.part for row in rows],
        [row.group for row in rows],
        notes,
        [one.relative_to(root).as_posix() for one in lists],
    )


def _by_stem(root: Path) -> dict[str, list[str]]:
    """The images below a folder by their names without suffix, as Kaggle's lists have them."""
    stems: dict[str, list[str]] = {}
    for image in walk_images(root):
        stems.setdefault(image.stem, []).append(image.relative_to(root).as_posix())
    return stems
