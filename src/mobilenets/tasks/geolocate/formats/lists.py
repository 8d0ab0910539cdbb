"""Lists of positions: CSV or TSV with columns, and GeoJSON points."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mobilenets.data.files import decoded, read_table, read_text
from mobilenets.data.listing import Part, few, part_named
from mobilenets.errors import DataError

IMAGE = (
    *("image", "img", "file", "filename", "file_name", "image_path", "filepath", "path"),
    *("photo", "name", "img_id", "image_id", "id"),
)
LAT, LON = ("lat", "latitude"), ("lon", "lng", "long", "longitude")
PART = ("split", "part", "subset", "set")
GROUP = ("group", "album", "sequence", "place")
TABLES, POINTS = (".csv", ".tsv"), (".geojson", ".json")
SUFFIXES = (*TABLES, *POINTS)
_HEAD = 1 << 16
"""Bytes of a file by which it is told: annotations of other uses can be very large."""


class SaidPlace(NamedTuple):
    """What a list says of a photograph."""

    image: str
    """As it is written there."""
    lat: object
    """Also as written: a number, or text that should be one."""
    lon: object
    """As the latitude."""
    part: Part
    """'' where the list says none."""
    group: str
    """'' where the list says none."""


def is_list(path: Path) -> bool:
    """Whether a file begins as one that says positions of images."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
        text = decoded(head[: head.rfind(b"\n") + 1] if len(head) == _HEAD else head)
    except (OSError, UnicodeDecodeError):
        return False
    if path.suffix.lower() in POINTS:
        return '"FeatureCollection"' in text
    heads = _heads(text)
    return all(_column(heads, names) for names in (IMAGE, LAT, LON))


def rows_of(path: Path) -> Iterator[SaidPlace]:
    """The rows of a list. DataError, which says what is missing, where it is none."""
    if path.suffix.lower() in POINTS:
        return _points(path)
    return _table(path)


def _table(path: Path) -> Iterator[SaidPlace]:
    try:
        heads, rows = read_table(path)
    except csv.Error as error:
        raise DataError(f"{path}: not a CSV file ({error})") from error
    image, lat, lon = (_column(heads, names) for names in (IMAGE, LAT, LON))
    if not (image and lat and lon):
        raise DataError(
            f"{path}: a list of positions needs columns image, lat and lon, it has "
            f"{few(heads) or 'none'}"
        )
    part, group = (_column(heads, names) for names in (PART, GROUP))
    for line, row in rows:
        if not row[image].strip():
            raise DataError(f"{path}: line {line} has no {image}")
        yield SaidPlace(
            row[image].strip(),
            row[lat],
            row[lon],
            _part(path, f"line {line}: {part}", row[part] if part else ""),
            row[group].strip() if group else "",
        )


def _heads(text: str) -> list[str]:
    """The names of a table's columns."""
    first = text.partition("\n")[0]
    try:
        return next(csv.reader([first], delimiter=max(",;\t", key=first.count)), [])
    except csv.Error:
        return []


def _points(path: Path) -> Iterator[SaidPlace]:
    try:
        found = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from error
    features = found.get("features") if isinstance(found, Mapping) else None
    if not isinstance(features, list):
        raise DataError(f"{path}: no GeoJSON of points: it has no list of features")
    for number, one in enumerate(features, 1):
        shape = one.get("geometry") if isinstance(one, Mapping) else None
        where = shape.get("coordinates") if isinstance(shape, Mapping) else None
        if not isinstance(shape, Mapping) or shape.get("type") != "Point":
            raise DataError(f"{path}: feature {number} is no point")
        if not isinstance(where, list) or len(where) < 2:
            raise DataError(f"{path}: feature {number} has no coordinates")
        known: Mapping[str, Any] = one.get("properties") or {}
        names = {str(key): value for key, value in known.items()}
        image = _column(list(names), IMAGE)
        said = names[image] if image else one.get("id")
        if not said:
            raise DataError(f"{path}: feature {number} names no image among its properties")
        part, group = (_column(list(names), keys) for keys in (PART, GROUP))
        yield SaidPlace(
            str(said),
            where[1],
            where[0],  # GeoJSON has the longitude first
            _part(path, f"feature {number}: {part}", str(names[part] or "") if part else ""),
            str(names[group] or "") if group else "",
        )


def _column(heads: Sequence[str], names: Sequence[str]) -> str:
    """The first column that is called so, in any case; '' for none."""
    by_name = {head.strip().casefold(): head for head in reversed(heads)}
    return next((by_name[name] for name in names if name in by_name), "")


def _part(path: Path, where: str, value: str) -> Part:
    part = part_named(value) if value.strip() else ""
    if part is None:
        raise DataError(f"{path}: {where} must be train, val or test, got {value!r}")
    return part
