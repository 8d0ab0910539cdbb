"""YOLO's text files: a line for each object of an image, in shares of the image's sides."""

from array import array
from collections.abc import Iterable, Sequence
from itertools import islice
from os.path import relpath
from pathlib import Path, PurePosixPath

import numpy as np

from mobilenets.data.listing import Part, count, one_line, part_named
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import is_image, natural_key, walk_images
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.boxes import BoxTable
from mobilenets.tasks.detect.formats.names import (
    Value,
    find_yaml,
    listed_names,
    names_in,
    read_yaml,
)
from mobilenets.tasks.detect.formats.problems import KINDS

MOST_CLASSES = 10_000
"""Without names, a class number from here on is a slip, and no class."""
_LOOK = 200
"""Images that are looked at to see whether text files lie beside them."""


def find_yolo(folder: Path) -> bool:
    """Whether a folder has a `data.yaml`, `labels/` that are no pictures, or text beside images."""
    parts = [f for f in sorted(folder.iterdir()) if f.is_dir()]
    labels = [f / "labels" for f in [folder, *parts] if (f / "labels").is_dir()]
    if find_yaml(folder) or any(next(walk_images(f), None) is None for f in labels):
        return True
    near = [f for f in parts if part_named(f.name) or f.name in ("images", "obj_train_data")]
    images = (image for f in [folder, *near] for image in f.iterdir() if is_image(image))
    return any(image.with_suffix(".txt").is_file() for image in islice(images, _LOOK))


def read_yolo(root: Path, yaml: Path | None = None) -> Annotations:
    """Everything in a folder of YOLO text, or in the folders that a `data.yaml` names.

    A line is `class x y width height`: the box's centre and sides as shares of the upright
    image's. A line with more corners, `class x y x y x y ...`, is an outline; its bounding box is
    used. Names come from `data.yaml`, `classes.txt` or `obj.names`; without, the classes are
    called by their numbers. An image without a label file is one without objects. A label file
    with a line that is neither is left out with its image.
    """
    yaml = yaml or find_yaml(root)
    content = read_yaml(yaml) if yaml else {}
    names = names_in(content, yaml) if yaml else []
    names = [one_line(name) for name in names or listed_names(root)]
    problems = Problems(KINDS)
    notes: list[str] = []
    parts = _declared(root, yaml, content, problems, notes) if yaml else {}
    parts = parts or _found(root)
    if not parts:
        raise DataError(f"{root}: no images")
    rows = _Rows(root, problems)
    kept = [image for image in sorted(parts, key=natural_key) if rows.read(image)]
    if not rows.used:
        what = count(len(parts), "image", "images")
        raise DataError(
            f"{root}: no label file that can be read for its {what}; expected labels/NAME.txt for "
            "images/NAME.jpg, or NAME.txt beside it"
        )
    problems.add("stray", _strays(root, rows.used))
    table, words = rows.table(names)
    named = bool(names)
    if not names:
        notes.append("the data has no names for its classes: they are called by their numbers")
        last = max((int(word) for word in words if word.isdecimal()), default=-1)
        names = [str(i) for i in range(last + 1)]
    return Annotations(
        "YOLO text",
        root,
        kept,
        [parts[image] for image in kept],
        np.zeros((len(kept), 2), np.int64),
        table,
        words,
        tuple(names),
        problems,
        notes,
        named,
        shares=True,
    )


class _Rows:
    """The lines of all label files as columns of numbers."""

    def __init__(self, root: Path, problems: Problems) -> None:
        self.root = root
        self.problems = problems
        self.used: set[str] = set()
        """Label files that were read."""
        self.counts = array("q")
        """Objects of each image."""
        self.classes = array("d")
        self.boxes = array("d")

    def read(self, image: str) -> bool:
        """Take in the next image's label file; False where it is broken."""
        choices = _label_files(image)
        label = next((c for c in choices if (self.root / c).is_file()), None)
        before = len(self.classes)
        if label is None:
            self.problems.add("no file", [image])
        else:
            self.used.add(label)
            try:
                self._parse(label)
            except (OSError, ValueError) as error:
                del self.classes[before:], self.boxes[4 * before :]
                why = error.strerror if isinstance(error, OSError) else str(error)
                self.problems.add("broken", [f"{label} ({why})"])
                return False
        self.counts.append(len(self.classes) - before)
        return True

    def _parse(self, label: str) -> None:
        outlines = 0
        with (self.root / label).open(encoding="utf-8-sig") as file:
            for number, line in enumerate(file, 1):
                words = line.split()
                try:
                    values = list(map(float, words))
                except ValueError:
                    values = [0.0]
                if len(values) >= 7 and len(values) % 2:
                    values = [values[0], *_around(values[1::2], values[2::2])]
                    outlines += 1
                if len(values) == 5:
                    self.classes.append(values[0])
                    self.boxes.extend(values[1:])
                elif words:
                    got = line.strip()[:40]
                    raise ValueError(f"line {number}: not class x y width height: {got!r}")
        self.problems.add("polygon", [label] if outlines else [], outlines)

    def table(self, names: Sequence[str]) -> tuple[BoxTable, list[str]]:
        """All objects, in shares, and what their classes are called."""
        x, y, width, height = np.asarray(self.boxes).reshape(-1, 4).T
        boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
        said, labels = np.unique(np.asarray(self.classes), return_inverse=True)
        image = np.repeat(np.arange(len(self.counts)), np.asarray(self.counts, np.int64))
        most = len(names) or MOST_CLASSES
        words = [
            (names[int(v)] if names else str(int(v)))
            if 0 <= v < most and v == int(v)
            else f"number {v:.10g}"
            for v in said.tolist()
        ]
        return BoxTable.of(image, boxes, labels), words


