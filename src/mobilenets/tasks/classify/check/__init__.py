"""`data check` of images in a class each: how many images of each, and what is wrong with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from PIL import Image

from mobilenets.data.built_in import is_built_in
from mobilenets.data.files import ImagesOnDisk
from mobilenets.data.folders import is_no_class, list_images, open_classification
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import Entry, Listing, count
from mobilenets.data.problems import Problem, Problems
from mobilenets.data.shapes import Shapes, shape_split
from mobilenets.data.splits import Split, present
from mobilenets.errors import DataError
from mobilenets.tasks.classify.check.problems import KINDS
from mobilenets.tasks.classify.read import Prediction
from mobilenets.tasks.classify.show import annotate
from mobilenets.tasks.report import REFUSED, Progress, Report, Table, class_table, files_of, opened

THINGS = "classes"
NETWORK = "a classifier"
GIVE = "class folders"
LAST = True


@dataclass(frozen=True, eq=False)
class ClassifiedImages(ImagesOnDisk):
    """Images on disk with a class each, opened to be looked at."""

    targets: tuple[int, ...]

    def target(self, i: int) -> int:
        """The class, as its place in `classes`."""
        return self.targets[i]

    def label(self, i: int) -> str:
        """The class in words."""
        return self.classes[self.targets[i]]


@dataclass(frozen=True)
class ShapeClasses(Shapes):
    """The built-in shapes, one in a picture, as data to be looked at."""

    kind: ClassVar[str] = "built-in shapes"
    named: ClassVar[bool] = True

    @property
    def problems(self) -> list[Problem]:
        """None: nothing was found wrong."""
        return []

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.size, self.size


Parts = Mapping[str, ClassifiedImages | ShapeClasses]
"""By name."""
Counts = Mapping[str, Sequence[int]]
"""Class -> its images in each part."""


def claims(path: str) -> bool:
    """Whether images lie in folders that could be classes, or a CSV list says theirs."""
    if is_built_in(path):
        return True
    try:
        names = list_images(Path(path)).classes
    except DataError:
        return False
    return len(names) > 1 and not all(map(is_no_class, names))


def look(path: str, split: str | None, progress: Progress) -> Report:
    """What every part on disk holds, or one split as training would open it."""
    parts = _shapes(split) if is_built_in(path) else _open_parts(Path(path), split, progress)
    first = next(iter(parts.values()))
    counts = {
        name: np.bincount(
            [part.target(i) for i in range(len(part))], minlength=len(first.classes)
        ).tolist()
        for name, part in parts.items()
    }
    rows = {label: [one[i] for one in counts.values()] for i, label in enumerate(first.classes)}
    content = [
        f"{path}: {first.kind}, {count(len(first.classes), 'class', 'classes')}",
        parts_table(parts, counts),
        *class_table(("class", *parts), {name: tuple(row) for name, row in rows.items()}),
        *balance(rows),
    ]
    return Report(parts, to_json(parts, counts, rows), content, draw, files_of(parts))


def draw(part: ClassifiedImages | ShapeClasses, image: Image.Image, i: int) -> Image.Image:
    """An image over a band with its class."""
    label = part.target(i)
    return annotate(image, [Prediction(part.classes[label], label, 1.0)])


def parts_table(parts: Parts, counts: Counts) -> Table:
    """Images, classes and sizes of each part."""
    rows: dict[str, tuple[Any, ...]] = {}
    for name, part in parts.items():
        sides = [min(part.image_size(i)) for i in range(len(part))]
        there = sum(number > 0 for number in counts[name])
        rows[name] = (len(part), there, *(int(v) for v in np.quantile(sides, [0, 0.5, 1])))
    titles = ("part", "images", "classes", "least short side", "median", "greatest")
    return Table(titles, rows)


def balance(rows: Counts) -> list[str]:
    """How much larger the largest class of the first part is than the smallest."""
    first = {name: row[0] for name, row in rows.items() if row[0]}
    if len(first) < 2:
        return []
    most, least = max(first, key=first.__getitem__), min(first, key=first.__getitem__)
    ratio = first[most] / first[least]
    if ratio == 1:
        return [f"every class has as many images: {first[most]:,}"]
    return [
        f"the largest class, {most}, has {count(first[most], 'image', 'images')}, "
        f"the smallest, {least}, {first[least]:,}: {ratio:.1f} times as many"
    ]


def to_json(parts: Parts, counts: Counts, rows: Counts) -> dict[str, Any]:
    """All figures of all parts as JSON values, for `--json`."""
    first = next(iter(parts.values()))
    of_first = [row[0] for row in rows.values() if row[0]]
    return {
        "task": "classify",
        "kind": first.kind,
        "classes": list(first.classes),
        "parts": {
            name: {
                "images": len(part),
                "by_class": dict(zip(first.classes, counts[name], strict=True)),
            }
            for name, part in parts.items()
        },
        "imbalance": max(of_first) / min(of_first),
    }


def _shapes(split: str | None) -> Parts:
    chosen = ["train", "val"] if split is None else [split]
    return {name: ShapeClasses(split=shape_split(name)) for name in chosen}


def _open_parts(path: Path, split: str | None, progress: Progress) -> Parts:
    with progress("reading", 0):
        listing = list_images(path)
    problems = Problems(KINDS)
    chosen: dict[str, Sequence[Entry]]
    if split is None:
        chosen = {part or "all": listing.parts[part] for part in present(list(listing.parts))}
        _tell(listing, path, problems)
    else:
        data = cast(Any, open_classification(path, cast(Split, split)))
        listing.notes = data.notes
        chosen = {
            split: [Entry(data.name(i), data.classes[data.target(i)]) for i in range(len(data))]
        }
    labels = {entry.label for entries in chosen.values() for entry in entries}
    classes = (*listing.classes, *sorted(labels - {*listing.classes}))
    number = {name: i for i, name in enumerate(classes)}
    taken = Taken(
        listing.root,
        frozenset(entry.path for entries in listing.parts.values() for entry in entries),
        frozenset(listing.lists),
        listing.left,
    )
    kept = {
        name: {
            entries[i]: size
            for i, size in opened(
                listing.root, [entry.path for entry in entries], progress, problems
            ).items()
        }
        for name, entries in chosen.items()
    }
    if not any(kept.values()):
        raise DataError(f"{path}: none of its images can be opened")
    return {
        name: ClassifiedImages(
            "CSV list" if listing.lists else "class folders",
            listing.root,
            classes,
            True,
            tuple(entry.path for entry in entries),
            np.array(list(entries.values()), np.int64).reshape(-1, 2),
            listing.notes,
            problems.list(),
            tuple(number[entry.label] for entry in entries),
            taken=taken,
        )
        for name, entries in kept.items()
        if entries
    }


def _tell(listing: Listing, path: Path, problems: Problems) -> None:
    """What is odd about classes and parts, and what would keep training from it."""
    problems.add("empty class", [f"{name} ({why})" for name, why in listing.empty.items()])
    own = {*listing.classes}
    for part, entries in listing.parts.items():
        labels = {entry.label for entry in entries}
        problems.add("strange class", [f"{one} ({part})" for one in sorted(labels - own)])
        if part in ("val", "test"):
            absent = [name for name in listing.classes if name not in labels]
            problems.add("absent class", [f"{name} ({part})" for name in absent])
    every = [entry.label for entries in listing.parts.values() for entry in entries]
    sizes = Counter(every)
    problems.add("one image", [name for name in listing.classes if sizes[name] == 1])
    try:
        open_classification(path, "train")
    except DataError as error:
        problems.add(REFUSED, [str(error).removeprefix(f"{path}: ")])
