"""Text: lists with `path<TAB>0,1,0` (PaddleClas), and a file of tags beside each image."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mobilenets.data.classes.layout import part_within
from mobilenets.data.classes.lists import FOLDERS
from mobilenets.data.files import read_text
from mobilenets.data.listing import Part, count, few, one_line, part_named
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, walk_images
from mobilenets.tasks.attributes.formats.marked import Marked, Row, gathered, placed
from mobilenets.tasks.attributes.formats.meaning import explained, meaning_of, plain, said_in
from mobilenets.tasks.attributes.formats.tables import marks_of_tags, split_tags
from mobilenets.tasks.attributes.marks import UNKNOWN

NAMES = ("attributes.txt", "attribute_names.txt", "label_list.txt", "classes.txt", "labels.txt")
"""What names the attributes of a list, a name a line."""
_LINE = re.compile(r"(\S.*?)[\t ]+((?:-?\d+\s*,\s*)+-?\d+)\s*")
_NUMBERS = re.compile(r"[\s\d.eE+-]+")
_MOST = 20
"""Files that are looked into to see what they are."""
_LEAST = 0.5
"""Share of the images that have a file of tags, where these are a data set's labels."""


def find_lists(path: Path) -> dict[Path, Part]:
    """Text lists with marks behind the paths, and their parts; {} for none."""
    if path.is_file():
        return {path: ""} if _is_list(path) else {}
    for folder in FOLDERS:
        found: dict[Path, Part] = {}
        for file in sorted((path / folder).glob("*.txt")):
            part = part_within(file.stem)[0]
            if part is not None and part not in found.values() and _is_list(file):
                found[file] = part
        if found:
            return found
    return {}


def read_lists(root: Path, files: dict[Path, Part]) -> Marked:
    """The images of all lists. DataError for a line without marks or with another number."""
    notes: list[str] = []
    rows: list[Row] = []
    found: list[str] = []
    wide = 0
    for file, part in files.items():
        lines = list(_lines(file))
        wide = wide or len(lines[0][2])
        used = {plain(mark) for _, _, marks in lines for mark in marks}
        meaning = meaning_of(file, used, said_in(file.parent), notes)
        own = []
        for number, image, marks in lines:
            strange = next((mark for mark in marks if plain(mark) not in meaning), None)
            if len(marks) != wide or strange is not None:
                got = f"{len(marks)} marks" if strange is None else f"the mark {strange}"
                raise DataError(
                    f"{file}: line {number} must have {wide} marks of 1 and 0, got {got}"
                )
            own.append(Row(image, [meaning[plain(mark)] for mark in marks], number, part))
        explained(notes, sum(row.marks.count(UNKNOWN) for row in own), file.name)
        folder = file.parent.relative_to(root).as_posix().removeprefix(".")
        kept, places = placed(file, root, own, [folder, "", "images"], notes)
        rows += kept
        found += places
    names, named = _names(root, files, wide, notes)
    return gathered("text list of attributes", root, names, rows, found, notes, [*files, *named])


def has_tag_files(root: Path) -> bool:
    """Whether text files with words, not numbers alone, lie beside the images of a folder."""
    for looked, image in enumerate(walk_images(root), 1):
        beside = image.with_suffix(".txt")
        if beside.is_file():
            return not _NUMBERS.fullmatch(_text(beside) or "0")
        if looked >= _MOST:
            break
    return False


def read_tag_files(root: Path) -> Marked:
    """Every image with a text file of its name: its tags, parted by commas, lines or spaces.

    Images in a folder called train, val or test are of that part. One without a file is left out.
    """
    images = sorted(walk_images(root), key=natural_key)
    there = [image for image in images if image.with_suffix(".txt").is_file()]
    if len(there) < _LEAST * len(images):
        raise DataError(
            f"{root}: {len(there)} of {count(len(images), 'image has', 'images have')} a text file "
            "of tags beside it: too few to be its labels"
        )
    notes = []
    if len(there) < len(images):
        lost = [image.relative_to(root).as_posix() for image in images if image not in set(there)]
        what = count(len(lost), "image has", "images have")
        notes.append(f"{what} no file of tags, left out: {few(lost)}")
    files = [image.with_suffix(".txt") for image in there]
    tags = split_tags([_text(file).replace("\n", ",") for file in files])
    parts = [_part(image.relative_to(root)) for image in there]
    learned = [own for own, part in zip(tags, parts, strict=True) if part in ("", "train")] or tags
    names = sorted({tag for own in learned for tag in own})
    strange = sorted({tag for own in tags for tag in own} - set(names))
    if strange:
        what = count(len(strange), "tag is", "tags are")
        notes.append(f"{what} not in train, left out: {few(strange)}")
    marks = marks_of_tags(tags, names)
    places = [image.relative_to(root).as_posix() for image in there]
    rows = [Row(p, m, 1, part) for p, m, part in zip(places, marks, parts, strict=True)]
    return gathered("tags in text files", root, names, rows, places, notes, files)


def _part(path: Path) -> Part:
    found = (part_named(folder) for folder in path.parts[:-1])
    return next((part for part in found if part is not None), "")


def _text(file: Path) -> str:
    return read_text(file).strip()


def _is_list(file: Path) -> bool:
    try:
        lines = [line for line in read_text(file).splitlines()[:_MOST] if line.strip()]
    except DataError:
        return False
    return bool(lines) and all(_LINE.fullmatch(line) for line in lines)


def _lines(file: Path) -> Iterator[tuple[int, str, list[str]]]:
    for number, line in enumerate(read_text(file).splitlines(), 1):
        if line.strip():
            found = _LINE.fullmatch(line)
            if found is None:
                raise DataError(
                    f"{file}: line {number} must be a path, a tab and marks such as 0,1,0"
                )
            yield number, found[1], [mark.strip() for mark in found[2].split(",")]


def _names(
    root: Path, files: dict[Path, Part], wide: int, notes: list[str]
) -> tuple[list[str], list[Path]]:
    """The attributes' names, and the file that has them; numbers where none fits."""
    folders = dict.fromkeys([root, *(file.parent for file in files)])
    for path in (folder / name for folder in folders for name in NAMES):
        if path.is_file():
            names = [one_line(line) for line in read_text(path).splitlines() if line.strip()]
            if len(names) != wide or len(set(names)) < wide:
                raise DataError(f"{path}: must have {wide} different names, got {len(set(names))}")
            return names, [path]
    notes.append(f"the attributes have no names: {NAMES[0]} with {wide} lines would give them some")
    return [f"attribute {i}" for i in range(wide)], []
