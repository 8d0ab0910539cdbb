"""Which files of a folder are a tool's own, by what they hold."""

import csv
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from os.path import relpath
from pathlib import Path
from typing import Any

from mobilenets.data.files import decoded, read_text
from mobilenets.data.listing import one_line
from mobilenets.data.paths import Tree
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, walk
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.problems import KINDS
from mobilenets.tasks.detect.formats.tools.cvat import cvat
from mobilenets.tasks.detect.formats.tools.labelme import labelme, supervisely
from mobilenets.tasks.detect.formats.tools.lists import createml, json_lines, label_studio, via
from mobilenets.tasks.detect.formats.tools.pictures import WRONG, MarkedImage, joined
from mobilenets.tasks.detect.formats.tools.table import columns_of, rows_of, table

_SUFFIXES = (".json", ".jsonl", ".ndjson", ".xml", ".csv", ".tsv")
_HEAD = 2**16
"""Bytes of a file that are looked into."""
_LOOK = 8
"""Files of a suffix in a folder that are looked into."""
_FOLDERS = 200
"""Folders that are looked into."""

LABELME, STUDIO, CREATEML, VIA = "LabelMe JSON", "Label Studio JSON", "CreateML JSON", "VIA JSON"
SUPERVISELY, CVAT, TABLE = "Supervisely JSON", "CVAT XML", "CSV table"
LINES = "JSON lines"
_SINGLE: dict[str, Callable[[Any, str], MarkedImage]] = {LABELME: labelme, SUPERVISELY: supervisely}
"""A file for each image."""
_LISTS: dict[str, Callable[[Any, str], Iterator[MarkedImage]]] = {
    STUDIO: label_studio,
    CREATEML: createml,
    VIA: via,
}


def kind_of(path: Path) -> str:
    """What a file is, by its beginning; '' for none that is read here."""
    suffix = path.suffix.casefold()
    if suffix not in _SUFFIXES:
        return ""
    try:
        with path.open("rb") as file:
            data = _whole_characters(file.read(_HEAD))
    except OSError:
        return ""
    try:
        head = decoded(data)
    except UnicodeDecodeError:  # said when it is read
        head = data.decode("latin-1")
    if suffix == ".xml":
        return CVAT if re.search(r"<annotations[\s>]", head) and "<annotation>" not in head else ""
    if suffix in (".csv", ".tsv"):
        first = head.partition("\n")[0]
        cells = next(csv.reader([first], delimiter=max(",;\t", key=first.count)), [])
        return TABLE if columns_of(cells) else ""
    keys = set(re.findall(r'"(\w+)"\s*:', head))
    if suffix in (".jsonl", ".ndjson"):
        return LINES if {"file_name", "objects"} <= keys else ""
    return _json_kind(keys, listed=head.lstrip().startswith("["))


def _whole_characters(head: bytes) -> bytes:
    """Without the last bytes, which may be part of a character."""
    return (
        head if len(head) < _HEAD else head.rpartition(b"\n")[0] or head[: -(len(head) % 4) or None]
    )


def _json_kind(keys: set[str], *, listed: bool) -> str:
    if listed:
        if keys >= {"annotations", "coordinates"} or keys >= {"annotation", "coordinates"}:
            return CREATEML
        studio = {"result", "original_width"} <= keys or {"rectanglelabels"} <= keys
        return STUDIO if studio or {"annotations", "data", "result"} <= keys else ""
    if "shapes" in keys and keys & {"imagePath", "shape_type", "points"}:
        return LABELME
    if "_via_img_metadata" in keys or keys >= {"regions", "shape_attributes", "filename"}:
        return VIA
    if keys >= {"objects", "size"} and keys & {"classTitle", "description", "tags"}:
        return SUPERVISELY
    return ""


def find_tools(folder: Path) -> dict[str, list[Path]]:
    """Kind -> its files, below a folder; of many files in a folder the first ones tell."""
    found: dict[str, list[Path]] = {}
    for number, (place, names) in enumerate(walk(folder)):
        if number >= _FOLDERS:
            break
        by_suffix: dict[str, list[Path]] = {}
        some = [name for name in names if name.casefold().endswith(_SUFFIXES)]
        for name in sorted(some, key=natural_key):
            path = place / name
            by_suffix.setdefault(path.suffix.casefold(), []).append(path)
        for files in by_suffix.values():
            kinds = {file: kind_of(file) for file in files[:_LOOK]}
            single = next((kind for kind in kinds.values() if kind in _SINGLE), "")
            if single:
                rest = [file for file in files[_LOOK:] if kind_of(file) in (single, "")]
                kinds.update(dict.fromkeys(rest, single))
            for file, kind in kinds.items():
                if kind:
                    found.setdefault(kind, []).append(file)
    return found


def read_tools(root: Path, kind: str, files: Iterable[Path]) -> Annotations:
    """Everything in the files of one kind; paths of images are relative to `root`.

    A file that is damaged is left out and named. DataError where none can be read.
    """
    problems = Problems(KINDS)
    broken: list[str] = []
    sources = {Path(relpath(file, root)).as_posix(): file for file in files}
    shared: list[bool] = []
    read: list[str] = []

    def pictures() -> Iterator[MarkedImage]:
        for source, file in sources.items():
            try:
                found = list(_pictures(kind, file, source, shared))
            except (
                *WRONG,
                LookupError,
                OSError,
                ET.ParseError,
                RecursionError,
                DataError,
            ) as error:
                why = error.strerror if isinstance(error, OSError) else str(error)
                broken.append(f"{source} ({one_line(str(why))[:100] or type(error).__name__})")
                continue
            read.append(source)
            yield from found

    every = list(pictures())
    problems.add("broken", broken)
    if not every:
        raise DataError(
            f"{root}: no {kind} that can be read: {'; '.join(broken[:3]) or 'no image'}"
        )
    if len(set(shared)) > 1:
        raise DataError(f"{root}: some of its tables have pixels and others shares of the sides")
    shares = any(shared)
    return joined(kind, Tree(root), every, problems, shares=shares, labels=read)


def _pictures(kind: str, file: Path, source: str, shared: list[bool]) -> Iterable[MarkedImage]:
    if kind == CVAT:
        return cvat(file, source)
    if kind == TABLE:
        shares, found = table(file, source, _descriptions(file))
        shared.append(shares)
        return found
    if kind == LINES:
        return json_lines(read_text(file), source)
    content = json.loads(decoded(file.read_bytes()))
    if kind in _SINGLE:
        return [_SINGLE[kind](content, source)]
    return _LISTS[kind](content, source)


def _descriptions(file: Path) -> dict[str, str]:
    """Open Images' names for its ids, in a table beside the boxes."""
    found: dict[str, str] = {}
    patterns = ("class-descriptions*.csv", "class*names*.csv")
    for beside in sorted(chain(*(file.parent.glob(pattern) for pattern in patterns))):
        found.update({row[0]: row[1] for row in rows_of(beside)[1] if len(row) == 2})
    return found
