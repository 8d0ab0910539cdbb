"""The outline of the land: Natural Earth's at 1:110m, which is in the public domain.

By way of Michael Bostock's package world-atlas (ISC licence); `bench/land_outline.py` makes the
file. Good to some ten kilometres: it says which coast this is, not which beach.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mobilenets.tasks.geolocate.sphere import Floats


class Outline(NamedTuple):
    """Rings, each (corners, 2) longitudes and latitudes in degrees, as `unrolled` has them."""

    land: tuple[Floats, ...]
    """Around continents and islands."""
    holes: tuple[Floats, ...]
    """Around seas inside them: the Caspian."""


@lru_cache
def outline() -> Outline:
    """The outline, from the file in the package."""
    with np.load(Path(__file__).with_name("land.npz"), allow_pickle=False) as file:
        corners, ends = file["corners"].astype(np.float64) / 100, file["ends"].tolist()
        holes = file["holes"].tolist()
    rings = [
        np.stack(unrolled(ring[:, 0], ring[:, 1]), axis=1) for ring in np.split(corners, ends[:-1])
    ]
    inside = tuple(ring for ring, hole in zip(rings, holes, strict=True) if hole)
    return Outline(tuple(r for r, hole in zip(rings, holes, strict=True) if not hole), inside)


def unrolled(lons: Floats, lats: Floats) -> tuple[Floats, Floats]:
    """The longitudes and latitudes of a closed line on a flat map.

    Longitudes go on beyond 180 degrees instead of jumping; a line around a pole is closed along it.
    """
    closed = np.unwrap(np.append(lons, lons[0]), period=360)
    if abs(closed[-1] - closed[0]) < 180:
        return closed[:-1], lats
    pole = 90.0 if lats.mean() > 0 else -90.0
    return np.array([*closed, closed[-1], closed[0]]), np.array([*lats, lats[0], pole, pole])
