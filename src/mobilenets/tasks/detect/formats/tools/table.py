"""Boxes in CSV files: TensorFlow's and Roboflow's, RetinaNet's, Open Images', AutoML's, VIA's."""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilenets.data.files import read_text
from mobilenets.data.listing import part_named
from mobilenets.tasks.detect.formats.boxes import side
from mobilenets.tasks.detect.formats.tools.lists import via_shape
from mobilenets.tasks.detect.formats.tools.pictures import WRONG, MarkedImage, Thing

_IMAGES = ("filename", "image", "image_path", "img_path", "path", "file_name", "filepath", "file",
           "image_name", "imageid", "image_id", "img", "name", "frame")  # fmt: skip
_CLASSES = ("class", "label", "labelname", "class_name", "category", "label_name", "classname",
            "name", "category_name", "species", "target")  # fmt: skip
_CORNERS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
)
_SIDES = (
    ("x", "y", "w", "h"),
    ("bbox_x", "bbox_y", "bbox_width", "bbox_height"),
    ("x", "y", "box_width", "box_height"),
    ("x", "y", "width", "height"),
)
_PARTS = ("split", "subset", "set", "part", "fold")
_VIA = {"region_shape_attributes", "region_attributes"}
_USES = {"TRAIN": "train", "TRAINING": "train", "VALIDATION": "val", "VALIDATE": "val",
         "TEST": "test", "UNASSIGNED": "", "": ""}  # fmt: skip
"""What stands in the first column of AutoML's tables."""


class TableColumns(NamedTuple):
    """Which columns of a table are what; names are as `_plain` has them."""

    kind: str
    image: str = ""
    name: str = ""
    box: tuple[str, ...] = ()
    """Four columns, or one of a text."""
    sides: bool = False
    """Whether the last two are width and height."""
    part: str = ""


def columns_of(header: Sequence[str]) -> TableColumns | None:
    """What the first line of a table says; None where it has no boxes."""
    names = [_plain(one) for one in header]
    if set(names) >= _VIA:
        return TableColumns("VIA's table", image="filename")
    corners = next((four for four in _CORNERS if set(names) >= set(four)), None)
    four = corners or next((four for four in _SIDES if set(names) >= set(four)), None)
    box = four or (("bbox",) if "bbox" in names else None)
    image = next((one for one in _IMAGES if one in names), None)
    if box and image:
        free = [one for one in _CLASSES if one in names and one != image]
        part = next((one for one in _PARTS if one in names), "")
        name = free[0] if free else ""
        return TableColumns("table of boxes", image, name, box, corners is None, part)
    cells = [one.strip() for one in header]
    if len(cells) == 6 and _is_image(cells[0]) and all(map(_whole, cells[1:5])):
        return TableColumns("RetinaNet's table")
    if len(cells) in (9, 11) and cells[0].upper() in _USES and _is_image(cells[1]):
        return TableColumns("AutoML's table")
    return None


def _plain(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().strip("#\ufeff").strip().casefold())


def _is_image(text: str) -> bool:
    return bool(re.search(r"\.(jpe?g|png|bmp|webp|tiff?|gif)$", text, re.IGNORECASE))


def _whole(text: str) -> bool:
    return bool(re.fullmatch(r"-?[0-9.]*", text))


def rows_of(path: Path) -> tuple[list[str], Iterator[list[str]]]:
    """A table's first line, and all lines; comma, semicolon or tab. DataError for no text."""
    text = read_text(path)
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    header = next(csv.reader([first], delimiter=delimiter), [])
    return header, csv.reader(text.splitlines(), delimiter=delimiter)


def table(path: Path, source: str, words: Mapping[str, str]) -> tuple[bool, Iterator[MarkedImage]]:
    """Whether the corners are shares of the images' sides, and a picture for each row.

    `words` are names for what stands in the column of classes. ValueError for a file that is no
    such table.
    """
    header, rows = rows_of(path)
    columns = columns_of(header)
    if columns is None:
        raise ValueError("it has no columns of boxes")
    if columns.kind == "RetinaNet's table":
        return False, (_retina(row, source) for row in rows if row and row[0].strip())
    if columns.kind == "AutoML's table":
        return True, (_automl(row, source) for row in rows if len(row) > 2)
    names = [_plain(one) for one in header]
    next(rows, None)
    cells = (dict(zip(names, row, strict=False)) for row in rows if any(row))
    if columns.kind == "VIA's table":
        return False, (_via(one, source) for one in cells)
    listed = list(cells)
    values = [v for one in listed for v in _numbers(one, columns) if math.isfinite(v)]
    shares = bool(values) and max(values) <= 1 and any(v != int(v) for v in values)
    return shares, (_plain_row(one, columns, source, words, shares) for one in listed)


def _numbers(cells: Mapping[str, str], columns: TableColumns) -> list[float]:
    texts = [cells.get(name) or "" for name in columns.box]
    if len(texts) == 1:
        texts = texts[0].strip("[](){} ").replace(",", " ").split()
    try:
        return [float(text) for text in texts]
    except ValueError:
        return []


def _plain_row(
    cells: Mapping[str, str],
    columns: TableColumns,
    source: str,
    words: Mapping[str, str],
    shares: bool,
) -> MarkedImage:
    size = (side(cells.get("width")), side(cells.get("height")))
    if shares or columns.box[2:] == ("width", "height"):
        size = (0, 0)
    part = part_named(cells.get(columns.part) or "") or ""
    picture = MarkedImage((cells.get(columns.image) or "").strip(), source, size, part)
    said = [cells.get(name) or "" for name in columns.box]
    name = (cells.get(columns.name) or "").strip() if columns.name else "object"
    if not any(text.strip() for text in said):  # an image without objects
        return picture
    numbers = _numbers(cells, columns)
    if len(numbers) != 4 or not name:
        picture.malformed = 1
        return picture
    if columns.sides:
        x, y, width, height = numbers
        numbers = [x, y, x + width, y + height]
    crowd = (cells.get("isgroupof") or "").strip() == "1"
    picture.things.append(Thing(words.get(name, name), numbers, crowd=crowd))
    return picture


def _retina(row: Sequence[str], source: str) -> MarkedImage:
    picture = MarkedImage(row[0].strip(), source)
    cells = [cell.strip() for cell in row[1:6]]
    try:
        if any(cells):
            picture.things.append(Thing(cells[4], [float(cell) for cell in cells[:4]]))
    except WRONG:
        picture.malformed = 1
    return picture


def _automl(row: Sequence[str], source: str) -> MarkedImage:
    use = _USES.get(row[0].strip().upper(), "")
    picture = MarkedImage(row[1].strip(), source, part=part_named(use) or "")
    cells = [row[i].strip() if i < len(row) else "" for i in (2, 3, 4, 7, 8)]
    try:
        if any(cells):
            picture.things.append(Thing(cells[0], [float(cell) for cell in cells[1:]]))
    except ValueError:
        picture.malformed = 1
    return picture


def _via(cells: Mapping[str, str], source: str) -> MarkedImage:
    picture = MarkedImage((cells.get("filename") or "").strip(), source)
    try:
        shape = json.loads(cells.get("region_shape_attributes") or "{}")
        said = json.loads(cells.get("region_attributes") or "{}")
        if shape:
            name = next((str(one) for one in said.values() if one), "object")
            corners, outline = via_shape(shape)
            picture.things.append(Thing(name, corners, outline=outline))
    except WRONG:
        picture.malformed = 1
    return picture
