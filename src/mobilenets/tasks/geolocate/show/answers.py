"""All answers of an evaluation at once: on one map, and as GeoJSON."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from PIL import Image

from mobilenets.tasks.geolocate.read import HELD, Circle, Whereabouts
from mobilenets.tasks.geolocate.show import feature, features
from mobilenets.tasks.geolocate.show.maps import (
    BOX,
    KILOMETRES,
    LEAST,
    POINT,
    MapWindow,
    draw_land,
    draw_scale,
    world,
)
from mobilenets.tasks.geolocate.sphere import Floats, middle, pairwise

SIZE = (1280, 800)
ROOM = 1.16
"""How much more the map shows than what lies farthest out."""


def window_of(positions: Floats, size: tuple[int, int] = SIZE) -> MapWindow:
    """The map that shows all of (N, 2) positions in degrees; of none the earth."""
    if not len(positions):
        return world(size)
    lat, lon = middle(positions)
    east = (positions[:, 1] - lon + 180) % 360 - 180  # the date line may be among them
    lon += (east.min() + east.max()) / 2
    low, high = positions[:, 0].min(), positions[:, 0].max()
    lat = (low + high) / 2
    narrow = max(float(np.cos(np.radians(lat))), 0.05)
    across = float(np.ptp(east)) * narrow * size[1] / size[0]
    height = ROOM * max(float(high - low), across, 2 * LEAST / KILOMETRES)
    return world(size) if height >= 150 else MapWindow(float(lat), float(lon), height, size)


def draw_answers(truths: Floats, found: Floats, size: tuple[int, int] = SIZE) -> Image.Image:
    """A map with (N, 2) true positions in blue, answers in red, and a line from each to its own."""
    window = window_of(np.concatenate([truths, found]), size)
    picture, pen = draw_land(window)
    for (lat, lon), (at, over) in zip(truths.tolist(), found.tolist(), strict=True):
        over += 360 * round((lon - over) / 360)  # the shorter way around
        pen.line(np.array([lon, over]), np.array([lat, at]), (*POINT, 110))
    for positions, colour in ((found, POINT), (truths, BOX)):
        for lat, lon in positions.tolist():
            pen.dot(lat, lon, colour)
    draw_scale(pen.pen, window)
    return picture


def answers_json(
    names: Sequence[str], truths: Floats, found: Floats, radii: Floats, writer: str
) -> str:
    """GeoJSON with a point for each answer; its properties have the truth and how far off it is.

    `radii` are (N, 2), in kilometres, of the circles that should hold 50 and 90 %.
    """
    off = pairwise(truths, found)
    made = []
    for name, truth, at, reach, km in zip(
        names, truths.tolist(), found.tolist(), radii.tolist(), off.tolist(), strict=True
    ):
        circles = tuple(Circle(*one) for one in zip(HELD, reach, strict=True))
        one = feature(name, Whereabouts(at[0], at[1], circles))
        one["properties"] |= {"true_lat": truth[0], "true_lon": truth[1], "km": km}
        made.append(one)
    return json.dumps(features(made, writer), indent=1)
