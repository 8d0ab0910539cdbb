"""Positions that cameras write into photographs: EXIF's GPS block."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from mobilenets.errors import DataError
from mobilenets.processors import processors
from mobilenets.runtime.images import opened

_GPS = 0x8825
_LAT_REF, _LAT, _LON_REF, _LON = 1, 2, 3, 4
_SIGNS = {"N": 1, "S": -1, "E": 1, "W": -1}


class Tagged(NamedTuple):
    """What a file's EXIF says."""

    lat: float | None = None
    """Degrees; None where something is wrong."""
    lon: float | None = None
    """Degrees; None where something is wrong."""
    problem: str = ""
    """The kind of what is wrong: `unreadable`, `no position`, `no reference`, `no number`."""


def positions_in(root: Path, files: Sequence[str]) -> list[Tagged]:
    """The position in each file's EXIF; files are opened, their pixels are not read."""
    with ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(lambda file: position_in(root / file), files))


def position_in(path: str | os.PathLike[str]) -> Tagged:
    """The position in a file's EXIF."""
    try:
        with opened(path) as image:
            gps = dict(image.getexif().get_ifd(_GPS))
    except DataError:
        return Tagged(problem="unreadable")
    return position_of(gps)


def position_of(gps: dict[int, Any]) -> Tagged:
    """The position in a GPS block: three numbers a side, and where they count from."""
    if not gps.get(_LAT) or not gps.get(_LON):
        return Tagged(problem="no position")
    signs = [_SIGNS.get(_letter(gps.get(key))) for key in (_LAT_REF, _LON_REF)]
    if signs[0] is None or signs[1] is None:
        return Tagged(problem="no reference")
    try:
        lat, lon = (_degrees(gps[key]) for key in (_LAT, _LON))
    except (TypeError, ValueError, ZeroDivisionError):
        return Tagged(problem="no number")
    return Tagged(signs[0] * lat, signs[1] * lon)


def _letter(value: Any) -> str:
    text = value.decode("ascii", "ignore") if isinstance(value, bytes) else str(value or "")
    return text.strip("\0 ").upper()[:1]


def _degrees(values: Sequence[Any]) -> float:
    """Degrees, minutes and seconds as one number; NaN where any is 0/0."""
    degrees, minutes, seconds = (float(value) for value in (*values, 0, 0)[:3])
    return degrees + minutes / 60 + seconds / 3600
