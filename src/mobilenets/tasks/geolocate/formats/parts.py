"""Which photographs are for what: whole groups or places, never some photographs of one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mobilenets.data.listing import count
from mobilenets.data.splits import (
    EVERY,
    NONE_LEFT,
    OWN_PART,
    Selection,
    Split,
    check_split,
    hold_out,
    kept_for_test,
    present,
)
from mobilenets.errors import DataError
from mobilenets.tasks.geolocate.formats.spots import FoundPlaces, Spot
from mobilenets.tasks.geolocate.sphere import RADIUS, distances, middle

SIDES = 0.01, 1.0
"""Kilometres of a place's side, at least and at most."""
SHARE = 100
"""Of what all photographs span a place takes this part, between those bounds."""
HELD_OUT = "held out of {} by whole places"
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


def choose_places(
    found: FoundPlaces, path: str | Path, split: Split, val_fraction: float, seed: int
) -> Selection:
    """The photographs of a split, as `data.splits.choose`, but held out by whole places.

    DataError where there are none.
    """
    check_split(split, val_fraction)
    spots = found.spots
    chosen = _choose(spots, split, val_fraction, seed)
    if not chosen.images:
        parts = [spot.part for spot in spots]
        there = ", ".join(f"{parts.count(one)} for {one or 'all'}" for one in present(parts))
        raise DataError(f"{path}: no images for {split}; it has {there or 'none'}{chosen.origin}")
    return chosen


def _choose(spots: Sequence[Spot], split: Split, val_fraction: float, seed: int) -> Selection:
    every = range(len(spots))
    of = {part: [i for i in every if spots[i].part == part] for part in ("val", "test")}
    own = [i for i in every if spots[i].part in ("train", "")]
    if split == "all":
        return Selection(list(every), [], EVERY)
    if split == "test":
        return Selection(of["test"], [], OWN_PART.format("test"))
    notes = [kept_for_test(len(of["test"]))] if of["test"] and (own or of["val"]) else []
    if of["val"]:
        part = "train" if split == "train" else "val"
        return Selection(own if split == "train" else of["val"], notes, OWN_PART.format(part))
    mine = [spots[i] for i in own]
    places = places_of(mine)
    files = [spot.file for spot in mine]
    chosen = hold_out(files, places, [""] * len(mine), val_fraction, seed)
    if split == "eval" and not chosen:
        if of["test"]:
            return Selection(of["test"], [], OWN_PART.format("test"))
        return Selection(list(every), [], NONE_LEFT)
    if split == "val" and own and not chosen:
        return Selection([], [], ": all were taken at one place, and another is needed to validate")
    if chosen:
        left = {place for place, file in zip(places, files, strict=True) if file in chosen}
        what = count(len(left), "place is", "places are")
        notes.append(
            f"{what} held out for validation, with all {len(chosen)} photographs of them: the data "
            "has no val part of its own"
        )
    kept = [i for i in own if (spots[i].file in chosen) == (split != "train")]
    return Selection(kept, notes, "" if split == "train" else HELD_OUT.format(len(own)))
