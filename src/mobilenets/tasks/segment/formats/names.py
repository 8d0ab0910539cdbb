"""Which ids in masks are which classes: from a file, or seen from the masks."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.files import read_text
from mobilenets.data.listing import few, one_line
from mobilenets.errors import DataError
from mobilenets.runtime.labels import VOC
from mobilenets.tasks.segment.formats.masks import VOID

CAMVID_NAMES = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car"),
    *("pedestrian", "bicyclist"),
)
"""Badrinarayanan et al., the SegNet tutorial's 11 classes of CamVid; id 11 is void."""
_CAMVID_FILE = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_")
_VOID = re.compile(r"void|ignored?|unlabell?ed", re.IGNORECASE)
_NUMBERED = re.compile(r"\s*(\d{1,5})\s*[:=]\s*(.*\S)\s*")
_IDS = 1 << 16
"""How many ids a mask may have."""
MOST_CLASSES = VOID
"""A target has a byte for each pixel, of which one value is void's."""

Names = dict[int, str]
"""Id -> what the data calls it, void among them."""


@dataclass(frozen=True)
class Naming:
    """What each id in a mask means."""

    classes: tuple[str, ...]
    named: bool
    table: NDArray[np.uint8]
    """(65536,): id -> class, or 255."""
    known: frozenset[int]
    """The ids that mean something, void's among them."""
    notes: list[str] = field(default_factory=list)
    files: tuple[str, ...] = ()
    """Those that the names were read from."""


class MaskValues(NamedTuple):
    """What the masks for training hold."""

    ids: NDArray[np.integer]
    """Sorted, each once."""
    is_voc: bool
    """Whether all have the colours of VOC's 21 classes."""


def name_ids(
    root: Path, files: Sequence[str], masks: Sequence[str], see: Callable[[], MaskValues]
) -> Naming:
    """The classes of a data set; `see` reads its masks for training, if it must be known.

    By `classes.txt`, `labels.txt` or labelme's `class_names.txt` (a name a line, from id 0 on; or
    `id: name`), Roboflow's `_classes.csv`, or COCO's categories in a JSON file; else VOC's where
    the masks have its palette; else those of CamVid where files are called as its frames; else
    numbers.
    """
    found = _read_names(root, masks, see)
    if found is not None:
        return found
    ids, is_voc = see()
    if set(ids.tolist()) == {VOID}:
        raise DataError(f"{root}: every mask for training is {VOID}, void, everywhere")
    if is_voc:
        note = f"the masks have VOC's palette: its {len(VOC)} names are taken"
        return _naming(root, dict(enumerate(VOC)), [note])
    most = max((int(one) for one in ids if one != VOID), default=0)
    if most <= len(CAMVID_NAMES) and all(_CAMVID_FILE.match(Path(file).name) for file in files):
        note = (
            f"file names and ids are those of CamVid as the SegNet tutorial has it: its "
            f"{len(CAMVID_NAMES)} names are taken, and id {len(CAMVID_NAMES)} as void"
        )
        return _naming(root, dict(enumerate((*CAMVID_NAMES, "void"))), [note])
    if most < 1:
        hint = f"; {VOID} is void: a mask of two classes has ids 0 and 1" if VOID in ids else ""
        raise DataError(f"{root}: the masks have only one class, {most}{hint}")
    notes = ["the data has no names for its classes: they are called by their ids"]
    if most >= MOST_CLASSES:
        notes += [
            f"masks have at most {MOST_CLASSES} classes: ids from {MOST_CLASSES} on are void, "
            f"the greatest is {most}; masks of single objects are not classes"
        ]
    names = {i: str(i) for i in range(min(most, MOST_CLASSES - 1) + 1)}
    return _naming(root, names, notes, named=False)


def _naming(where: Path, names: Names, notes: list[str], *, named: bool = True) -> Naming:
    """Classes in the order of their ids; those that are called void are void."""
    kept = sorted(i for i, name in names.items() if not _VOID.fullmatch(name))
    if VOID in kept:
        raise DataError(f"{where}: id {VOID} is always void, and no class {names[VOID]!r}")
    classes = tuple(names[i] for i in kept)
    twice = [name for i, name in enumerate(classes) if name in classes[:i]]
    if twice:
        raise DataError(f"{where}: a name for two ids: {few(twice)}")
    if not 2 <= len(classes) <= MOST_CLASSES:
        raise DataError(
            f"{where}: masks have 2 to {MOST_CLASSES} classes besides void, got {len(classes)}"
        )
    table = np.full(_IDS, VOID, np.uint8)
    table[kept] = np.arange(len(kept))
    files = (str(where.absolute()),) if where.is_file() else ()
    return Naming(classes, named, table, frozenset([*names, VOID]), notes, files)


