"""Pascal VOC's XML: one file for each image."""

import xml.etree.ElementTree as ET
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from pathlib import Path, PurePosixPath

import numpy as np

from mobilenets.data.image_sets import read_image_sets
from mobilenets.data.listing import Part, few, one_line, part_named
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, walk_images
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.boxes import BoxTable, join
from mobilenets.tasks.detect.formats.problems import KINDS

_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def find_voc(folder: Path) -> Path | None:
    """The folder that holds VOC's data: itself, or one below it as in VOCdevkit; None for none.

    It has `Annotations/` with XML files, or XML files beside its images, perhaps in part folders.
    """
    below = [f for f in [*folder.glob("*"), *folder.glob("*/*")] if f.is_dir()]
    found = sorted(f for f in [folder, *below] if _has_xml(f / "Annotations"))
    if len(found) > 1:
        names = few([f.relative_to(folder).as_posix() for f in found])
        raise DataError(f"{folder}: it holds several data sets, give one of them: {names}")
    if found:
        return found[0]
    near = [f for f in below if part_named(f.name) or f.name in ("annotations", "xmls")]
    return folder if any(map(_has_xml, [folder, *near])) else None


def read_voc(root: Path) -> Annotations:
    """Everything in a folder of VOC XML.

    Corners are whole pixels counted from 1 and belong to the box, as VOC has it: the left edge
    is xmin - 1, the right edge xmax. Where the data's own boxes begin at 0 more often than at 1
    it counts from 0, and its numbers are taken as edges; a note says so. Classes are the names in
    the train part, sorted. An XML file that is broken is left out with its image, and named.
    """
    problems = Problems(KINDS)
    files = _annotation_files(root)
    parts = _parts(root, files, problems)
    read = [one for name in parts if (one := _read(root, files[name], parts[name], problems))]
    if not read:
        why = "; ".join(problem.sentence for problem in problems.list())
        raise DataError(f"{root}: no annotation file that can be read: {why}")
    images = _place_images(root, files, read, problems)
    words = sorted({word for one in read for word in one.names})
    table, notes = _edges(_joined(read, words))
    own = [one for one in read if one.part in ("train", "")] or read
    return Annotations(
        "VOC XML",
        root,
        images,
        [one.part for one in read],
        np.array([one.size for one in read], np.int64),
        table,
        words,
        tuple(sorted({word for one in own for word in one.names})),
        problems,
        notes,
        labels=[*(one.path for one in read), *_lists(root)],
    )


def _lists(root: Path) -> list[str]:
    """The lists of images, which are read."""
    lists = root / "ImageSets" / "Main"
    return [file.relative_to(root).as_posix() for file in lists.glob("*.txt")]


@dataclass
class _VocFile:
    """One annotation file; corners are as it has them."""

    path: str
    part: Part
    image: str = ""
    size: tuple[int, int] = (0, 0)
    names: dict[str, int] = field(default_factory=dict)
    """The classes' names, numbered by appearance."""
    labels: "array[int]" = field(default_factory=lambda: array("q"))
    corners: "array[float]" = field(default_factory=lambda: array("d"))
    difficult: "array[int]" = field(default_factory=lambda: array("b"))
    malformed: int = 0

    def add(self, item: ET.Element) -> None:
        """An <object>; one without name or corners is counted."""
        name = one_line(item.findtext("name") or "")
        box = item.find("bndbox")
        try:
            corners = [float(box.findtext(c) or "") for c in _CORNERS] if box is not None else []
        except ValueError:
            corners = []
        if not (name and corners):
            self.malformed += 1
            return
        self.labels.append(self.names.setdefault(name, len(self.names)))
        self.corners.extend(corners)
        self.difficult.append((item.findtext("difficult") or "").strip() in ("1", "true", "True"))


def _has_xml(folder: Path) -> bool:
    return next(folder.glob("*.xml"), None) is not None


def _annotation_files(root: Path) -> dict[str, str]:
    """Name without suffix, by which lists know an image -> path relative to the root, sorted.

    Without `Annotations/`, the names are those of paths.
    """
    inner = root / "Annotations"
    base, found = (inner, inner.glob("*.xml")) if _has_xml(inner) else (root, root.rglob("*.xml"))
    paths = sorted((f.relative_to(root).as_posix() for f in found), key=natural_key)
    skip = 0 if base == root else len("Annotations/")
    return {path[skip:].removesuffix(".xml"): path for path in paths}


