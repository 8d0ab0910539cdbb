"""`data check` of attributes: how many images have each, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from PIL import Image

from mobilenets.data.built_in import is_built_in
from mobilenets.data.files import ImagesOnDisk
from mobilenets.data.listing import count
from mobilenets.data.problems import Kinds, Problems, shared
from mobilenets.errors import DataError
from mobilenets.tasks.attributes import data
from mobilenets.tasks.attributes.formats.celeba import find_celeba
from mobilenets.tasks.attributes.formats.marked import MarkedImages
from mobilenets.tasks.attributes.formats.shapes import ShapeAttributes
from mobilenets.tasks.attributes.marks import NO, UNKNOWN, YES, Marks, constant, marks_of_all
from mobilenets.tasks.attributes.read import HALF, SeenAttribute
from mobilenets.tasks.attributes.show import draw as draw_attributes
from mobilenets.tasks.report import Progress, Report, Table, class_table, files_of, opened

THINGS = "attributes"
NETWORK = "a network for attributes"
GIVE = data.GIVE
LAST = False

KINDS: Kinds = {
    **shared("unreadable"),
    "narrow": ("image is one pixel wide or high", "images are one pixel wide or high"),
    "same": (
        "attribute is the same on all images of a part, or unknown",
        "attributes are the same on all images of a part, or unknown",
    ),
    "rare": (
        "attribute is there, or not there, on fewer than five images of a part",
        "attributes are there, or not there, on fewer than five images of a part",
    ),
    "unknown": ("entry is unknown", "entries are unknown"),
}
"""In the order in which they are told."""
FEW = 5


@dataclass(frozen=True, eq=False)
class AttributesOnDisk(ImagesOnDisk):
    """Images on disk with their marks, opened to be looked at."""

    marks: Marks

    def target(self, i: int) -> Marks:
        """(attributes,) of 1, 0 and -1 for unknown."""
        row: Marks = self.marks[i]
        return row

    def label(self, i: int) -> str:
        """The attributes in words."""
        return words(self.classes, self.marks[i])


Parts = Mapping[str, AttributesOnDisk | ShapeAttributes]


def claims(path: str) -> bool:
    """Whether there are attributes, several of an image: not classes with a column each."""
    if is_built_in(path) or find_celeba(Path(path)) is not None:
        return True
    try:
        found = data.read(Path(path))
    except DataError as error:
        return "which of -1 and 0" in str(error)
    return bool(((found.marks == YES).sum(1) > 1).any())


def look(path: str, split: str | None, progress: Progress) -> Report:
    """What every part on disk holds, or one split as training would open it."""
    with progress("reading", 0):
        chosen: Mapping[str, Any] = (
            data.open_parts(path) if split is None else {split: data.open_data(path, split)}
        )
    problems = Problems(KINDS)
    parts: Parts = {
        name: one if isinstance(one, ShapeAttributes) else _open(one, name, progress, problems)
        for name, one in chosen.items()
    }
    with progress("counting", sum(map(len, parts.values()))) as advance:
        counts = {}
        for name, part in parts.items():
            counts[name] = counts_of(marks_of_all(part))
            advance(len(part))
    first = next(iter(parts.values()))
    titles = ("attribute", *(f"{name}: {side}" for name in parts for side in ("yes", "no", "?")))
    rows = {
        label: tuple(int(v) for one in counts.values() for v in one[k])
        for k, label in enumerate(first.classes)
    }
    content = [
        f"{path}: {first.kind}, {count(len(first.classes), 'attribute', 'attributes')}",
        parts_table(parts),
        *class_table(titles, rows),
    ]
    return Report(parts, to_json(parts, counts), content, draw, files_of(parts))


def counts_of(marks: Marks) -> list[tuple[int, int, int]]:
    """Of each attribute: images that have it, that have it not, of which it is unknown."""
    each = [(marks == mark).sum(0) for mark in (YES, NO, UNKNOWN)]
    return [(int(a), int(b), int(c)) for a, b, c in zip(*each, strict=True)]


def words(names: Sequence[str], marks: Marks) -> str:
    """The attributes that are there, in words."""
    return ", ".join(names[k] for k in np.flatnonzero(marks == YES).tolist()) or "none"


def draw(part: Any, image: Image.Image, i: int) -> Image.Image:
    """An image over a band with its attributes."""
    there = np.flatnonzero(part.target(i) == YES).tolist()
    return draw_attributes(image, [SeenAttribute(part.classes[k], k, 1.0, HALF) for k in there])


def parts_table(parts: Parts) -> Table:
    """Images of each part, how many attributes one has, and how many entries are unknown."""
    rows: dict[str, tuple[Any, ...]] = {}
    for name, part in parts.items():
        marks = marks_of_all(part)
        mean = (marks == YES).sum(1).mean() if len(marks) else 0.0
        rows[name] = (len(part), f"{mean:.2f}", int((marks == UNKNOWN).sum()))
    return Table(("part", "images", "attributes of one, mean", "unknown entries"), rows)


def to_json(parts: Parts, counts: Mapping[str, Sequence[tuple[int, int, int]]]) -> dict[str, Any]:
    """All figures of all parts as JSON values, for `--json`."""
    first = next(iter(parts.values()))
    return {
        "task": "attributes",
        "kind": first.kind,
        "attributes": list(first.classes),
        "parts": {
            name: {
                "images": len(part),
                "by_attribute": {
                    label: dict(zip(("yes", "no", "unknown"), counts[name][k], strict=True))
                    for k, label in enumerate(first.classes)
                },
            }
            for name, part in parts.items()
        },
    }


def _open(
    part: MarkedImages, name: str, progress: Progress, problems: Problems
) -> AttributesOnDisk:
    """A part whose images can be opened, with their sizes; the others are named."""
    sizes = opened(part.root, part.files, progress, problems)
    kept = list(sizes)
    if not kept:
        raise DataError(f"{part.root}: none of its images can be opened")
    marks = part.marks[kept]
    same = constant(marks)
    problems.add("same", [f"{part.classes[k]} ({name})" for k in same])
    least = np.minimum((marks == YES).sum(0), (marks == NO).sum(0))
    rare = [k for k in np.flatnonzero(least < FEW).tolist() if k not in same]
    problems.add("rare", [f"{part.classes[k]} ({name})" for k in rare])
    unknown = np.flatnonzero((marks == UNKNOWN).any(0)).tolist()
    number = int((marks == UNKNOWN).sum())
    problems.add("unknown", [f"{part.classes[k]} ({name})" for k in unknown], number)
    return AttributesOnDisk(
        part.kind,
        part.root,
        part.classes,
        True,
        tuple(part.files[i] for i in kept),
        np.array(list(sizes.values()), np.int64).reshape(-1, 2),
        [note for note in part.notes if "the same on all images" not in note],
        cast(Any, problems.list()),
        marks,
        origin=part.origin,
        taken=part.taken,
    )
