"""CSV lists of images: one row each, with a class and perhaps a part and a group."""

import csv
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mobilenets.data.classes.columns import (
    ListColumns,
    NoListError,
    Row,
    find_columns,
    marked_class,
    role_of,
)
from mobilenets.data.files import read_table
from mobilenets.data.listing import Entry, Listing, Part, Role, count, few, one_line, part_named
from mobilenets.data.paths import Tree, is_file
from mobilenets.data.splits import groups_in_two_parts
from mobilenets.errors import DataError
from mobilenets.runtime.images import SUFFIXES, walk_images
from mobilenets.runtime.kinds import suffix_of


class _Line(NamedTuple):
    image: str
    label: str
    part: Part
    group: str
    role: Role
    line: int
    file: Path


class _ListFile(NamedTuple):
    file: Path
    columns: ListColumns
    rows: Sequence[tuple[int, Row]]
    """With their lines."""


def find_tables(folder: Path) -> dict[Path, Part]:
    """The CSV files that list a folder's images, and the part that each is of; {} for none.

    `data.csv`, else the only CSV file, else those called after parts, or one in each folder that
    is called after a part, as Roboflow's `_classes.csv`.
    """
    if (folder / "data.csv").is_file():
        return {folder / "data.csv": ""}
    files = sorted(file for file in folder.glob("*.csv") if file.is_file())
    if len(files) == 1:
        return {files[0]: ""}
    named = {file: part for file in files if (part := part_named(file.stem)) is not None}
    if "train" in named.values():
        return named
    inside: dict[Path, Part] = {}
    for inner in sorted(f for f in folder.iterdir() if f.is_dir()):
        part = part_named(inner.name)
        lists = list(inner.glob("*.csv")) if part is not None else []
        if part is not None and len(lists) == 1:
            inside[lists[0]] = part
    return inside if "train" in inside.values() else {}


def list_tables(root: Path, files: Mapping[Path, Part]) -> Listing:
    """Read columns image (or path, filename), label (or class) and perhaps split and group.

    Or a column of 0 and 1 for each class. Comma, semicolon or tab; UTF-8. Paths are relative to
    the CSV file, else found by their longest end below `root`, else by a name without suffix.
    Classes are sorted, by value where all are whole numbers. Rows whose image does not exist,
    that have no class and that are said twice are left out with a note; a row that contradicts
    another is a DataError. Groups in several parts have a note. A file of a part other than train
    that has no classes is left out.
    """
    notes: list[str] = []
    rows: list[_Line] = []
    read: list[str] = []
    guessed: set[Path] = set()
    for file, part in files.items():
        try:
            table = _read(file)
        except NoListError as error:
            if part in ("", "train"):
                raise
            notes.append(f"{file.name} is not used: {str(error).removeprefix(f'{file}: ')}")
            continue
        notes += table.columns.notes
        own = _without_duplicates(file, list(_lines(table, part, notes)), notes)
        if not own:
            raise (NoListError if table.columns.guessed else DataError)(f"{file}: it has no rows")
        guessed |= {file} if table.columns.guessed else set()
        rows += own
        read.append(file.relative_to(root).as_posix())
    found = _placed(root, rows, guessed, notes)
    parts: dict[Part, list[Entry]] = {}
    for row, place in zip(rows, found, strict=True):
        if place:
            parts.setdefault(row.part, []).append(Entry(place, row.label, row.group, row.role))
    said = ((part, entry.group) for part, entries in parts.items() for entry in entries)
    notes += groups_in_two_parts(said, few(read))
    learned = parts.get("train") or [entry for part in parts.values() for entry in part]
    classes = _sorted_classes({entry.label for entry in learned})
    return Listing(root, parts, classes, notes, read)


def _sorted_classes(labels: set[str]) -> list[str]:
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=int)
    return sorted(labels)


def _read(path: Path) -> _ListFile:
    try:
        heads, rows = read_table(path)
    except csv.Error as error:
        raise NoListError(f"{path}: not a CSV file ({error})") from error
    return _ListFile(path, find_columns(path, heads, [row for _, row in rows]), rows)


def _lines(table: _ListFile, part: Part, notes: list[str]) -> Iterator[_Line]:
    path, columns, rows = table
    nameless = 0
    for line, row in rows:
        image = row[columns.image].strip()
        if not image:
            raise DataError(f"{path}: line {line} has no {columns.image}")
        if columns.classes:
            label = marked_class(path, line, row, columns)
            if not label:
                nameless += 1
                continue
        else:
            label = row[columns.label].strip()
        if not label:
            raise DataError(f"{path}: line {line} has no {columns.label}")
        value = row[columns.split].strip() if columns.split else ""
        own = part_named(value) if value else part
        if own is None or (columns.split and not value):
            raise DataError(
                f"{path}: line {line}: {columns.split} must be train, val or test, got {value!r}"
            )
        group = one_line(row[columns.group]) if columns.group else ""
        role = role_of(row, columns)
        if role is None:
            raise DataError(f"{path}: line {line} is neither in the query nor in the gallery")
        yield _Line(image, label, own, group, role, line, path)
    if nameless:
        what = count(nameless, "row", "rows")
        notes.append(f"{what} of {path.name} without a class, left out")


def _placed(
    root: Path, rows: Sequence[_Line], guessed: Collection[Path], notes: list[str]
) -> list[str]:
    """The file of each row, relative to the root; '' where there is none."""
    tree = Tree(root)
    files: list[str] = []
    for file in dict.fromkeys(row.file for row in rows):
        own = [row for row in rows if row.file == file]
        folder = file.parent.relative_to(root).as_posix().removeprefix(".")
        placed = tree.find([row.image for row in own], [folder, ""], own[0].part if folder else "")
        notes += placed.notes
        found = [
            place if there and _is_file(root, place) else ""
            for place, there in zip(placed.files, placed.there, strict=True)
        ]
        if not all(found):
            stems = _by_stem(root / folder)
            for i, place in enumerate(found):
                one = stems.get(PurePosixPath(own[i].image).name, []) if not place else []
                if len(one) == 1:
                    found[i] = one[0].relative_to(root).as_posix()
        missing = [row.image for row, place in zip(own, found, strict=True) if not place]
        what = count(len(missing), "image", "images")
        if missing and len(missing) == len(own):
            error = NoListError if file in guessed else DataError
            raise error(f"{file}: none of its {what} exist: {few(missing)}")
        if missing:
            notes.append(f"{what} of {file.name} not found, left out: {few(missing)}")
        files += found
    return files


def _is_file(root: Path, place: str) -> bool:
    """Whether that is no folder; a name with an image's suffix is not looked up again."""
    return suffix_of(place) in SUFFIXES or is_file(root / place)


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    """The images below a folder by their names without suffix, as Kaggle's lists have them."""
    stems: dict[str, list[Path]] = {}
    for image in walk_images(folder):
        stems.setdefault(image.stem, []).append(image)
    return stems


def _without_duplicates(path: Path, rows: list[_Line], notes: list[str]) -> list[_Line]:
    first: dict[str, _Line] = {}
    for row in rows:
        key = PurePosixPath(row.image.replace("\\", "/")).as_posix()
        seen = first.setdefault(key, row)
        for was, now in zip(seen[1:5], row[1:5], strict=True):
            if was != now:
                raise DataError(
                    f"{path}: {row.image} is listed as {was or 'nothing'} in line {seen.line} "
                    f"and as {now or 'nothing'} in line {row.line}"
                )
    twice = len(rows) - len(first)
    if twice:
        notes.append(f"{count(twice, 'row', 'rows')} of {path.name} said before, left out")
    return list(first.values())
