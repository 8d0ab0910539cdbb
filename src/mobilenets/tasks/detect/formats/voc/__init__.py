"""Pascal VOC's XML: one file for each image."""

import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice, takewhile
from pathlib import Path, PurePosixPath

import numpy as np

from mobilenets.data.image_sets import read_image_sets
from mobilenets.data.listing import Part, few, one_line
from mobilenets.data.paths import clean_path
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, walk_images
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.boxes import BoxTable, join
from mobilenets.tasks.detect.formats.folders import folder_part, path_part
from mobilenets.tasks.detect.formats.problems import KINDS
from mobilenets.tasks.detect.formats.voc.file import VocFile, first_tag, parse

_FOLDERS = ("annotations", "annotation", "xmls", "xml", "labels", "label", "ann", "anns")
"""What people call the folder of XML files, beside that of the images."""
_LISTS = ("ImageSets/Main", "ImageSets")
_LOOK = 20
"""XML files of a folder that are looked into to see whether some are VOC's."""


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
    near = [f for f in below if folder_part(f.name) or f.name.casefold() in _FOLDERS]
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
    placed = _place_images(root, files, read, problems)
    words = sorted({word for one in read for word in one.names})
    table, shares, notes = _edges(_joined(read, words))
    images, of, table = _once(placed, read, table, problems)
    own = [one for one in read if one.part in ("train", "")] or read
    return Annotations(
        "VOC XML",
        root,
        list(images),
        of,
        np.array([read[i].size for i in images.values()], np.int64),
        table,
        words,
        tuple(sorted({word for one in own for word in one.names})),
        problems,
        notes,
        shares=shares,
        labels=[*(one.path for one in read), *_lists(root)],
    )


def _lists(root: Path) -> list[str]:
    """The lists of images, which are read."""
    return [
        f.relative_to(root).as_posix() for lists in _LISTS for f in (root / lists).glob("*.txt")
    ]


def _has_xml(folder: Path) -> bool:
    """Whether there are XML files that may be VOC's: damaged ones, not those of other tools."""
    return any(first_tag(f) in ("annotation", "") for f in islice(folder.glob("*.xml"), _LOOK))


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
    """Name -> part: by the lists in `ImageSets` where there are any, else by folder."""
    folders = [folder for folder in _LISTS if (root / folder).is_dir()]
    found = (read_image_sets(root / folder, files, problems) for folder in folders)
    parts = next((one for one in found if one), {})
    if not parts:
        return {name: _folder_part(path) for name, path in files.items()}
    problems.add("absent", [name for name in parts if name not in files])
    problems.add("unlisted", [path for name, path in files.items() if name not in parts])
    return {name: parts[name] for name in files if name in parts}


def _folder_part(path: str) -> Part:
    return path_part(PurePosixPath(path).parts[:-1])


def _read(root: Path, path: str, part: Part, problems: Problems) -> VocFile | None:
    try:
        found = parse(root, path, part)
    except (ET.ParseError, OSError, ValueError, LookupError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        problems.add("broken", [f"{path} ({one_line(str(why))})"])
        return None
    problems.add("malformed", [path] if found.malformed else [], found.malformed)
    problems.add("polygon", [path] if found.outlines else [], found.outlines)
    return found


def _place_images(
    root: Path, files: dict[str, str], read: Sequence[VocFile], problems: Problems
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
        said = PurePosixPath(clean_path(one.image))
        own, told = by_stem.get(stem, []), by_stem.get(said.stem) or by_stem.get(said.name, [])
        if own and told and not set(own) & set(told):
            problems.add("renamed", [f"{one.path} ({said.name})"])
        choices = own or told
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


def _shared(path: str, other: str) -> tuple[int, int]:
    """How many folders two paths begin with alike, and how many names of folders both have."""
    first, second = PurePosixPath(path).parts[:-1], PurePosixPath(other).parts[:-1]
    pairs = zip(first, second, strict=False)
    same = takewhile(lambda pair: pair[0] == pair[1], pairs)
    return len(list(same)), len(set(first) & set(second))


def _joined(read: Iterable[VocFile], words: Sequence[str]) -> BoxTable:
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


def _once(
    placed: Sequence[str], read: Sequence[VocFile], table: BoxTable, problems: Problems
) -> tuple[dict[str, int], list[Part], BoxTable]:
    """Image -> its first annotation file, the images' parts, and the objects by image."""
    first: dict[str, int] = {}
    parts: list[Part] = []
    numbers = np.zeros(len(placed), np.int64)
    place = {image: i for i, image in enumerate(dict.fromkeys(placed))}
    for i, (image, one) in enumerate(zip(placed, read, strict=True)):
        numbers[i] = place[image]
        if image not in first:
            first[image] = i
            parts.append(one.part)
            continue
        differs = parts[place[image]] != one.part
        problems.add("overlap" if differs else "repeated", [image])
        parts[place[image]] = one.part or parts[place[image]]
    return first, parts, table._replace(image=numbers[table.image])


def _edges(table: BoxTable) -> tuple[BoxTable, bool, list[str]]:
    """From VOC's corners to edges in pixels, or to shares of the sides where they are such."""
    boxes = table.boxes[np.isfinite(table.boxes).all(axis=1)]
    fractions = int(np.any(boxes != np.floor(boxes), axis=1).sum())
    if 4 * fractions > len(boxes):
        if boxes.min() >= 0 and boxes.max() <= 1:
            return table, True, ["corners are from 0 to 1 here: shares of the image's sides"]
        return table, False, ["corners have fractions here: taken as edges, not counted from 1"]
    first = table.boxes[:, :2]
    if (first == 0).sum() > (first == 1).sum():
        note = "boxes are counted from 0 here, not from 1 as VOC does: taken as edges"
        return table, False, [note]
    return table._replace(boxes=table.boxes - [1, 1, 0, 0]), False, []
