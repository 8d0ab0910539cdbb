"""YOLO's text files: a line for each object of an image, in shares of the image's sides."""

from collections.abc import Mapping, Sequence
from itertools import islice
from os.path import relpath
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.listing import count, few, one_line
from mobilenets.data.paths import Tree, is_file
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import is_image, natural_key, walk_images
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.boxes import BoxTable
from mobilenets.tasks.detect.formats.folders import folder_part
from mobilenets.tasks.detect.formats.problems import KINDS
from mobilenets.tasks.detect.formats.yolo.beside import Labels, labels_alone
from mobilenets.tasks.detect.formats.yolo.lines import TEXT, LabelLines, Read
from mobilenets.tasks.detect.formats.yolo.names import (
    NOTES,
    Value,
    count_in,
    find_darknet,
    find_yaml,
    lines_of,
    listed_names,
    names_in,
    other_names,
    points_in,
    read_darknet,
    read_yaml,
)
from mobilenets.tasks.detect.formats.yolo.parts import (
    Images,
    declared_images,
    found_images,
    lists_in,
)

MOST_CLASSES = 10_000
"""Without names, a class number from here on is a slip, and no class."""
_LOOK = 200
"""Images that are looked at to see whether text files lie beside them."""


def find_yolo(folder: Path) -> bool:
    """Whether a folder has a `data.yaml`, `labels/` that are no pictures, or text beside images."""
    parts = [f for f in sorted(folder.iterdir()) if f.is_dir()]
    labels = [f / name for f in [folder, *parts] for name in ("labels", "Labels")]
    labels = [f for f in labels if f.is_dir()]
    if find_yaml(folder)[0] or any(next(walk_images(f), None) is None for f in labels):
        return True
    near = [f for f in parts if folder_part(f.name) or f.name.casefold() == "images"]
    images = (image for f in [folder, *near] for image in f.iterdir() if is_image(image))
    if any(image.with_suffix(".txt").is_file() for image in islice(images, _LOOK)):
        return True
    if find_darknet(folder) is not None or lists_in(folder):
        return True
    stems = [image.stem for f in near for image in islice(f.iterdir(), _LOOK) if is_image(image)]
    return any((f / f"{stem}.txt").is_file() for f in parts for stem in stems)


def read_yolo(root: Path, yaml: Path | None = None) -> Annotations:
    """Everything in a folder of YOLO text, or in the folders that a `data.yaml` names.

    A line is `class x y width height`: the box's centre and sides as shares of the upright
    image's. A line with more corners, `class x y x y x y ...`, is an outline; its bounding box is
    used. Key points and confidences behind a box are not used, and a note says so. Names come
    from `data.yaml`, `classes.txt` or `obj.names`; without, the classes are called by their
    numbers. An image without a label file is one without objects. A label file with a line that
    is neither is left out with its image.
    """
    problems = Problems(KINDS)
    tree = Tree(root)
    said = _Said(tree, yaml)
    images = said.images(problems)
    parts, notes = images.parts, [*said.notes, *images.notes]
    if not parts:
        raise DataError(f"{root}: no images{said.why or labels_alone(root)}")
    order = sorted(parts, key=natural_key)
    labels = Labels(tree, order)
    notes += labels.notes
    lines = LabelLines(said.points)
    for label in labels.read:
        lines.add(root / label)
    try:
        read = lines.read()
    except ValueError:
        raise DataError(
            f"{root}: the numbers in {labels.read[0]} and others are pixels, where YOLO's text has "
            "shares of the image's sides: class x y width height, each from 0 to 1"
        ) from None
    broken = [f"{labels.read[i]} ({why})" for i, why in sorted(read.broken.items())]
    problems.add("broken", broken)
    for i, objects in read.outlines.items():
        problems.add("polygon", [labels.read[i]], objects)
    if len(read.broken) == len(labels.read):
        raise DataError(f"{root}: {_unreadable(root, order, broken)}")
    problems.add("no file", [image for image in labels.without if is_file(root / image)])
    problems.add("stray", labels.strays())
    kept: list[str] = []
    number = np.full(len(labels.read) + 1, -1)
    for image in order:
        place = labels.of.get(image, -1)
        if place not in read.broken:
            number[place] = len(kept)
            kept.append(image)
    table, words, names = _table(read, number, said.names, list(lines.words), notes)
    named = bool(said.names or lines.words)
    if not named:
        notes.append("the data has no names for its classes: they are called by their numbers")
        last = max((int(word) for word in words if word.isdecimal()), default=-1)
        names = [str(i) for i in range(max(last + 1, said.classes))]
    return Annotations(
        "YOLO text",
        root,
        kept,
        [parts[image] for image in kept],
        np.zeros((len(kept), 2), np.int64),
        table,
        words,
        tuple(dict.fromkeys(names)),
        problems,
        [*notes, *read.notes],
        named,
        shares=True,
        labels=[*labels.read, *said.files, *images.lists],
        left=images.left,
    )