def _around(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float, float]:
    """Centre and sides of the box around an outline."""
    left, top, right, bottom = min(x), min(y), max(x), max(y)
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def _label_files(image: str) -> list[str]:
    """Where an image's label file may be: `labels` for the last `images` in its path, or beside."""
    path = PurePosixPath(image).with_suffix(".txt")
    folders = list(path.parts)
    places = [i for i, name in enumerate(folders[:-1]) if name == "images"]
    if not places:
        return [path.as_posix()]
    folders[places[-1]] = "labels"
    return [PurePosixPath(*folders).as_posix(), path.as_posix()]


def _strays(root: Path, used: set[str]) -> list[str]:
    """Label files in the folders that were read, of no image."""
    folders = {PurePosixPath(label).parent for label in used}
    found = [
        (folder / file.name).as_posix()
        for folder in folders
        if "labels" in folder.parts
        for file in (root / folder).glob("*.txt")
        if file.name != "classes.txt"
    ]
    return sorted(set(found) - used, key=natural_key)


def _found(root: Path) -> dict[str, Part]:
    """The images below a folder, with the part that a folder's name says.

    Where some lie in `images/`, or else in folders of parts, others show something else.
    """
    paths = [PurePosixPath(image.relative_to(root).as_posix()) for image in walk_images(root)]
    inner = [path for path in paths if "images" in path.parts[:-1]]
    parts = {path.as_posix(): _part_of(path.parts[:-1]) for path in inner or paths}
    if inner or not any(parts.values()):
        return parts
    return {image: parts[image] for image in parts if parts[image]}


def _part_of(folders: Iterable[str]) -> Part:
    """`train2017` is train."""
    named = [part for name in folders if (part := part_named(name.rstrip("0123456789")))]
    return named[0] if named else ""


def _declared(
    root: Path, yaml: Path, content: dict[str, Value], problems: Problems, notes: list[str]
) -> dict[str, Part]:
    """The images that a `data.yaml` names as train, val and test; {} where they are not there."""
    said: dict[Part, list[str]] = {"train": [], "val": [], "test": []}
    bases = [yaml.parent / str(content.get("path") or ""), yaml.parent, root]
    for part in said:
        value = content.get(part) or []
        for entry in [value] if isinstance(value, str) else value:
            found = _images_at(bases, entry)
            if not found:
                notes.append(
                    f"{yaml.name} has {part} in {one_line(entry)}, where there are no images"
                )
            said[part] += [Path(relpath(image, root)).as_posix() for image in found]
    if not said["train"]:
        return {}
    if said["val"] and set(said["val"]) <= set(said["train"]):
        notes.append(f"{yaml.name} names images of train as val: that is no part of its own")
        said["val"] = []
    parts: dict[str, Part] = {}
    for part, images in said.items():
        problems.add("overlap", [image for image in images if parts.get(image, part) != part])
        parts.update(dict.fromkeys(images, part))
    return parts


def _images_at(bases: Iterable[Path], entry: str) -> list[Path]:
    """Those of a folder, or of a list in a text file; Roboflow writes one `../` too many."""
    for base in bases:
        for said in (entry, entry.removeprefix("../")):
            place = base / said
            if place.is_dir():
                return list(walk_images(place))
            if place.is_file() and place.suffix == ".txt":
                lines = place.read_text(encoding="utf-8-sig").split("\n")
                return [place.parent / line.strip() for line in lines if line.strip()]
    return []