def _read_names(root: Path, masks: Sequence[str], see: Callable[[], MaskValues]) -> Naming | None:
    for name in ("classes.txt", "labels.txt", "class_names.txt"):
        if (root / name).is_file():
            path = root / name
            names, from_file = _from_lines(path)
            return _numbered(path, names, masks, see) if from_file else _naming(path, names, [])
    for path in [root / "_classes.csv", *sorted(root.glob("*/_classes.csv"))]:
        if path.is_file():
            return _naming(path, _from_csv(path), [])
    for path in _category_files(root):
        names = _from_json(path)
        if names:
            return _numbered(path, names, masks, see)
    return None


def _numbered(
    path: Path, names: Names, masks: Sequence[str], see: Callable[[], MaskValues]
) -> Naming:
    """Names by COCO's ids. In COCO-Stuff's `stuffthingmaps` a pixel is its category's id less 1."""
    own = not _VOID.fullmatch(names.get(0, "void"))  # a class of id 0: they are the masks' own
    lower = not own and (
        any("stuffthingmaps" in mask for mask in masks)
        or (path.suffix == ".json" and _are_one_less(see().ids, names))
    )
    notes = [f"names are those of {path.name}"]
    if lower:
        names = {i - 1: name for i, name in names.items() if i > 0}
        notes = [f"names are those of {path.name}, where each id is one more than in the masks"]
    elif 0 not in names:
        names[0] = "void"
        notes = [f"names are those of {path.name}, which has no id 0: that is void"]
    return _naming(path, names, notes)


def _are_one_less(ids: NDArray[np.integer], names: Names) -> bool:
    plain = set(ids.tolist()) - {VOID}
    return not plain <= names.keys() and {one + 1 for one in plain} <= names.keys()


def _from_lines(path: Path) -> tuple[Names, bool]:
    """Id -> name, and whether the file says the ids."""
    lines = [one_line(line) for line in read_text(path).rstrip().splitlines()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    if lines and all(numbered):
        return _by_id(path, ((int(match[1]), match[2]) for match in numbered if match)), True
    if "" in lines:
        raise DataError(f"{path}: line {lines.index('') + 1} is empty; line n names id n - 1")
    return dict(enumerate(lines)), False


def _from_csv(path: Path) -> Names:
    """Roboflow's: a heading, then `id, name`."""
    rows = [row for row in csv.reader(read_text(path).splitlines()[1:]) if row]
    try:
        pairs = [(int(row[0]), one_line(row[1])) for row in rows]
    except (ValueError, IndexError) as error:
        raise DataError(f"{path}: expected lines of `id, name`") from error
    return _by_id(path, pairs)


def _by_id(path: Path, pairs: Iterable[tuple[int, str]]) -> Names:
    """DataError for an id that no mask can have, or one of two names."""
    names: Names = {}
    for i, name in pairs:
        if not 0 <= i < _IDS:
            raise DataError(f"{path}: ids must be 0 to {_IDS - 1}, got {i} for {name!r}")
        if names.setdefault(i, name) != name:
            raise DataError(f"{path}: two names for id {i}: {few([names[i], name])}")
    return names


def _category_files(root: Path) -> list[Path]:
    """The smallest JSON file that may hold the categories: each part's has all of them."""
    found = [
        path
        for folder in (root, root / "annotations")
        for path in folder.glob("*.json")
        if re.match(r"(stuff|panoptic|categor|labels?|classes)", path.stem)
    ]
    return sorted(found, key=lambda path: (path.stat().st_size, path.name))[:1]


def _from_json(path: Path) -> Names:
    """Of `categories`, or of a file that is nothing but that list; {} where there are none."""
    try:
        content: Any = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON, or cut short ({one_line(str(error))[:100]})") from error
    entries = content.get("categories") if isinstance(content, dict) else content
    pairs = [
        (one["id"], one_line(str(one.get("name") or "")))
        for one in (entries if isinstance(entries, list) else [])
        if isinstance(one, dict) and isinstance(one.get("id"), int)
    ]
    nameless = [str(i) for i, name in pairs if not name]
    if len(nameless) == len(pairs):
        return {}
    if nameless:
        raise DataError(f"{path}: categories without a name: id {few(nameless)}")
    return _by_id(path, pairs)
