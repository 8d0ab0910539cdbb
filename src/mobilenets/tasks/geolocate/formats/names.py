"""Positions in names of files: `img_-1.07,-79.97.jpg`, and `@...@lat@lon@...@.jpg`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from mobilenets.tasks.geolocate.formats.spots import to_degrees, what_is_wrong

_PAIR = re.compile(r"(?<![\d.])(-?\d{1,3}\.\d{2,})\s*[,_;]\s*(-?\d{1,3}\.\d{2,})(?!\d)")
_AT_LAT, _AT_LON = 5, 6
"""Fields between `@`, as collections for place recognition have them: two of UTM in front, its
zone and letter, then degrees."""
ENOUGH = 0.5
"""The share of images with a position in their names from which all names are taken so."""


def position_in_name(file: str) -> tuple[float, float] | None:
    """The latitude and longitude that a file's name says; None where it says none."""
    name = PurePosixPath(file).name
    fields = name.split("@")
    if name.startswith("@") and len(fields) > _AT_LON:
        found = to_degrees(fields[_AT_LAT]), to_degrees(fields[_AT_LON])
        return found if what_is_wrong(*found) != "no number" else None
    match = _PAIR.search(name)
    return (float(match[1]), float(match[2])) if match else None


def are_named(files: Sequence[str]) -> bool:
    """Whether positions stand in the names of these images: of half of them or more."""
    return bool(files) and sum(map(bool, map(position_in_name, files))) >= ENOUGH * len(files)
