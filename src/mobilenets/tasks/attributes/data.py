"""Images with several labels each: tables, lists of tools, tags, the built-in shapes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np

from mobilenets.data.built_in import BUILT_IN, is_built_in
from mobilenets.data.classes.tables import find_tables
from mobilenets.data.dataset import Dataset
from mobilenets.data.files import ImagesOnDisk
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import count, few
from mobilenets.data.shapes import shape_split
from mobilenets.data.splits import (
    Holding,
    Split,
    check_split,
    choose,
    groups_in_two_parts,
    present,
)
from mobilenets.errors import DataError
from mobilenets.tasks.attributes.formats.celeba import find_celeba, read_celeba
from mobilenets.tasks.attributes.formats.lists import (
    find_lists,
    has_tag_files,
    read_lists,
    read_tag_files,
)
from mobilenets.tasks.attributes.formats.marked import Marked, MarkedImages
from mobilenets.tasks.attributes.formats.meaning import explained
from mobilenets.tasks.attributes.formats.shapes import ShapeAttributes
from mobilenets.tasks.attributes.formats.tables import list_marks
from mobilenets.tasks.attributes.marks import NO, UNKNOWN, YES, constant

GIVE = "a CSV list with a column of 0 and 1 for each attribute, or tags"


def open_data(path: str | Path, split: str, *, seed: int = 0) -> Dataset:
    """Images with marks for attributes; what they are is seen from the disk (docs/attributes.md).

    - a CSV list with a column for each attribute, or with one of tags, or a folder with such lists;
    - CelebA's `list_attr_celeba.txt`, or Kaggle's CSV of it, and the lists beside it;
    - text lists with `path<TAB>0,1,0`;
    - a text file of tags beside each image;
    - the word `shapes`: the built-in data set.

    Where the data does not say which images are for validation, a fifth is held out by the rank of
    a hash of `seed` and file name, and images of one group stay together. DataError for data that
    cannot be used; lesser things are said in `notes`: attributes that are the same on all images,
    unknown entries, columns of other things.
    """
    if is_built_in(path):
        return ShapeAttributes(shape_split(split), seed=seed)
    check_split(split, 0.2)
    found = read(Path(path))
    holding = Holding(found.groups)
    chosen = choose(path, found.files, found.parts, cast(Split, split), 0.2, seed, holding)
    found.notes += chosen.notes
    return selected(found, chosen.images, chosen.origin, split)


def open_parts(path: str | Path, *, seed: int = 0) -> dict[str, MarkedImages | ShapeAttributes]:
    """Every part that the data itself has, by name; `all` where it says of none."""
    if is_built_in(path):
        return {part: ShapeAttributes(part, seed=seed) for part in ("train", "val")}
    found = read(Path(path))
    parts: dict[str, MarkedImages | ShapeAttributes] = {}
    for part in present(found.parts):
        images = [i for i, one in enumerate(found.parts) if one == part]
        parts[part or "all"] = selected(found, images, "", part or "all")
    return parts


def read(path: Path) -> Marked:
    """All that is on disk; DataError where there are no attributes."""
    found = _read(path)
    if any(found.groups):
        said = zip(found.parts, found.groups, strict=True)
        found.notes += groups_in_two_parts(said, few(found.lists, 2))
    if len(constant(found.marks)) == len(found.names):
        raise DataError(
            f"{path}: {count(len(found.names), 'attribute is', 'attributes are')} the same on all "
            f"images: {few(found.names)}"
        )
    return found


def _read(path: Path) -> Marked:
    if not path.exists():
        raise DataError(f"{path}: no such data folder or file")
    celeba = find_celeba(path)
    if celeba is not None:
        top = path if path.is_dir() else path.parent
        return read_celeba(celeba, top)
    if path.is_file():
        if path.suffix.lower() in (".csv", ".tsv"):
            return list_marks(path.parent, {path: ""})
        lists = find_lists(path)
        if lists:
            return read_lists(path.parent, lists)
        raise DataError(f"{path}: expected {GIVE}, a text list of path<TAB>0,1,0 or `{BUILT_IN}`")
    tables = find_tables(path)
    if tables:
        return list_marks(path, tables)
    lists = find_lists(path)
    if lists:
        return read_lists(path, lists)
    if has_tag_files(path):
        return read_tag_files(path)
    raise DataError(f"{path}: no attributes; expected {GIVE}")


def of_classes(
    dataset: ImagesOnDisk, found: Sequence[tuple[Sequence[int], Sequence[int]]], things: str
) -> MarkedImages:
    """Images that are labelled for another use: an attribute is there where its class is.

    `found` are the classes that each image surely has, and those that it may have, which are
    unknown; `things` what the labels are, in a word.
    """
    marks = np.full((len(dataset), len(dataset.classes)), NO, np.int8)
    for row, (sure, doubtful) in zip(marks, found, strict=True):
        row[list(doubtful)] = UNKNOWN
        row[list(sure)] = YES
    notes = [
        *dataset.notes,
        f"{things} are taken as tags: an attribute is there where its class is",
    ]
    explained(notes, int((marks == UNKNOWN).sum()), f"the {things}")
    taken = dataset.taken or Taken(dataset.root, frozenset(dataset.files))
    return MarkedImages(
        f"{things} as tags",
        dataset.root,
        dataset.classes,
        dataset.files,
        marks,
        notes,
        dataset.origin,
        taken,
    )


def selected(found: Marked, images: Sequence[int], origin: str, split: str) -> MarkedImages:
    """Some of the images as a data set."""
    marks = found.marks[list(images)]
    notes = list(found.notes)
    same = [found.names[k] for k in constant(marks)]
    if same:
        what = count(len(same), "attribute is", "attributes are")
        notes.append(f"{what} the same on all images for {split}, or unknown: {few(same)}")
    groups = tuple(found.groups[i] for i in images) if any(found.groups) else ()
    taken = Taken(found.root, frozenset(found.files), frozenset(found.lists))
    files = tuple(found.files[i] for i in images)
    return MarkedImages(
        found.kind, found.root, found.names, files, marks, notes, origin, taken, groups
    )
