"""CSV lists: a column for each attribute, or one with the tags of an image."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilenets.data.classes.columns import GROUP_COLUMNS, IMAGE_COLUMNS, SPLIT_COLUMNS
from mobilenets.data.files import read_table
from mobilenets.data.listing import Part, count, few, one_line, part_named
from mobilenets.errors import DataError
from mobilenets.runtime.images import SUFFIXES
from mobilenets.runtime.kinds import suffix_of
from mobilenets.tasks.attributes.formats.marked import Marked, Row, gathered, placed
from mobilenets.tasks.attributes.formats.meaning import (
    FILE,
    explained,
    known,
    meaning_of,
    plain,
    said_in,
)
from mobilenets.tasks.attributes.marks import NO, UNKNOWN, YES

TAG_COLUMNS = ("tags", "tag", "attributes", "keywords", "labels", "tag_string")
MOSTLY = 0.9
"""A column of which so many entries are marks has a mistake in the others."""
SEPARATORS = ("|", ";", ",")
"""Of tags, the first that there is; else spaces."""
_ASIDE = ("", "unnamed: 0", "index")
_BOXES = ("xmin", "x_min", "xmax", "x1", "bbox", "x_center", "region_shape_attributes")


class _MarkTable(NamedTuple):
    file: Path
    part: Part
    heads: list[str]
    rows: Sequence[tuple[int, Mapping[str, str]]]
    """With their lines."""


class _MarkedRows(NamedTuple):
    names: tuple[str, ...]
    rows: list[Row]
    tags: bool


def list_marks(root: Path, files: Mapping[Path, Part]) -> Marked:
    """Read columns image (or path, filename), perhaps split and group, and one for each attribute.

    Marks are 1 and 0 (or yes, true, -1, ...) and blank for unknown, `meaning_of` has the rules; or
    there is a column `tags` with the tags of an image. Comma, semicolon or tab. Columns of other
    things are left out and named. Lists of several parts have the attributes of the first; what
    another lacks is unknown there. DataError for a list that says nothing of attributes.
    """
    notes: list[str] = []
    said = {file.parent: said_in(file.parent) for file in files}
    names: tuple[str, ...] = ()
    rows: list[Row] = []
    found: list[str] = []
    tagged = False
    order = sorted(files, key=lambda file: files[file] not in ("", "train"))
    for file in order:
        own = _read_table(_open(file, files[file]), said[file.parent], notes, names, tagged)
        tagged |= own.tags
        names = names or own.names
        folder = file.parent.relative_to(root).as_posix().removeprefix(".")
        kept, places = placed(file, root, own.rows, [folder, "", "images"], notes)
        rows += kept
        found += places
    extra = [path for folder in said if (path := folder / FILE).is_file()]
    kind = "CSV list of tags" if tagged else "CSV list of attributes"
    return gathered(kind, root, names, rows, found, notes, [*order, *extra])


def _open(path: Path, part: Part) -> _MarkTable:
    try:
        heads, rows = read_table(path)
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error})") from error
    if not rows:
        raise DataError(f"{path}: it has no rows")
    twice = [head for head, times in Counter(heads).items() if times > 1]
    if twice:
        raise DataError(f"{path}: several columns are called {few(twice)}")
    return _MarkTable(path, part, heads, rows)


def _read_table(
    table: _MarkTable,
    said: Mapping[str, int],
    notes: list[str],
    wanted: tuple[str, ...],
    tagged: bool,
) -> _MarkedRows:
    path, part, heads, rows = table
    boxes = [head for head in heads if plain(head) in _BOXES]
    if boxes:
        raise DataError(f"{path}: it has boxes (columns {few(boxes)}), which are for a detector")
    split, group = (_called(heads, names) for names in (SPLIT_COLUMNS, GROUP_COLUMNS))
    tags = _tag_column(table, known(said)) if tagged or not wanted else ""
    image = _called([head for head in heads if head != tags], IMAGE_COLUMNS)
    if not image:
        named = (h for h in heads if all(suffix_of(row[h].strip()) in SUFFIXES for _, row in rows))
        image = next(named, "")
    if not image:
        raise DataError(f"{path}: needs a column image, path or filename; it has {few(heads, 8)}")
    aside = {image, split, group, tags}
    places = [(line, row, _part(path, line, row, split, part)) for line, row in rows]
    for line, row, _ in places:
        if not row[image].strip():
            raise DataError(f"{path}: line {line} has no {image}")
    if tags:
        names, marks = _tags([row[tags] for _, row in rows], wanted, path, notes)
    else:
        others = [h for h in heads if h not in aside and plain(h) not in _ASIDE]
        names, marks = _marks(table, others, said, wanted, notes)
    made = [
        Row(row[image].strip(), one, line, own, one_line(row[group]) if group else "")
        for (line, row, own), one in zip(places, marks, strict=True)
    ]
    return _MarkedRows(names, made, bool(tags))


def _part(path: Path, line: int, row: Mapping[str, str], split: str, part: Part) -> Part:
    if not split:
        return part
    own = part_named(row[split])
    if own is None:
        raise DataError(
            f"{path}: line {line}: {split} must be train, val or test, got {row[split].strip()!r}"
        )
    return own


def _tag_column(table: _MarkTable, marks: Mapping[str, int]) -> str:
    """The column with the tags of an image; '' where there is none."""
    head = _called(table.heads, TAG_COLUMNS)
    if not head or all(plain(row[head]) in marks for _, row in table.rows):
        return ""
    return head


def _marks(
    table: _MarkTable,
    others: Sequence[str],
    said: Mapping[str, int],
    wanted: tuple[str, ...],
    notes: list[str],
) -> tuple[tuple[str, ...], list[list[int]]]:
    """The attributes and the marks of each row, in the order of `wanted` where that is given."""
    path, readable = table.file, known(said)
    heads, left = [], []
    for head in others:
        wrong = [(line, row[head]) for line, row in table.rows if plain(row[head]) not in readable]
        if not wrong:
            heads.append(head)
        elif len(wrong) <= (1 - MOSTLY) * len(table.rows):
            line, value = wrong[0]
            got = f"{value.strip()!r:.40}"
            raise DataError(f"{path}: line {line}: {head.strip()} must be 1, 0 or blank, got {got}")
        else:
            left.append(head.strip())
    if not heads:
        raise DataError(
            f"{path}: no column has marks of 1 and 0, nor tags: it has {few(table.heads, 8)}"
        )
    if left:
        what = count(len(left), "column has", "columns have")
        notes.append(f"{what} no marks in {path.name}, left out: {few(left)}")
    used = {plain(row[head]) for _, row in table.rows for head in heads}
    meaning = meaning_of(path, used, said, notes)
    own = {head.strip(): head for head in heads}
    names = wanted or tuple(own)
    _compare(path, wanted, own, notes)
    marks = [
        [meaning[plain(row[own[name]])] if name in own else UNKNOWN for name in names]
        for _, row in table.rows
    ]
    explained(notes, sum(row.count(UNKNOWN) for row in marks), path.name)
    return names, marks


def _compare(
    path: Path, wanted: Sequence[str], own: Mapping[str, object], notes: list[str]
) -> None:
    """Note what a list of another part has more, or less, than that of train."""
    if not wanted:
        return
    more, less = [n for n in own if n not in wanted], [n for n in wanted if n not in own]
    if more:
        what = count(len(more), "attribute", "attributes")
        notes.append(f"{what} of {path.name} that train has not, left out: {few(more)}")
    if less:
        what = count(len(less), "attribute", "attributes")
        notes.append(f"{what} not in {path.name}, unknown there: {few(less)}")


def _tags(
    texts: Sequence[str], wanted: tuple[str, ...], path: Path, notes: list[str]
) -> tuple[tuple[str, ...], list[list[int]]]:
    tags = split_tags(texts)
    names = wanted or tuple(sorted({tag for one in tags for tag in one}))
    _compare(path, wanted, dict.fromkeys(sorted({tag for one in tags for tag in one})), notes)
    return names, marks_of_tags(tags, names)


def split_tags(texts: Sequence[str]) -> list[list[str]]:
    """The tags in each text, parted by the first of `SEPARATORS` that there is, else by spaces."""
    mark = next((one for one in SEPARATORS if any(one in text for text in texts)), None)
    parts = ((one_line(tag) for tag in text.split(mark)) for text in texts)
    return [[tag for tag in one if tag] for one in parts]


def marks_of_tags(tags: Sequence[Sequence[str]], names: Sequence[str]) -> list[list[int]]:
    """What is tagged is there, what is not is not."""
    return [[YES if name in own else NO for name in names] for own in map(set, tags)]


def _called(heads: Sequence[str], names: Sequence[str]) -> str:
    by_name = {plain(head): head for head in reversed(heads)}
    return next((by_name[name] for name in names if name in by_name), "")
