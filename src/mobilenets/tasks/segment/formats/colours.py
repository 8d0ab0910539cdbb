"""Masks in colours: which colour is which class, by a file of the data, or as Cityscapes has it."""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.files import read_text
from mobilenets.data.listing import few, one_line
from mobilenets.errors import DataError

Colour = tuple[int, int, int]

FILES = (
    *("labelmap.txt", "label_colors.txt", "label_colours.txt", "colormap.txt", "color_map.txt"),
    *("class_dict.csv", "class_dict_seg.csv", "classes.csv", "obj_class_to_machine_color.json"),
)
"""What CVAT, CamVid, the sets of Kaggle that follow it, and Supervisely call such a file."""
_CVAT = re.compile(r"\s*([^#:][^:]*):\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*(:.*)?")
_CAMVID = re.compile(r"\s*(\d+)[\s,]+(\d+)[\s,]+(\d+)[\s,]+(\S.*)")
_COLUMNS = {
    "name": ("name", "class", "label", "class_name", "classname"),
    **{letter: (letter, word) for letter, word in (("r", "red"), ("g", "green"), ("b", "blue"))},
}


class ColourMap(NamedTuple):
    """A class for each colour; the place of both is the id."""

    source: str
    """The file that says so; its path, relative to the data's root where it lies there."""
    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    unread: tuple[str, ...] = ()
    """Lines and entries that name no colour, as `line 3 (road:1,2)`."""

    @property
    def is_grey(self) -> bool:
        """Whether all colours are greys: numbers, written as Supervisely does."""
        return all(len(set(colour)) == 1 for colour in self.colours)

    def ids(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) -> (H, W) of ids; DataError for a colour that is none of these."""
        codes, known = codes_of(values), codes_of(np.array(self.colours, np.uint8))
        order = np.argsort(known, kind="stable")
        found = order[np.searchsorted(known[order], codes).clip(max=len(known) - 1)]
        wrong = known[found] != codes
        if wrong.any():
            some = [str(tuple(one)) for one in np.unique(values[wrong], axis=0).tolist()]
            raise DataError(f"in colours that {self.source} does not name: {few(some, 3)}")
        return np.asarray(found, np.uint8)


def find_colours(root: Path) -> ColourMap | None:
    """The classes' colours by a file in a data set's folder, or in the one around it.

    CVAT's `labelmap.txt` (`name:r,g,b:...`), CamVid's `label_colors.txt` (`r g b name`), a table
    with columns name, r, g and b, Supervisely's JSON. None where there is none. DataError for two
    names of one colour, or more than 255.
    """
    places = (folder / name for folder in (root, root.parent) for name in FILES)
    for path in places:
        if path.is_file():
            rows = list(_rows(path))
            read = [row for row in rows if not isinstance(row, str)]
            if read:
                unread = tuple(row for row in rows if isinstance(row, str))
                return _checked(path, root, read)._replace(unread=unread)
    return None


def _checked(path: Path, root: Path, rows: list[tuple[str, Colour]]) -> ColourMap:
    names: dict[Colour, str] = {}
    for name, colour in rows:
        if names.setdefault(colour, name) != name:
            raise DataError(f"{path}: two names for the colour {colour}: {names[colour]}, {name}")
        if max(colour) > 255:
            raise DataError(f"{path}: a colour has three numbers from 0 to 255, got {colour}")
    if len(names) > 255:
        raise DataError(f"{path}: masks have at most 255 classes, it has {len(names)} colours")
    source = path.name if path.parent == root else str(path)
    return ColourMap(source, tuple(names.values()), tuple(names))


def _rows(path: Path) -> Iterator[tuple[str, Colour] | str]:
    """A name and its colour; or where there should be one and is none, in words."""
    if path.suffix == ".json":
        yield from _from_json(path)
        return
    lines = read_text(path).splitlines()
    if path.suffix == ".csv":
        yield from _from_table(lines)
        return
    for number, line in enumerate(lines, 1):
        for pattern, name, first in ((_CVAT, 1, 2), (_CAMVID, 4, 1)):
            found = pattern.fullmatch(line)
            if found:
                yield one_line(found[name]), _colour(found[first + i] for i in range(3))
                break
        else:
            if line.strip() and not line.lstrip().startswith("#"):
                yield _unread(f"line {number}", line)


def _from_table(lines: list[str]) -> Iterator[tuple[str, Colour] | str]:
    """A heading that names the columns; nothing where it does not."""
    table = csv.DictReader(lines, skipinitialspace=True)
    heads = {head.strip().lower(): head for head in table.fieldnames or []}
    columns = [
        next((heads[one] for one in names if one in heads), None) for names in _COLUMNS.values()
    ]
    for row in table if all(columns) else ():
        name, *numbers = (str(row[str(column)] or "").strip() for column in columns)
        if name and all(number.isdecimal() for number in numbers):
            yield one_line(name), _colour(numbers)
        else:
            yield _unread(f"line {table.line_num}", ",".join([name, *numbers]))


def _from_json(path: Path) -> Iterator[tuple[str, Colour] | str]:
    """Supervisely's `{"car": [1, 1, 1]}`."""
    try:
        content: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON, or cut short") from error
    for name, colour in content.items() if isinstance(content, dict) else ():
        three = isinstance(colour, list) and len(colour) == 3
        if three and all(isinstance(one, int) and one >= 0 for one in colour):
            yield one_line(name), _colour(colour)
        else:
            yield _unread(one_line(name), str(colour))


def _unread(where: str, text: str) -> str:
    return f"{where} ({one_line(text)[:40]})"


def _colour(numbers: Iterable[str | int]) -> Colour:
    red, green, blue = (int(number) for number in numbers)
    return red, green, blue


def codes_of(colours: NDArray[np.integer]) -> NDArray[np.int64]:
    """(..., 3) -> (...): one number for each colour."""
    return np.asarray(colours.astype(np.int64) @ np.array([65536, 256, 1]))
