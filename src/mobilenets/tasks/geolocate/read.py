"""From a network's scores for cells to a point on the earth, and how far off it may be.

Not the cell with the highest score but the point of least expected distance: a fifth of the belief
in Zagreb and four fifths spread along the coast make no one go to Zagreb.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, one_output
from mobilenets.errors import WeightsError
from mobilenets.runtime.numbers import softmax
from mobilenets.tasks.geolocate.cells import Atlas, Cell, atlas_of, temperature_of
from mobilenets.tasks.geolocate.sphere import Floats
from mobilenets.tasks.values import Arrays, Size, first_output

LOGITS = one_output("logits", "(N, cells)")
CANDIDATES = 256
"""Cells, the likeliest ones, of whose photographs' middles one is the answer."""
HELD = (0.5, 0.9)
"""Shares of the belief that a radius is given for."""


class Circle(NamedTuple):
    """A circle around the answer."""

    held: float
    """The share of the belief in it, 0 to 1."""
    radius: float
    """Kilometres."""


class CellShare(NamedTuple):
    """What a network believes of a cell."""

    cell: Cell
    """Which part of the map."""
    share: float
    """Probability, 0 to 1."""


@dataclass(frozen=True)
class Whereabouts:
    """Where a photograph was taken."""

    lat: float
    """Degrees, north is positive."""
    lon: float
    """Degrees, east is positive."""
    circles: tuple[Circle, ...]
    """Around it, the smaller first: of 50 and 90 %, those below the threshold left out."""
    cells: tuple[CellShare, ...] = ()
    """The likeliest cells, the first ones; for a map."""


class Points(NamedTuple):
    """The answers for a batch, at each of several temperatures."""

    chosen: NDArray[np.int64]
    """(N, temperatures): the cell the middle of whose photographs is the answer."""
    radii: Floats
    """(N, temperatures, 2) kilometres that hold `HELD`."""


def decode(
    outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
) -> list[Whereabouts]:
    """The point for each image, circles that hold `threshold` or more, and the `top` cells."""
    atlas = atlas_of(card)
    shares = shares_of(rows(outputs, card), temperature_of(card) or 1.0)
    points = place(shares[:, None], atlas)
    found = []
    for row, cell, radii in zip(
        shares, points.chosen[:, 0], points.radii[:, 0].tolist(), strict=True
    ):
        best = np.argsort(-row, kind="stable")[:top]
        circles = [
            Circle(held, r) for held, r in zip(HELD, radii, strict=True) if held >= threshold
        ]
        likeliest = tuple(CellShare(atlas.cells[i], float(row[i])) for i in best)
        lat, lon = atlas.cells[int(cell)].mean
        found.append(Whereabouts(lat, lon, tuple(circles), likeliest))
    return found


def rows(outputs: Arrays, card: ModelCard) -> NDArray[np.float32]:
    """(N, cells) logits; WeightsError where they are not finite, or not one for each cell."""
    values = first_output(outputs, card)
    values = values.reshape(len(values), -1)
    if values.shape[1] != len(card.labels):
        raise WeightsError(
            f"the model has {values.shape[1]} outputs but its card {len(card.labels)} cells"
        )
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise WeightsError(
            f"the model's outputs are not finite for {len(bad)} of {len(values)} images: its "
            "weights are damaged or overflow"
        )
    return values


def shares_of(logits: NDArray[np.floating], temperature: float) -> Floats:
    """(N, cells) probabilities of logits divided by a temperature."""
    return np.asarray(softmax(logits.astype(np.float64) / temperature))


def place(shares: Floats, atlas: Atlas) -> Points:
    """The point of least expected distance of each of (N, temperatures, cells) shares; its radii.

    The point is the middle of the photographs of one of the `CANDIDATES` cells that are likeliest,
    whatever the temperature. A radius is the least one around it within which cells with enough of
    the belief lie; a cell counts as far away as the root of its middle's squared distance and its
    photographs' squared spread.
    """
    chosen = np.zeros(shares.shape[:2], np.int64)
    radii = np.zeros((*shares.shape[:2], len(HELD)))
    for i, image in enumerate(shares):  # (temperatures, cells)
        among = np.argsort(-image[0], kind="stable")[:CANDIDATES]
        between = atlas.between(among)
        best = np.argmin(between @ image.T, axis=0)  # (temperatures,)
        chosen[i] = among[best]
        away = np.hypot(between[best], atlas.spreads)
        order = np.argsort(away, axis=1, kind="stable")
        within = np.cumsum(np.take_along_axis(image, order, axis=1), axis=1)
        for k, held in enumerate(HELD):
            ends = (within < held - 1e-9).sum(axis=1, keepdims=True)
            ends = np.minimum(ends, image.shape[1] - 1)
            radii[i, :, k] = np.take_along_axis(
                away, np.take_along_axis(order, ends, axis=1), axis=1
            )[:, 0]
    return Points(chosen, radii)
