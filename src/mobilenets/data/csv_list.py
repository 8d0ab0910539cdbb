"""A CSV list of images: one row each, with a class and perhaps a split."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilenets.data.listing import Entry, Listing, Part, count, few, part_named
from mobilenets.errors import DataError

IMAGE_COLUMNS = ("image", "path", "filename", "file", "image_path", "filepath")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target")
SPLIT_COLUMNS = ("split", "subset", "set")


class _Row(NamedTuple):
    image: str
    label: str
    part: Part
    line: int


def find_csv(folder: Path) -> Path | None:
    """The folder's `data.csv`, else its only CSV file, else None."""
    if (folder / "data.csv").is_file():
        return folder / "data.csv"
    files = [file for file in folder.glob("*.csv") if file.is_file()]
    return files[0] if len(files) == 1 else None


def list_csv(path: Path) -> Listing:
    """Read columns image (or path, filename), label (or class) and perhaps split (train, val).

    Comma, semicolon or tab; UTF-8. Paths are relative to the CSV file. Classes are sorted, by
    value where all are whole numbers. Rows whose image does not exist and rows said twice are
    left out with a note; a row that contradicts another is a DataError.
    """
    rows, notes = _without_duplicates(path, list(_rows(path)))
    missing = [row.image for row in rows if not (path.parent / row.image).is_file()]
    if missing:
        what = count(len(missing), "image", "images")
        if len(missing) == len(rows):
            raise DataError(f"{path}: none of its {what} exist: {few(missing)}")
        notes.append(f"{what} of {path.name} not found, left out: {few(missing)}")
    gone = set(missing)
    parts: dict[Part, list[Entry]] = {}
    for row in rows:
        if row.image not in gone:
            parts.setdefault(row.part, []).append(Entry(row.image, row.label))
    own = parts.get("train") or [entry for part in parts.values() for entry in part]
    classes = _sorted_classes({entry.label for entry in own})
    return Listing(path.parent, parts, classes, notes, [path.name])


def _sorted_classes(labels: set[str]) -> list[str]:
    if all(label.isdecimal() for label in labels):
        return sorted(labels, key=int)
    return sorted(labels)


def _rows(path: Path) -> Iterator[_Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = max(",;\t", key=header.count)
            file.seek(0)
            yield from _parse(path, csv.DictReader(file, delimiter=delimiter))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not a CSV file in UTF-8 ({error})") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error


def _parse(path: Path, reader: "csv.DictReader[str]") -> Iterator[_Row]:
    columns = list(reader.fieldnames or [])
    image = _column(path, columns, IMAGE_COLUMNS)
    label = _column(path, columns, LABEL_COLUMNS)
    split = _find_column(columns, SPLIT_COLUMNS)
    for row in reader:
        cells = [(row[name] or "").strip() for name in (image, label)]
        if not all(cells):
            raise DataError(f"{path}: line {reader.line_num} has no {image if cells[1] else label}")
        value = (row[split] or "").strip() if split else ""
        part = part_named(value) if value else ""
        if part is None or (split and not value):
            raise DataError(
                f"{path}: line {reader.line_num}: {split} must be train, val or test, got {value!r}"
            )
        yield _Row(Path(os.path.normpath(cells[0])).as_posix(), cells[1], part, reader.line_num)


def _find_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {column.strip().casefold(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _column(path: Path, columns: Sequence[str], names: Sequence[str]) -> str:
    column = _find_column(columns, names)
    if column is None:
        has = f"it has {few(columns, 8)}" if columns else "it is empty"
        raise DataError(f"{path}: needs a column {' or '.join(names[:3])}; {has}")
    return column


def _without_duplicates(path: Path, rows: list[_Row]) -> tuple[list[_Row], list[str]]:
    first: dict[str, _Row] = {}
    for row in rows:
        seen = first.setdefault(row.image, row)
        if (seen.label, seen.part) != (row.label, row.part):
            was, now = (seen.label, row.label) if seen.label != row.label else (seen.part, row.part)
            raise DataError(
                f"{path}: {row.image} is listed as {was} in line {seen.line} "
                f"and as {now} in line {row.line}"
            )
    if not first:
        raise DataError(f"{path}: it has no rows")
    twice = len(rows) - len(first)
    note = f"{count(twice, 'row', 'rows')} of {path.name} said before, left out"
    return list(first.values()), [note] if twice else []
