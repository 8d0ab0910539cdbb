"""What a tool's file says of one image, and the data that is made of many."""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from mobilenets.data.listing import Part, one_line
from mobilenets.data.paths import Tree, clean_path
from mobilenets.data.problems import Problems
from mobilenets.runtime.images import SUFFIXES, walk_images
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.boxes import BoxTable
from mobilenets.tasks.detect.formats.folders import part_in, path_part

_BESIDE = ("images", "img", "image", "imgs", "JPEGImages", "data")
"""Folders of images, in the folder of a file of boxes or beside it."""


WRONG = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
"""What reading an object raises where it is not as its tool writes it."""


class Thing(NamedTuple):
    """One object of an image."""

    name: str
    """Its class."""
    corners: Sequence[float]
    """Left, top, right, bottom."""
    crowd: bool = False
    difficult: bool = False
    outline: bool = False
    """Whether the corners are those around an outline."""


@dataclass
class MarkedImage:
    """One image as a file has it."""

    image: str
    """Its path as the file says."""
    source: str
    """The file, relative to the root."""
    size: tuple[int, int] = (0, 0)
    """(width, height) in which the boxes are measured; 0 where not said."""
    part: Part = ""
    """'' for what the file's folders and name say."""
    things: list[Thing] = field(default_factory=list)
    malformed: int = 0
    """Objects without class or box."""


def around(points: Iterable[Sequence[Any]]) -> tuple[float, float, float, float]:
    """The box around points of (x, y); ValueError for none."""
    pairs = [(float(point[0]), float(point[1])) for point in points]
    xs, ys = [x for x, _ in pairs], [y for _, y in pairs]
    return min(xs), min(ys), max(xs), max(ys)


def turned(
    corners: Sequence[float], degrees: float, pivot: tuple[float, float]
) -> tuple[float, float, float, float]:
    """The box around a box that is turned clockwise about a point."""
    left, top, right, bottom = corners
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    x, y = pivot
    return around(
        (x + (a - x) * cos - (b - y) * sin, y + (a - x) * sin + (b - y) * cos)
        for a in (left, right)
        for b in (top, bottom)
    )


def part_of(source: str) -> Part:
    """What a file's folders say, else the words of its name."""
    path = PurePosixPath(source)
    return path_part(path.parts[:-1]) or part_in(path.stem)


def joined(
    kind: str,
    tree: Tree,
    pictures: Iterable[MarkedImage],
    problems: Problems,
    *,
    shares: bool = False,
    notes: Sequence[str] = (),
    labels: Sequence[str] | None = None,
) -> Annotations:
    """The data set of all pictures; one that is named several times has all objects together.

    Classes are the names in the part for training, sorted. `labels` are the files that were read,
    relative to the root; those of the pictures if not given.
    """
    words: dict[str, int] = {}
    image, label, box = array("q"), array("q"), array("d")
    crowd, difficult = array("b"), array("b")
    said: list[tuple[str, str, Part]] = []
    sizes: list[tuple[int, int]] = []
    for picture in pictures:
        for thing in picture.things:
            image.append(len(said))
            label.append(words.setdefault(one_line(thing.name), len(words)))
            box.extend(thing.corners)
            crowd.append(thing.crowd)
            difficult.append(thing.difficult)
        outlines = sum(thing.outline for thing in picture.things)
        problems.add("polygon", [picture.source] if outlines else [], outlines)
        problems.add("malformed", [picture.source] if picture.malformed else [], picture.malformed)
        said.append((picture.image, picture.source, picture.part or part_of(picture.source)))
        sizes.append(picture.size)
    files, more = _placed(tree, said)
    first = {file: i for i, file in reversed(list(enumerate(files)))}
    order = sorted(first, key=first.__getitem__)
    place = {file: i for i, file in enumerate(order)}
    parts = [said[first[file]][2] for file in order]
    for i, file in enumerate(files):
        if first[file] == i:
            continue
        differs = parts[place[file]] != said[i][2]
        if differs or said[first[file]][1] != said[i][1]:
            problems.add("overlap" if differs else "repeated", [file])
        parts[place[file]] = said[i][2] or parts[place[file]]
    numbers = np.array([place[file] for file in files], np.int64)
    images = np.asarray(image, np.int64)
    table = BoxTable.of(
        numbers[images] if len(images) else images,
        np.asarray(box),
        np.asarray(label, np.int64),
        crowd=np.asarray(crowd, bool),
        difficult=np.asarray(difficult, bool),
    )
    names = list(words)
    own = np.array([part in ("train", "") for part in parts], bool)
    seen = table.labels[own[table.image]] if own.any() else table.labels
    return Annotations(
        kind,
        tree.root,
        order,
        parts,
        np.array([sizes[first[file]] for file in order], np.int64).reshape(-1, 2),
        table,
        names,
        tuple(sorted(names[i] for i in np.unique(seen).tolist())),
        problems,
        [*notes, *more],
        shares=shares,
        labels=list(dict.fromkeys(labels if labels is not None else (s for _, s, _ in said))),
    )


def _placed(tree: Tree, said: Sequence[tuple[str, str, Part]]) -> tuple[list[str], list[str]]:
    """Where the images are, relative to the root, and notes on paths that were changed."""
    groups: dict[tuple[str, Part], list[int]] = {}
    for i, (_, source, part) in enumerate(said):
        groups.setdefault((str(PurePosixPath(source).parent), part), []).append(i)
    files = [""] * len(said)
    notes: list[str] = []
    stems: dict[str, list[str]] | None = None
    for (folder, part), numbers in groups.items():
        found = tree.find([said[i][0] for i in numbers], _folders(tree.root, folder, part), part)
        notes += found.notes
        for i, file, there in zip(numbers, found.files, found.there, strict=True):
            files[i] = file
            path = PurePosixPath(clean_path(said[i][0]))
            if there or path.suffix.casefold() in SUFFIXES:
                continue
            if stems is None:  # names without a suffix
                stems = {}
                for one in walk_images(tree.root):
                    stems.setdefault(one.stem, []).append(one.relative_to(tree.root).as_posix())
            named = stems.get(path.name, [])
            own = [one for one in named if part_of(one) in ("", part)] or named
            files[i] = own[0] if len(own) == 1 else file
    return files, list(dict.fromkeys(notes))


def _folders(root: Path, folder: str, part: Part) -> list[str]:
    """Where the images of a file in `folder` may be, the likeliest first."""
    base = PurePosixPath(folder)
    found = [base]
    for above in (base, base.parent, PurePosixPath(".")):
        inner = [above / name for name in _BESIDE]
        found += [above, *inner]
        if part:
            found += [one / name for one in (above, *inner) for name in (part, f"{part}2017")]
    if base.name in ("ann", "annotations", "labels", "json"):
        found += [base.parent / "img", base.parent / "images"]
    return [str(one) for one in dict.fromkeys(found) if (root / one).is_dir()]
