"""COCO's JSON: images, categories and annotations in one file for each part."""

import json
import math
import re
from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from os.path import normpath, relpath
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

import numpy as np

from mobilenets.data.listing import Part, few, one_line, part_named
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.boxes import BoxTable, join
from mobilenets.tasks.detect.formats.problems import KINDS

_SAMPLE = 50
"""File names that are looked up in each folder that might hold the images."""


def find_coco(folder: Path) -> list[tuple[Part, Path]]:
    """A folder's COCO files with their parts; [] where there are none.

    `annotations/instances_*.json`; else `train/`, `val/` and `test/` with a JSON file each, as
    Roboflow writes them; else JSON files in `annotations/` or the folder itself, with their part
    in their name, or only one file.
    """
    inner = folder / "annotations"
    instances = _named_parts(sorted(inner.glob("instances_*.json")))
    if instances:
        return instances
    each: list[tuple[Part, Path]] = []
    for child in sorted(folder.iterdir()):
        part = part_named(child.name)
        files = sorted(child.glob("*.json")) if part and child.is_dir() else []
        if part and len(files) == 1:
            each.append((part, files[0]))
    if each:
        return each
    return _named_parts(sorted(inner.glob("*.json"))) or _named_parts(sorted(folder.glob("*.json")))


def _named_parts(files: Sequence[Path]) -> list[tuple[Part, Path]]:
    """The files whose name says a part; else the only file."""
    every: list[tuple[Part, Path]] = [(_part_in(file.stem), file) for file in files]
    return [one for one in every if one[0]] or (every if len(every) == 1 else [])


def _part_in(stem: str) -> Part:
    parts = [part for word in re.split(r"[\W_\d]+", stem) if (part := part_named(word))]
    return parts[0] if parts else ""


def read_coco(root: Path, files: Sequence[tuple[Part, Path]]) -> Annotations:
    """Everything in COCO files; paths of images are relative to `root`.

    Boxes are x, y, width, height in pixels of an image of the size that the file states, the
    first pixel's edge at 0. `iscrowd` and `area` are kept. Classes are those of the train part,
    by id. DataError for a file that is cut short, no JSON, or no COCO.
    """
    problems = Problems(KINDS)
    read = [_read(root, path, part, problems) for part, path in files]
    own = next((one for one in read if one.part == "train"), read[0])
    used = {one.words[label] for one in read for label in np.unique(one.table.labels).tolist()}
    classes, notes = _classes(own.categories, used)
    place: dict[str, int] = {}
    parts: list[Part] = []
    sizes: list[tuple[int, int]] = []
    tables: list[BoxTable] = []
    words: list[str] = []
    for one in read:
        numbers = np.zeros(len(one.files), np.int64)
        for i, (name, size) in enumerate(zip(one.files, one.sizes, strict=True)):
            numbers[i] = place.setdefault(name, len(place))
            if numbers[i] < len(parts):
                problems.add("overlap" if parts[numbers[i]] != one.part else "repeated", [name])
                parts[numbers[i]] = one.part
            else:
                parts.append(one.part)
                sizes.append(size)
        table = one.table
        labels = table.labels + len(words)
        tables.append(table._replace(image=numbers[table.image], labels=labels))
        words += one.words
    return Annotations(
        "COCO JSON",
        root,
        list(place),
        parts,
        np.array(sizes, np.int64).reshape(-1, 2),
        join(tables),
        words,
        classes,
        problems,
        notes,
    )


class _Category(NamedTuple):
    id: int | str
    name: str
    group: str
    """Its `supercategory`."""


@dataclass
class _CocoFile:
    part: Part
    files: list[str]
    sizes: list[tuple[int, int]]
    table: BoxTable
    """Images are places in `files`, labels in `words`."""
    words: list[str]
    categories: list[_Category]


@dataclass
class _Columns:
    """Takes the annotations from the JSON parser one by one, as numbers: no object outlives it."""

    images: dict[Hashable, int] = field(default_factory=dict)
    categories: dict[Hashable, int] = field(default_factory=dict)
    image: "array[int]" = field(default_factory=lambda: array("q"))
    label: "array[int]" = field(default_factory=lambda: array("q"))
    box: "array[float]" = field(default_factory=lambda: array("d"))
    area: "array[float]" = field(default_factory=lambda: array("d"))
    crowd: "array[int]" = field(default_factory=lambda: array("b"))
    malformed: list[str] = field(default_factory=list)

    def __call__(self, value: dict[str, Any]) -> Any:
        if "image_id" not in value:
            return value
        try:
            self._add(value)
        except (KeyError, TypeError, ValueError):
            self.malformed.append(one_line(f"annotation {value.get('id', '?')}")[:40])
        return None

    def _add(self, value: dict[str, Any]) -> None:
        x, y, width, height = map(_number, value["bbox"])
        area = value.get("area")
        label = self.categories.setdefault(value["category_id"], len(self.categories))
        image = self.images.setdefault(value["image_id"], len(self.images))
        self.image.append(image)
        self.label.append(label)
        self.box.extend((x, y, x + width, y + height))
        self.area.append(_number(area) if isinstance(area, int | float) else math.nan)
        self.crowd.append(value.get("iscrowd") in (1, True))


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond 1e308
        return math.inf