def _parts(root: Path, files: dict[str, str], problems: Problems) -> dict[str, Part]:
    """Name -> part: by the lists in `ImageSets/Main` where there are any, else by folder."""
    parts = read_image_sets(root / "ImageSets" / "Main", files, problems)
    if not parts:
        return {name: _folder_part(path) for name, path in files.items()}
    problems.add("absent", [name for name in parts if name not in files])
    problems.add("unlisted", [path for name, path in files.items() if name not in parts])
    return {name: parts[name] for name in files if name in parts}


def _folder_part(path: str) -> Part:
    named = [part for name in PurePosixPath(path).parts[:-1] if (part := part_named(name))]
    return named[0] if named else ""


def _read(root: Path, path: str, part: Part, problems: Problems) -> _VocFile | None:
    found = _VocFile(path, part)
    try:
        _parse(root / path, found)
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        problems.add("broken", [f"{path} ({why})"])
        return None
    problems.add("malformed", [path] if found.malformed else [], found.malformed)
    return found


def _parse(path: Path, found: _VocFile) -> None:
    """Element by element, so that a file with very many objects takes no more memory."""
    depth = 0
    for event, element in ET.iterparse(path, ("start", "end")):
        depth += 1 if event == "start" else -1
        if event == "start":
            if depth == 1 and element.tag != "annotation":
                raise ValueError(f"not VOC: it begins with <{element.tag}>, not <annotation>")
        elif depth == 1:
            if element.tag == "object":
                found.add(element)
            elif element.tag == "size":
                found.size = (_side(element, "width"), _side(element, "height"))
            elif element.tag == "filename":
                found.image = (element.text or "").strip()
            element.clear()


def _side(element: ET.Element, name: str) -> int:
    text = (element.findtext(name) or "").strip()
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _place_images(
    root: Path, files: dict[str, str], read: Sequence[_VocFile], problems: Problems
) -> list[str]:
    """The image of each annotation file: of its name or as it says, the nearest where several are.

    One that is not on the disk is called as the file says.
    """
    folders = [root / name for name in ("JPEGImages", "images", "Images")]
    base = next((f for f in folders if f.is_dir() and _has_xml(root / "Annotations")), root)
    by_stem: dict[str, list[str]] = {}
    for image in walk_images(base):
        by_stem.setdefault(image.stem, []).append(image.relative_to(root).as_posix())
    placed = []
    for one in read:
        stem = PurePosixPath(one.path).stem
        said = PurePosixPath(one.image.replace("\\", "/"))
        choices = by_stem.get(stem) or by_stem.get(said.stem) or []
        missing = ((base.relative_to(root)) / (said.name or f"{stem}.jpg")).as_posix()
        placed.append(max(sorted(choices), key=partial(_shared, one.path), default=missing))
    described = {PurePosixPath(path).stem for path in files.values()} | set(placed)
    alone = [
        image
        for stem, images in by_stem.items()
        for image in images
        if stem not in described and image not in described
    ]
    problems.add("unlabelled", sorted(alone, key=natural_key))
    return placed


def _shared(path: str, other: str) -> int:
    """How many folders two paths begin with alike."""
    pairs = zip(PurePosixPath(path).parts[:-1], PurePosixPath(other).parts[:-1], strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def _joined(read: Iterable[_VocFile], words: Sequence[str]) -> BoxTable:
    place = {word: i for i, word in enumerate(words)}
    tables = []
    for i, one in enumerate(read):
        labels = np.array([place[name] for name in one.names], np.int64)
        tables.append(
            BoxTable.of(
                np.full(len(one.labels), i),
                np.asarray(one.corners),
                labels[np.asarray(one.labels)] if one.labels else np.zeros(0, np.int64),
                difficult=np.asarray(one.difficult, bool),
            )
        )
    return join(tables)


def _edges(table: BoxTable) -> tuple[BoxTable, list[str]]:
    """From VOC's corners to edges in pixels."""
    first = table.boxes[:, :2]
    if (first == 0).sum() > (first == 1).sum():
        return table, ["boxes are counted from 0 here, not from 1 as VOC does: taken as edges"]
    return table._replace(boxes=table.boxes - [1, 1, 0, 0]), []