class _Said:
    """What the data says of itself: its names, its parts, its key points."""

    def __init__(self, tree: Tree, yaml: Path | None) -> None:
        self.tree = tree
        self.notes: list[str] = []
        self.names: list[str] = []
        self.classes = 0
        self.points: tuple[int, int] | None = None
        self.content: Mapping[str, Value] = {}
        self.source: Path | None = yaml
        if yaml is None:
            self.source, self.notes = find_yaml(tree.root)
        listed: list[str] = []
        if self.source:
            content = read_yaml(self.source)
            self.names = names_in(content, self.source)
            self.classes = count_in(content)
            self.points = points_in(content, self.source)
            self.content = content
        elif darknet := find_darknet(tree.root):
            self._darknet(darknet)
        if not self.names:
            self.names, listed = listed_names(tree.root)
            self.notes += other_names(tree.root, listed, self.names)
            if not self.names and (tree.root / NOTES).is_file():
                self.notes.append(
                    f"{NOTES} has no categories with ids 0, 1, ...: it names no class"
                )
        if not any(self.content.get(part) for part in ("train", "val", "test")):
            self.content = {**self.content, **lists_in(tree.root)}
        self.names = [one_line(name) or str(i) for i, name in enumerate(self.names)]
        self.files = [*listed, *([self._relative(self.source)] if self.source else [])]
        self._compare()

    def _darknet(self, path: Path) -> None:
        content = read_darknet(path)
        self.source, self.content, self.classes = path, content, count_in(content)
        [file], [there], _ = self.tree.find([str(content.get("names") or "obj.names")])
        if there:
            self.names = lines_of(self.tree.root / file)
        elif "names" in content:
            self.notes.append(f"{path.name}: names is {content['names']}, which is not there")

    def _compare(self) -> None:
        """Notes on names and numbers of classes that do not agree."""
        name = self.source.name if self.source else ""
        if self.names and self.classes and self.classes != len(self.names):
            self.notes.append(
                f"{name} has nc {self.classes} and {len(self.names)} names: the names count"
            )
        twice = [one for one in dict.fromkeys(self.names) if self.names.count(one) > 1]
        if twice:
            what = count(len(twice), "name is", "names are")
            self.notes.append(f"{what} there for several numbers, taken as one class: {few(twice)}")

    def _relative(self, path: Path) -> str:
        return Path(relpath(path, self.tree.root)).as_posix()

    @property
    def why(self) -> str:
        """What to add where there are no images."""
        return "; data.yaml says how to download them" if self.content.get("download") else ""

    def images(self, problems: Problems) -> Images:
        """The images as the data says, else as folders are called."""
        if not any(self.content.get(part) for part in ("train", "val", "test")):
            return found_images(self.tree.root)
        name = self.source.name if self.source else str(self.content["train"])
        base = self.source.parent if self.source else self.tree.root
        declared = declared_images(self.tree, name, self.content, base, problems)
        if declared.parts:
            return declared
        found = found_images(self.tree.root)
        return found._replace(notes=[*declared.notes, *found.notes])


def _unreadable(root: Path, images: Sequence[str], broken: Sequence[str]) -> str:
    """Why no label file could be read."""
    what = count(len(images), "image", "images")
    if not any(is_file(root / image) for image in images):
        return f"no images: its {what} are not on the disk: {few(images, 2)}"
    if broken:
        return f"no label file that can be read for its {what}: {few(broken, 2)}"
    return (
        f"no label file that can be read for its {what}; expected labels/NAME.txt for "
        "images/NAME.jpg, or NAME.txt beside it"
    )


def _table(
    read: Read,
    number: NDArray[np.int64],
    names: list[str],
    spoken: list[str],
    notes: list[str],
) -> tuple[BoxTable, list[str], list[str]]:
    """All objects, in shares; what their classes are called; and the classes."""
    x, y, width, height = read.boxes.T
    boxes = np.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 1)
    said, labels = np.unique(read.classes, return_inverse=True)
    most = len(names) or (0 if spoken else MOST_CLASSES)
    words = []
    for value in said.tolist():
        if TEXT <= value < TEXT + len(spoken):
            words.append(spoken[int(value - TEXT)])
        elif 0 <= value < most and value == int(value):
            words.append(names[int(value)] if names else str(int(value)))
        else:
            words.append(f"number {value:.10g}")
    if spoken and not names:
        notes.append("classes are called by the words in the label files")
    return BoxTable.of(number[read.file], boxes, labels), words, names or sorted(spoken)