def _read(root: Path, path: Path, part: Part, problems: Problems) -> _CocoFile:
    columns = _Columns()
    content = _load(path, columns)
    problems.add("malformed", [f"{name} of {path.name}" for name in columns.malformed])
    categories = _categories(content["categories"])
    files, sizes, numbers = _images(root, path, part, content["images"], problems)
    names: dict[Hashable, str] = {category.id: category.name for category in categories}
    words = [names.get(i, one_line(f"id {i} of {path.name}")) for i in columns.categories]
    place = np.array([numbers.get(i, -1) for i in columns.images], np.int64)
    image = place[np.asarray(columns.image, np.int64)] if columns.image else np.zeros(0, np.int64)
    orphans = [one_line(f"id {i} of {path.name}") for i in columns.images if i not in numbers]
    problems.add("orphan", orphans, int((image < 0).sum()))
    table = BoxTable.of(
        *(image, np.asarray(columns.box), np.asarray(columns.label, np.int64)),
        crowd=np.asarray(columns.crowd, bool),
        areas=np.asarray(columns.area),
    )
    return _CocoFile(part, files, sizes, table.take(image >= 0), words, categories)


def _load(path: Path, columns: _Columns) -> dict[str, list[Any]]:
    try:
        content = json.loads(path.read_bytes(), object_hook=columns)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{path}: not JSON, or cut short: {error.msg} at {where}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: not COCO's JSON, which is an object with images and more")
    for key in ("images", "annotations", "categories"):
        if not isinstance(content.get(key), list):
            has = few([one_line(name) for name in content]) or "nothing"
            raise DataError(f"{path}: not COCO's JSON: no list of {key}; it has {has}")
    return content


def _categories(entries: list[Any]) -> list[_Category]:
    """Those that have an id and a name, by id."""
    found = [
        _Category(one["id"], one_line(str(one["name"])), str(one.get("supercategory")))
        for one in entries
        if isinstance(one, dict)
        and isinstance(one.get("id"), int | str)
        and one_line(str(one.get("name") or ""))
    ]
    return sorted(found, key=lambda category: natural_key(str(category.id)))


def _classes(categories: Sequence[_Category], used: set[str]) -> tuple[tuple[str, ...], list[str]]:
    """The classes' names, and a note where one is no class but the name of the whole.

    Roboflow writes such a category, with id 0 and no object.
    """
    groups = {category.group for category in categories}
    names = list(dict.fromkeys(category.name for category in categories))
    whole = [
        category.name
        for category in categories
        if category.group == "none" and category.name in groups and category.name not in used
    ]
    kept = tuple(name for name in names if name not in whole)
    note = f"{few(whole)} is the name of a group of classes and has no objects: no class"
    return kept, [note] if whole else []


def _images(
    root: Path, path: Path, part: Part, entries: list[Any], problems: Problems
) -> tuple[list[str], list[tuple[int, int]], dict[Hashable, int]]:
    """Paths relative to the root, sizes, and the place of each id."""
    known: dict[Hashable, tuple[str, tuple[int, int]]] = {}
    bad = []
    for entry in entries:
        one = entry if isinstance(entry, dict) else {}
        name, key = one.get("file_name"), one.get("id")
        if not (_is_name(name) and isinstance(key, int | str)) or key in known:
            bad.append(one_line(f"{name or 'id ' + str(key)} of {path.name}")[:80])
        else:
            known[key] = (name, (_side(one.get("width")), _side(one.get("height"))))
    problems.add("bad image", bad)
    if not known:
        raise DataError(f"{path}: it lists no images")
    placed = _placed(root, path, part, [name for name, _ in known.values()])
    return placed, [size for _, size in known.values()], {key: i for i, key in enumerate(known)}


def _is_name(value: Any) -> TypeGuard[str]:
    """Whether a file can be called so: JSON may hold halves of characters."""
    try:
        return isinstance(value, str) and bool(value.encode())
    except UnicodeEncodeError:
        return False


def _side(value: Any) -> int:
    """A width or a height; 0 where it is none."""
    return int(value) if isinstance(value, int | float) and 0 < value < 2**31 else 0


def _placed(root: Path, path: Path, part: Part, names: list[str]) -> list[str]:
    """Where the images are: in the folder, of those that are usual, that has most of them."""
    sample = names[:: max(len(names) // _SAMPLE, 1)]
    ways = [_plain, _last] if any("/" in name or "\\" in name for name in sample) else [_plain]
    best = max(
        ((folder, way) for way in ways for folder in _folders(root, path, part)),
        key=lambda choice: sum(_exists(choice[0], choice[1](name)) for name in sample),
    )
    folder, way = best
    before = relpath(folder, root)
    return [Path(normpath(f"{before}/{way(name)}")).as_posix() for name in names]


def _folders(root: Path, path: Path, part: Part) -> list[Path]:
    """Folders that may hold a file's images, the likeliest first."""
    words = [word for word in re.split(r"[_.]", path.stem) if part_named(word.rstrip("0123456789"))]
    below = [*words, *([part] if part else []), *(["valid"] if part == "val" else [])]
    found: list[Path] = []
    for base in (path.parent, root, path.parent.parent):
        for images in (base, base / "images"):
            found += [images, *(images / name for name in below)]
    return [folder for folder in dict.fromkeys(found) if folder.is_dir()]


def _plain(name: str) -> str:
    return name


def _last(name: str) -> str:
    """The file's own name, where its path is that of another machine."""
    return re.split(r"[/\\]", name)[-1]


def _exists(folder: Path, name: str) -> bool:
    try:
        return (folder / name).is_file()
    except (OSError, ValueError):  # a name too long, or with a null in it
        return False
