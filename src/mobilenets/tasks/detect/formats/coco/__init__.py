"""COCO's JSON: images, categories and annotations in one file for each part."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np

from mobilenets.data.listing import Part, few, one_line
from mobilenets.data.paths import Tree
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.boxes import BoxTable, join
from mobilenets.tasks.detect.formats.coco.columns import TAKEN, Columns, as_written
from mobilenets.tasks.detect.formats.coco.entries import (
    Category,
    categories_of,
    class_names,
    images_of,
    same_names,
)
from mobilenets.tasks.detect.formats.problems import KINDS


def read_coco(root: Path, files: Sequence[tuple[Part, Path]]) -> Annotations:
    """Everything in COCO files; paths of images are relative to `root`.

    Boxes are x, y, width, height in pixels of an image of the size that the file states, the
    first pixel's edge at 0; where there is none, that around the outline. `iscrowd` and `area`
    are kept. Classes are those of the train part, by id; without categories, the ids. Several
    files of one part are read together; one that lists the images of another is left out.
    DataError for a file that is cut short, no JSON, or no COCO.
    """
    problems = Problems(KINDS)
    tree = Tree(root)
    read, notes = _apart([_read(tree, path, part, problems) for part, path in files])
    own = next((found for part in ("train", "") if (found := _of(read, part))), read[:1])
    used = {one.words[label] for one in read for label in np.unique(one.table.labels).tolist()}
    classes, group = class_names([category for one in own for category in one.categories], used)
    named = any(one.named for one in own)
    if not named:
        notes.append("the data has no names for its classes: they are called by their ids")
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
                parts[numbers[i]] = one.part or parts[numbers[i]]
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
        [*(note for one in read for note in one.notes), *notes, *group],
        named,
        labels=[Path(relpath(one.path, root)).as_posix() for one in read],
    )


@dataclass
class _CocoFile:
    path: Path
    part: Part
    files: list[str]
    sizes: list[tuple[int, int]]
    table: BoxTable
    """Images are places in `files`, labels in `words`."""
    words: list[str]
    categories: list[Category]
    named: bool
    notes: list[str] = field(default_factory=list)


def _of(read: Sequence[_CocoFile], part: Part) -> list[_CocoFile]:
    return [one for one in read if one.part == part]


def _apart(read: list[_CocoFile]) -> tuple[list[_CocoFile], list[str]]:
    """Without files that list the images of another file once more; a note names them.

    Of two of a part the one with more objects is kept; of one that says no part, the parts are.
    """
    kept: list[_CocoFile] = []
    notes = []
    for one in sorted(read, key=lambda one: (one.part == "", -len(one.table.image))):
        names = set(one.files)
        twin = next(
            (
                other
                for other in (kept if not one.part else _of(kept, one.part))
                if 2 * len(names & set(other.files)) >= len(names)
            ),
            None,
        )
        if twin is None:
            kept.append(one)
        else:
            notes.append(
                f"{_short(one)} is left out: it lists images of {_short(twin)}, which "
                + ("has as many objects or more" if one.part == twin.part else "says their part")
            )
    order = [one for one in read if any(one is other for other in kept)]
    for part in dict.fromkeys(one.part for one in order):
        several = [_short(one) for one in _of(order, part)]
        if len(several) > 1:
            notes.append(f"{few(several)} are read together" + (f" for {part}" if part else ""))
    return order, notes


def _short(one: _CocoFile) -> str:
    return one_line(f"{one.path.parent.name}/{one.path.name}" if one.part else one.path.name)


def _read(tree: Tree, path: Path, part: Part, problems: Problems) -> _CocoFile:
    columns = Columns()
    content = _load(path, columns)
    rest = sum(one is not TAKEN for one in content["annotations"])
    problems.add("malformed", [f"{name} of {path.name}" for name in columns.malformed])
    problems.add("malformed", [f"annotations without image and class of {path.name}"], rest)
    problems.add("polygon", [path.name], columns.outlines)
    categories = categories_of(content["categories"], path.name, problems)
    named = bool(categories)
    if not categories:
        named = any(isinstance(key, str) for key in columns.categories)
        categories = [Category(key, one_line(str(key)), "") for key in columns.categories]
        categories.sort(key=lambda category: natural_key(category.name))
    images = images_of(tree, path, part, content["images"], problems)
    names = {category.id: category.name for category in categories}
    words = [names.get(i, one_line(f"id {i} of {path.name}")) for i in columns.categories]
    place = np.array([images.numbers.get(i, -1) for i in columns.images], np.int64)
    table = columns.table()
    image = place[table.image] if len(place) else table.image
    orphans = [i for i in columns.images if i not in images.numbers]
    lost = [one_line(f"id {i} of {path.name}") for i in orphans]
    problems.add("orphan", lost, int((image < 0).sum()))
    table = table._replace(image=image).take(image >= 0)
    sizes = np.array(images.sizes, np.float64).reshape(-1, 2)
    boxes, notes = as_written(table.boxes, sizes[table.image], path.name)
    notes = [*images.notes, *same_names(categories), *notes]
    table = table._replace(boxes=boxes)
    return _CocoFile(path, part, images.files, images.sizes, table, words, categories, named, notes)


def _load(path: Path, columns: Columns) -> dict[str, Any]:
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
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            has = few([one_line(name) for name in content]) or "nothing"
            raise DataError(f"{path}: not COCO's JSON: no list of {key}; it has {has}")
    if not isinstance(content.setdefault("categories", []), list | dict):
        raise DataError(f"{path}: categories must be a list, got {content['categories']!r:.40}")
    if any(isinstance(one, dict) and "segments_info" in one for one in content["annotations"]):
        raise DataError(f"{path}: COCO's panoptic file, of masks; boxes are in instances_*.json")
    return content
