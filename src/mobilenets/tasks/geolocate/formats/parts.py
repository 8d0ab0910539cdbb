"""Which photographs are for what: whole groups or places, never some photographs of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mobilenets.data.listing import count
from mobilenets.data.splits import Holding, Selection, Split, check_split, choose
from mobilenets.tasks.geolocate.formats.spots import FoundPlaces, Spot
from mobilenets.tasks.geolocate.sphere import RADIUS, distances, middle

SIDES = 0.01, 1.0
"""Kilometres of a place's side, at least and at most."""
SHARE = 100
"""Of what all photographs span a place takes this part, between those bounds."""
KILOMETRES = math.radians(1) * RADIUS
"""Of a degree along a meridian."""


def places_of(spots: Sequence[Spot]) -> list[str]:
    """The place of each photograph: its group where it has one, else a square of a grid.

    A square's side is a hundredth of the distance from the middle within which nine in ten of the
    photographs lie, but 10 m at least, which is what receivers are off, and 1 km at most.
    """
    positions = np.array([(spot.lat, spot.lon) for spot in spots]).reshape(-1, 2)
    away = distances([middle(positions)], positions)[0] if len(spots) else np.zeros(1)
    side = min(max(float(np.quantile(away, 0.9)) / SHARE, SIDES[0]), SIDES[1])
    return [(spot.group and f"group {spot.group}") or square_of(spot, side) for spot in spots]


def square_of(spot: Spot, side: float) -> str:
    """The square of a grid of `side` kilometres in which a photograph lies, by its row and column.

    Columns are as wide as rows are high in the middle of each row.
    """
    row = math.floor(spot.lat * KILOMETRES / side)
    across = KILOMETRES * max(math.cos(math.radians((row + 0.5) * side / KILOMETRES)), 1e-6)
    return f"{row} {math.floor(spot.lon * across / side)}"


class HoldingPlaces(Holding):
    """Photographs are held out by whole places."""

    origin = "held out of {} by whole places"

    def __init__(self, spots: Sequence[Spot]) -> None:
        super().__init__([spot.group for spot in spots])
        self.spots = spots

    def groups_of(self, images: Sequence[int]) -> Sequence[str]:
        """The place of each: squares are as large as these photographs lie apart."""
        return places_of([self.spots[i] for i in images])

    def alone(self, groups: Sequence[str]) -> str:
        """That all are of one place."""
        return ": all were taken at one place, and another is needed to validate"

    def note(self, groups: Sequence[str], held: Sequence[str]) -> str:
        """How many places, and how many photographs of them."""
        what = count(len(set(held)), "place is", "places are")
        return (
            f"{what} held out for validation, with all {len(held)} photographs of them: the data "
            "has no val part of its own"
        )


def choose_places(
    found: FoundPlaces, path: str | Path, split: Split, val_fraction: float, seed: int
) -> Selection:
    """The photographs of a split, as `data.splits.choose`, but held out by whole places.

    DataError where there are none.
    """
    spots = found.spots
    check_split(split, val_fraction)
    files, parts = [spot.file for spot in spots], [spot.part for spot in spots]
    return choose(path, files, parts, split, val_fraction, seed, HoldingPlaces(spots))
