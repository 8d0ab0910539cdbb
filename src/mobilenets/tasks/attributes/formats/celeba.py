"""CelebA's lists: `list_attr_celeba.txt`, the parts and the people in files of their own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mobilenets.data.files import read_text
from mobilenets.data.listing import Part, count
from mobilenets.errors import DataError
from mobilenets.tasks.attributes.formats.marked import Marked, Row, gathered, placed
from mobilenets.tasks.attributes.formats.meaning import FILE, meaning_of, plain, said_in

LIST = "list_attr_*"
PARTS, PEOPLE = "list_eval_partition", "identity_CelebA"
FOLDERS = ("", "Anno", "anno", "Eval", "eval")
"""Where its lists lie, from the data's folder."""
IMAGES = ("", "img_align_celeba", "Img/img_align_celeba", "img_align_celeba/img_align_celeba")
_NUMBERED: dict[str, Part] = {"0": "train", "1": "val", "2": "test"}


def find_celeba(path: Path) -> Path | None:
    """The list of attributes in a folder, or the file itself if it is one; None for neither."""
    if path.is_file():
        return path if path.match(f"{LIST}.txt") or path.match(f"{LIST}.csv") else None
    places = (path / folder for folder in FOLDERS)
    return next((f for place in places for f in sorted(place.glob(f"{LIST}.[tc][xs][tv]"))), None)


def read_celeba(file: Path, top: Path) -> Marked:
    """The list, and beside it the parts (0, 1, 2) and the people, where these are.

    The text has a number, the names, then a row for each image; Kaggle's copy is a CSV. -1 is no.
    DataError for a row with another number of marks than there are names.
    """
    notes: list[str] = []
    names, lines = _read(file)
    said = said_in(file.parent)
    meaning = meaning_of(file, {plain(m) for _, _, marks in lines for m in marks}, said, notes)
    parts = dict(_beside(file, top, PARTS))
    people = dict(_beside(file, top, PEOPLE))
    rows = []
    for number, image, marks in lines:
        wrong = next((mark for mark in marks if plain(mark) not in meaning), None)
        if wrong is not None or len(marks) != len(names):
            got = f"{len(marks)} marks" if wrong is None else f"the mark {wrong!r:.20}"
            raise DataError(
                f"{file}: line {number} must have {len(names)} marks of 1 and -1, got {got}"
            )
        part = parts.get(image, "")
        if part not in ("", *_NUMBERED):
            raise DataError(
                f"{file.parent}: {PARTS} must be 0, 1 or 2, got {part!r:.20} for {image}"
            )
        own: Part = _NUMBERED.get(part, "")
        found = [meaning[plain(mark)] for mark in marks]
        rows.append(Row(image, found, number, own, people.get(image, "")))
    unnamed = sum(row.image not in parts for row in rows) if parts else 0
    if unnamed:
        notes.append(
            f"{count(unnamed, 'image is', 'images are')} in no part of {PARTS}: for training"
        )
    kept, files = placed(file, top, rows, IMAGES, notes)
    others = [f for name in (PARTS, PEOPLE) if (f := _file(file, top, name)) is not None]
    others += [f for f in (file.parent / FILE,) if f.is_file()]
    return gathered("CelebA's list", top, names, kept, files, notes, [file, *others])


def _read(file: Path) -> tuple[list[str], list[tuple[int, str, list[str]]]]:
    """The names, and (line, image, marks) of each row."""
    lines = [line.strip() for line in read_text(file).splitlines()]
    if file.suffix.lower() == ".csv":
        head, rest, first = re.split(r"[,;\t]", lines[0])[1:], lines[1:], 2
        cells = ((n, re.split(r"[,;\t]", line)) for n, line in enumerate(rest, first) if line)
    else:
        lines = lines if lines and lines[0].isdecimal() else ["", *lines]
        if len(lines) < 2:
            raise DataError(f"{file}: it has no rows")
        head = lines[1].split()
        cells = ((n, line.split()) for n, line in enumerate(lines[2:], 3) if line)
    return [name.strip() for name in head], [(n, one[0].strip(), one[1:]) for n, one in cells]


def _file(file: Path, top: Path, name: str) -> Path | None:
    folders = dict.fromkeys([file.parent, *(top / folder for folder in FOLDERS)])
    files = (folder / f"{name}{end}" for folder in folders for end in (".txt", ".csv"))
    return next((one for one in files if one.is_file()), None)


def _beside(file: Path, top: Path, name: str) -> Iterator[tuple[str, str]]:
    """Pairs (image, word) of a list beside the first, without a heading."""
    found = _file(file, top, name)
    for line in read_text(found).splitlines() if found is not None else ():
        words = re.split(r"[\s,;]+", line.strip())
        if len(words) > 1 and words[1].isdecimal():
            yield words[0], words[1]
