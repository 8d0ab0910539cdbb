"""Which ids in masks are which classes: from a file, or seen from the masks."""

import csv
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.files import read_text
from mobilenets.data.listing import few, one_line
from mobilenets.errors import DataError
from mobilenets.runtime.labels import VOC
from mobilenets.tasks.segment.formats.colours import ColourMap, find_colours
from mobilenets.tasks.segment.formats.known import known_names
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.formats.values import MaskValues

NAME_FILES = ("classes.txt", "labels.txt", "class_names.txt", "codes.txt")
"""A name a line; the last is fastai's of CamVid."""
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
    halves: bool = False
    """Whether masks are dark or bright: two classes, below 128 and from there on."""


def name_ids(
    root: Path,
    files: Sequence[str],
    masks: Sequence[str],
    see: Callable[[], MaskValues],
    colours: ColourMap | None = None,
) -> Naming:
    """The classes of a data set; `see` reads its masks for training, if it must be known.

    By the colours that masks are read by; by `classes.txt` or one of `NAME_FILES` (a name a line,
    from id 0 on; or `id: name`), Roboflow's `_classes.csv`, ADE20K's `objectInfo150.txt`, COCO's
    categories in a JSON file, or the names in a file of colours; else VOC's where the masks have
    its palette; else those of Cityscapes or CamVid where files are called as theirs; else
    numbers. Masks of 0 and 255 alone are two classes.
    """
    if colours is not None:
        note = f"masks are read by the colours in {colours.source}"
        if colours.unread:
            note += f"; no name with a colour, left out: {few(colours.unread, 3)}"
        where = root / colours.source
        return _naming(where if where.is_file() else root, dict(enumerate(colours.names)), [note])
    found = _read_names(root, masks, see)
    if found is not None:
        return found
    seen = see()
    ids = seen.ids
    if set(ids.tolist()) == {VOID}:
        raise DataError(f"{root}: every mask for training is {VOID}, void, everywhere")
    if seen.is_voc:
        note = f"the masks have VOC's palette: its {len(VOC)} names are taken"
        return _naming(root, dict(enumerate(VOC)), [note])
    known = known_names(files, masks, seen.most)
    if known is not None:
        return _naming(root, known.names, [known.note])
    if seen.halves:
        return _halves(root, ("0", "255"), seen, named=False)
    if seen.most < 1:
        raise DataError(f"{root}: the masks have only one class, {seen.most}")
    return _numbers(root, seen)


def _numbers(root: Path, seen: MaskValues) -> Naming:
    """Classes called by their ids: all up to the greatest, or those that there are, if few."""
    notes = ["the data has no names for its classes: they are called by their ids"]
    there = [one for one in seen.ids.tolist() if one != VOID]
    few_of_many = seen.most >= 64 and 4 * len(there) <= seen.most
    if few_of_many and len(there) <= MOST_CLASSES:
        void = f"; {VOID} is taken as void" if VOID in seen.ids else ""
        some = few([str(one) for one in there])
        notes += [f"masks hold few ids, so only those are classes: {some}{void}"]
        return _naming(root, {i: str(i) for i in there}, notes, named=False)
    if seen.most >= MOST_CLASSES:
        notes += [
            f"masks have at most {MOST_CLASSES} classes: ids from {MOST_CLASSES} on are void, "
            f"the greatest is {seen.most}; masks of single objects are not classes"
        ]
    names = {i: str(i) for i in range(min(seen.most, MOST_CLASSES - 1) + 1)}
    return _naming(root, names, notes, named=False)


def _halves(
    where: Path, classes: tuple[str, ...], seen: MaskValues, *, named: bool = True
) -> Naming:
    """Two classes, in masks of 0 and 255, or of greys that are near to those."""
    what = "0 and 255 alone" if seen.sharp else "greys near 0 and 255 (blurred: below 128, and not)"
    names = " and ".join(classes)
    note = f"masks hold {what}: two classes, {names}; 255 is void only where there are others"
    naming = _naming(where, dict(enumerate(classes)), [note], named=named)
    table = np.full(_IDS, VOID, np.uint8)
    known = [0, 255] if seen.sharp else range(256)
    table[known] = np.array(known) >= 128
    return replace(naming, table=table, known=frozenset(known), halves=True)


def _naming(where: Path, names: Names, notes: list[str], *, named: bool = True) -> Naming:
    """Classes in the order of their ids; those that are called void are void."""
    kept = sorted(i for i, name in names.items() if not _VOID.fullmatch(name))
    if VOID in kept and len(names) > VOID:  # a list that goes on so long; else it is meant
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
    for path in (root / name for name in NAME_FILES):
        if path.is_file():
            names, from_file = _from_lines(path)
            two = _two_halves(path, names, see)
            if two is not None:
                return two
            return _numbered(path, names, masks, see) if from_file else _naming(path, names, [])
    for path in [root / "_classes.csv", *sorted(root.glob("*/_classes.csv"))]:
        if path.is_file():
            names = _from_csv(path)
            return _two_halves(path, names, see) or _naming(path, names, [])
    path = root / "objectInfo150.txt"
    if path.is_file():
        return _naming(path, {0: "void", **_from_ade(path)}, [f"names are those of {path.name}"])
    for path in _category_files(root):
        names = _from_json(path)
        if names:
            return _numbered(path, names, masks, see)
    by_line = find_colours(root)
    if by_line is not None:
        note = f"masks hold numbers: names are those of {by_line.source}, by their order"
        return _naming(root / by_line.source, dict(enumerate(by_line.names)), [note])
    return None


def _two_halves(path: Path, names: Names, see: Callable[[], MaskValues]) -> Naming | None:
    """One name, or two, where masks hold 0 and 255 alone; None where it is otherwise."""
    kept = [names[i] for i in sorted(names) if not _VOID.fullmatch(names[i])]
    if not 1 <= len(kept) <= 2:
        return None
    seen = see()
    if not seen.halves:
        return None
    return _halves(path, ("background", *kept) if len(kept) == 1 else tuple(kept), seen)


def _from_ade(path: Path) -> Names:
    """ADE20K's table: a heading, then an id first and names, with commas between, last."""
    rows = [line.split("\t") for line in read_text(path).splitlines()[1:] if line.strip()]
    try:
        pairs = [(int(row[0]), one_line(row[-1].split(",")[0])) for row in rows]
    except ValueError as error:
        raise DataError(f"{path}: expected lines that begin with an id") from error
    names = _by_id(path, pairs)
    twice = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {i: f"{name} {i}" if name in twice else name for i, name in names.items()}


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
    said = [
        (_whole(one["id"]), one_line(str(one.get("name") or "")))
        for one in (entries if isinstance(entries, list) else [])
        if isinstance(one, dict) and "id" in one
    ]
    pairs = [(i, name) for i, name in said if i is not None]
    strange = [name for i, name in said if i is None]
    if strange and pairs:
        raise DataError(f"{path}: categories whose id is no whole number: {few(strange)}")
    nameless = [str(i) for i, name in pairs if not name]
    if len(nameless) == len(pairs):
        return {}
    if nameless:
        raise DataError(f"{path}: categories without a name: id {few(nameless)}")
    return _by_id(path, pairs)


def _whole(value: Any) -> int | None:
    """An id as some tools write it, `7`, `7.0` or `"7"`; None for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() and not isinstance(value, bool) else None
