"""PlaNet's partition of the earth: cells of S2 that are small where there are many photographs.

From the six faces of a cube down, a cell with more than `most` photographs is split into its four
children, and one with fewer than `least` is left out with its photographs (Weyand et al. 2016,
arXiv 1602.05314, section 3). Needs s2geometry, for training alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.errors import InputError
from mobilenets.extras import command
from mobilenets.tasks.geolocate.cells import Atlas, Cell
from mobilenets.tasks.geolocate.sphere import distances, middle

FINEST = 20
"""The level of cells that are not split, however many photographs they have: ten metres wide."""
FEWEST = 8
"""Photographs in a cell up to which it is never split."""

Floats = NDArray[np.float64]


class Partition(NamedTuple):
    """Cells, and which photographs are in which."""

    atlas: Atlas
    """The cells that are kept."""
    of: NDArray[np.int64]
    """(photographs,): the number of the cell; -1 for one in a cell that is left out."""
    left_out: int
    """Cells with photographs that are left out."""


def bounds(photographs: int) -> tuple[int, int]:
    """`most` and `least` for so many photographs: the square root of their number, and 1/200 of it.

    For the 91 million of PlaNet that gives 9,539 and 47, theirs were 10,000 and 50; for the 4.7
    million of MP-16 2,168, where three partitions of 1,000 to 5,000 were used (Mueller-Budack et
    al. 2018). A share of the number instead would give 100 places and a planet as many cells.
    """
    most = max(FEWEST, round(math.sqrt(photographs)))
    return most, max(1, most // 200)


def partition(positions: Floats, most: int, least: int) -> Partition:
    """The cells of (N, 2) latitudes and longitudes in degrees.

    Numbered along S2's curve, so that neighbours are near. InputError where s2geometry is not
    installed; ValueError for `least` above `most`, or no cell that has so many.
    """
    if not 1 <= least <= most:
        raise ValueError(f"least must be from 1 to most, got {least} and {most}")
    s2 = _library()
    ids = np.array(
        [s2.S2CellId(s2.S2LatLng.FromDegrees(lat, lon)).id() for lat, lon in positions.tolist()],
        np.uint64,
    )
    order = np.argsort(ids, kind="stable")
    cells: list[Cell] = []
    of = np.full(len(positions), -1)
    left_out = 0
    for cell, inside in _split(s2, ids[order], most):
        photographs = order[inside]
        if len(photographs) < least:
            left_out += 1
            continue
        of[photographs] = len(cells)
        cells.append(_described(s2, cell, positions[photographs]))
    if not cells:
        raise ValueError(f"least must leave a cell: none has {least} photographs")
    return Partition(Atlas(tuple(cells)), of, left_out)


def _split(s2: Any, ids: NDArray[np.uint64], most: int) -> Iterator[tuple[Any, slice]]:
    """Cells with photographs, each with the places of these among the rising `ids`."""
    waiting = [s2.S2CellId.FromFacePosLevel(face, 0, 0) for face in range(5, -1, -1)]
    while waiting:
        cell = waiting.pop()
        ends = np.array([cell.range_min().id(), cell.range_max().id()], np.uint64)
        first = int(np.searchsorted(ids, ends[0], side="left"))
        last = int(np.searchsorted(ids, ends[1], side="right"))
        if last - first > most and cell.level() < FINEST:
            waiting += [cell.child(k) for k in range(3, -1, -1)]
        elif last > first:
            yield cell, slice(first, last)


def _described(s2: Any, cell: Any, positions: Floats) -> Cell:
    shape = s2.S2Cell(cell)
    points = [s2.S2LatLng(shape.GetVertex(k)) for k in range(4)]
    corners = tuple((point.lat().degrees(), point.lng().degrees()) for point in points)
    mean = middle(positions)
    spread = float(np.sqrt((distances([mean], positions) ** 2).mean()))
    return Cell(cell.ToToken(), cell.level(), corners, mean, spread, len(positions))


def _library() -> Any:
    try:
        import s2geometry
    except ModuleNotFoundError as error:
        raise InputError(
            f"cells of a map need s2geometry, to train alone; {command('geo')} brings it"
        ) from error
    return s2geometry
