"""The cells of a map as a card keeps them: what reading needs, and no library of cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError
from mobilenets.tasks.geolocate.sphere import distances

KEY = "cells"
"""Of `ModelCard.kept`."""
TEMPERATURE = "temperature"
"""Also there: what logits are divided by, so that radii hold what they say."""
LARGE = 2048
"""Cells up to which all distances between them are kept: 32 MB."""

Floats = NDArray[np.float64]


class Cell(NamedTuple):
    """A cell of the map, and what is known of the photographs in it that were learned from."""

    token: str
    """S2's name of it (s2geometry.io): the beginning of a number in hexadecimal."""
    level: int
    """0 for a sixth of the earth; each level has cells of a quarter of the size."""
    corners: tuple[tuple[float, float], ...]
    """Four (latitude, longitude) in degrees."""
    mean: tuple[float, float]
    """(latitude, longitude) of the middle of its photographs."""
    spread: float
    """Kilometres from there, root of the mean square over its photographs."""
    photographs: int
    """How many."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """All cells of a network, in the order of its outputs."""

    cells: tuple[Cell, ...]

    @cached_property
    def means(self) -> Floats:
        """(cells, 2) latitudes and longitudes."""
        return np.array([cell.mean for cell in self.cells], np.float64).reshape(-1, 2)

    @cached_property
    def spreads(self) -> Floats:
        """(cells,) kilometres of each cell's photographs from their middle."""
        return np.array([cell.spread for cell in self.cells], np.float64)

    def between(self, chosen: NDArray[np.int64]) -> Floats:
        """(chosen, cells) kilometres from the means of some cells to those of all."""
        if len(self.cells) <= LARGE:
            return np.asarray(self._all[chosen])
        return distances(self.means[chosen], self.means)

    @cached_property
    def _all(self) -> Floats:
        return distances(self.means, self.means)

    def to_json(self) -> list[list[Any]]:
        """A row for each cell, for a card: level, photographs, mean, spread, corners."""
        return [
            [
                cell.level,
                cell.photographs,
                *(round(value, 6) for value in cell.mean),
                round(cell.spread, 4),
                *(round(value, 6) for corner in cell.corners for value in corner),
            ]
            for cell in self.cells
        ]


def nearest_gap(means: Any) -> float:
    """The median over cells of the kilometres to the nearest other one, to three digits.

    A metre at least; 1 for a cell alone.
    """
    if len(means) < 2:
        return 1.0
    nearest = []
    for first in range(0, len(means), 1024):
        found = distances(means[first : first + 1024], means)
        rows = np.arange(len(found))
        found[rows, first + rows] = np.inf
        nearest.append(found.min(axis=1))
    return float(f"{max(float(np.median(np.concatenate(nearest))), 1e-3):.3g}")


_latest: tuple[Any, Atlas] | None = None


def atlas_of(card: ModelCard) -> Atlas:
    """The cells that a card keeps; WeightsError where there are none, or not one for each label."""
    global _latest
    rows = card.kept.get(KEY)
    if _latest is not None and _latest[0] is rows:
        return _latest[1]
    if not isinstance(rows, list) or not rows:
        raise WeightsError(
            "the model's card keeps no cells of a map: it was not trained here to locate"
        )
    if len(rows) != len(card.labels):
        raise WeightsError(f"the card keeps {len(rows)} cells for {len(card.labels)} outputs")
    try:
        atlas = Atlas(tuple(map(_cell, card.labels, rows)))
    except (TypeError, ValueError, IndexError) as error:
        raise WeightsError(f"the card's cells are damaged ({error})") from error
    _latest = rows, atlas
    return atlas


def temperature_of(card: ModelCard) -> float | None:
    """What the card says that logits are divided by; None where it does not.

    WeightsError for anything but a positive number.
    """
    value = card.kept.get(TEMPERATURE)
    if value is not None and not (isinstance(value, (int, float)) and value > 0):
        raise WeightsError(f"the card's temperature must be above 0, got {value!r:.80}")
    return value


def _cell(token: str, row: Sequence[Any]) -> Cell:
    level, photographs, lat, lon, spread, *corners = row
    numbers = [float(value) for value in corners]
    if len(numbers) != 8:
        raise ValueError(f"a cell has four corners, got {len(numbers)} numbers")
    pairs = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return Cell(token, int(level), pairs, (float(lat), float(lon)), float(spread), int(photographs))
