"""A photograph and where it was taken, and what can be wrong with that."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from mobilenets.data.listing import Part
from mobilenets.data.problems import Kinds, Problems, shared

KINDS: Kinds = {
    **shared("missing", "unreadable"),
    "no position": ("image has no position, left out", "images have no position, left out"),
    "no reference": (
        "image's position has no N or S, E or W, left out",
        "images' positions have no N or S, E or W, left out",
    ),
    "no number": (
        "image's position is not two numbers, left out",
        "images' positions are not two numbers, left out",
    ),
    "out of range": (
        "image's position is no place on earth, left out",
        "images' positions are no places on earth, left out",
    ),
    "null": (
        "image's position is 0, 0, which stands for none, left out",
        "images' positions are 0, 0, which stands for none, left out",
    ),
    "twice": (
        "image is named with two positions, left out",
        "images are named with two positions, left out",
    ),
    "rare": (
        "training image is in a cell that has too few, left out",
        "training images are in cells that have too few, left out",
    ),
}
"""What `data check` and training name."""


class Spot(NamedTuple):
    """A photograph, and where it was taken."""

    file: str
    """Relative to the root, with `/`."""
    lat: float
    """Degrees, -90 to 90, north is positive."""
    lon: float
    """Degrees, -180 to 180, east is positive."""
    part: Part = ""
    """Which part its data says; '' where it says none."""
    group: str = ""
    """What it is taken together with, such as an album; '' where nobody said."""


@dataclass
class FoundPlaces:
    """All photographs with a position under a folder or in a list."""

    root: Path
    kind: str
    """What says the positions, in words."""
    spots: list[Spot] = field(default_factory=list)
    problems: Problems = field(default_factory=lambda: Problems(KINDS))
    notes: list[str] = field(default_factory=list)
    lists: tuple[str, ...] = ()
    """Files that say positions, relative to the root."""

    def add(self, file: str, lat: object, lon: object, part: Part = "", group: str = "") -> None:
        """A photograph at a position as it was written; a wrong one is a problem, and left out."""
        position = to_degrees(lat), to_degrees(lon)
        wrong = what_is_wrong(*position)
        if wrong:
            self.problems.add(wrong, [file])
        else:
            self.spots.append(Spot(file, *position, part, group))


def to_degrees(value: object) -> float:
    """A number as it was written, `45.8` or `45.8°`; NaN for anything else."""
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value if isinstance(value, (int, float)) else str(value).strip(" °'\""))
    except ValueError:
        return math.nan


def what_is_wrong(lat: float, lon: float) -> str:
    """The kind of problem that a position is; '' for one that is somewhere on earth."""
    if not (math.isfinite(lat) and math.isfinite(lon)):
        return "no number"
    if abs(lat) > 90 or abs(lon) > 180:
        return "out of range"
    return "null" if abs(lat) < 1e-6 and abs(lon) < 1e-6 else ""
