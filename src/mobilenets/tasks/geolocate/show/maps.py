"""Maps drawn with Pillow: land, cells by their probability, an answer and its circles.

Latitude and longitude are the axes, degrees of longitude as wide as they are in the middle of the
map. What crosses the date line is drawn on both sides of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from mobilenets.runtime.draw import GROUND, TEXT, Pen, font_of
from mobilenets.tasks.geolocate.read import Whereabouts
from mobilenets.tasks.geolocate.show.outline import outline, unrolled
from mobilenets.tasks.geolocate.sphere import RADIUS, Floats, length, vectors

if TYPE_CHECKING:
    from mobilenets.tasks.geolocate.cells import Cell

SEA, LAND, COAST = (36, 44, 56), (92, 100, 104), (120, 128, 132)
CELL, CIRCLE, POINT, BOX = (255, 190, 60), (240, 242, 245), (230, 60, 60), (90, 190, 255)
KILOMETRES = math.radians(1) * RADIUS
"""Of a degree along a meridian."""
NO_LAND = 0.5
"""Degrees of a map's height below which the outline is too coarse to be drawn."""
LEAST = 0.2
"""Kilometres from the middle to the edge of the nearest map."""
UNKNOWN = 300.0
"""The same where an answer has no circle."""
STEPS = 8
"""Straight pieces of a cell's edge, which is part of a great circle."""


@dataclass(frozen=True)
class MapWindow:
    """What part of the earth a map shows, and how large."""

    lat: float
    """Of the middle, in degrees."""
    lon: float
    """Of the middle, in degrees."""
    height: float
    """Degrees of latitude from bottom to top."""
    size: tuple[int, int]
    """(width, height) in pixels."""

    @property
    def across(self) -> float:
        """Degrees of longitude from left to right: 360 at most."""
        narrow = max(math.cos(math.radians(self.lat)), 0.05)
        return min(self.height * self.size[0] / self.size[1] / narrow, 360.0)

    def pixels(self, lons: Floats, lats: Floats) -> list[tuple[float, float]]:
        """Where positions lie on the map; longitudes as they are, beyond 180 too."""
        width, height = self.size
        x = (lons - self.lon) / self.across * width + width / 2
        y = (self.lat - lats) / self.height * height + height / 2
        return list(zip(x.tolist(), y.tolist(), strict=True))


def world(size: tuple[int, int]) -> MapWindow:
    """All of the earth; a size twice as wide as high shows it as it is."""
    return MapWindow(0.0, 0.0, 180.0, size)


def around(located: Whereabouts, size: tuple[int, int]) -> MapWindow:
    """The surroundings of an answer: its largest circle, and a third more."""
    reach = max((circle.radius for circle in located.circles), default=UNKNOWN)
    height = 2 * 1.33 * max(reach, LEAST) / KILOMETRES
    if height >= 150:
        return world(size)
    room = 90 - height / 2
    return MapWindow(min(max(located.lat, -room), room), located.lon, height, size)


class ShiftedPen:
    """Draws on a map in degrees, once for each turn of the earth with which a shape is seen."""

    def __init__(self, picture: Image.Image, window: MapWindow) -> None:
        from PIL import ImageDraw

        self.pen: Pen = ImageDraw.Draw(picture, "RGBA")
        self.window = window

    def line(self, lons: Floats, lats: Floats, colour: tuple[int, ...], width: int = 1) -> None:
        """Straight pieces from each position to the next."""
        for shape in _shifted(self.window, lons, lats):
            self.pen.line(shape, fill=colour, width=width)

    def fill(
        self, lons: Floats, lats: Floats, colour: tuple[int, ...], edge: tuple[int, ...] | None
    ) -> None:
        """The inside of a ring of positions; `edge` is the colour of its line, None for none."""
        for shape in _shifted(self.window, lons, lats):
            self.pen.polygon(shape, fill=colour, outline=edge)

    def dot(self, lat: float, lon: float, colour: tuple[int, ...], reach: int = 3) -> None:
        """A point, `reach` pixels from its middle to its edge."""
        for ((x, y),) in _shifted(self.window, np.array([lon]), np.array([lat])):
            self.pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=colour)


def draw_land(window: MapWindow) -> tuple[Image.Image, ShiftedPen]:
    """A map without anything on it, and what draws on it."""
    picture = Image.new("RGB", window.size, SEA)
    pen = ShiftedPen(picture, window)
    if window.height >= NO_LAND:
        for rings, fill in ((outline().land, LAND), (outline().holes, SEA)):
            for ring in rings:
                pen.fill(ring[:, 0], ring[:, 1], fill, COAST)
    return picture, pen


def draw_map(window: MapWindow, located: Whereabouts, box: MapWindow | None = None) -> Image.Image:
    """A map of a window with an answer in it, and the frame of another window, `box`."""
    picture, pen = draw_land(window)
    most = max((one.share for one in located.cells), default=0.0)
    for one in reversed(located.cells):
        alpha = round(200 * one.share / most) if most else 0
        if alpha:
            pen.fill(*edges_of(one.cell), (*CELL, alpha), None)
    for circle in located.circles:
        lons, lats = circle_of(located.lat, located.lon, circle.radius)
        pen.line(np.append(lons, lons[0]), np.append(lats, lats[0]), CIRCLE, 2)
    if box is not None:
        corners = np.array([[-1, 1], [1, 1], [1, -1], [-1, -1], [-1, 1]]) / 2
        lons, lats = box.lon + corners[:, 0] * box.across, box.lat + corners[:, 1] * box.height
        pen.line(lons, lats, BOX, 2)
    pen.dot(located.lat, located.lon, CIRCLE, 5)
    pen.dot(located.lat, located.lon, POINT, 4)
    if box is None:
        draw_scale(pen.pen, window)
    return picture


def edges_of(cell: Cell) -> tuple[Floats, Floats]:
    """The longitudes and latitudes along a cell's edges, which are parts of great circles."""
    corners = vectors(cell.corners)
    along = np.linspace(0, 1, STEPS, endpoint=False)[:, None]
    points = np.concatenate(
        [a + along * (b - a) for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True)]
    )
    lats = np.degrees(np.arctan2(points[:, 2], np.hypot(points[:, 0], points[:, 1])))
    return unrolled(np.degrees(np.arctan2(points[:, 1], points[:, 0])), lats)


def circle_of(lat: float, lon: float, radius: float) -> tuple[Floats, Floats]:
    """The longitudes and latitudes of a circle of `radius` kilometres around a position."""
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    away, up = min(radius / RADIUS, np.pi), math.radians(lat)
    sine = np.sin(up) * np.cos(away) + np.cos(up) * np.sin(away) * np.cos(turn)
    lats = np.arcsin(np.clip(sine, -1, 1))
    east = np.sin(turn) * np.sin(away) * np.cos(up)
    lons = lon + np.degrees(np.arctan2(east, np.cos(away) - np.sin(up) * sine))
    return unrolled(lons, np.degrees(lats))


def beside(photo: Image.Image, located: Whereabouts, lines: Sequence[str]) -> Image.Image:
    """A photograph over two maps: of the earth, with the frame of the other, and of around there.

    `lines` are written below.
    """
    width = max(photo.width, 640)
    gap = 8
    across = (width - 3 * gap) // 2
    size = (across, across // 2)
    near = around(located, size)
    row = max(20, width // 36)
    high = photo.height + size[1] + 3 * gap + row * len(lines)
    canvas = Image.new("RGB", (width, high), GROUND)
    canvas.paste(photo, ((width - photo.width) // 2, 0))
    top = photo.height + gap
    canvas.paste(draw_map(world(size), located, box=near), (gap, top))
    canvas.paste(draw_map(near, located), (2 * gap + across, top))
    from mobilenets.runtime.draw import pen_on

    pen, font = pen_on(canvas), font_of(round(row * 0.62))
    for i, line in enumerate(lines):
        pen.text((gap, top + size[1] + gap + (i + 0.5) * row), line, TEXT, font, anchor="lm")
    return canvas


def _shifted(window: MapWindow, lons: Floats, lats: Floats) -> list[list[tuple[float, float]]]:
    """A shape in pixels, once for each turn of the earth with which it is seen."""
    found = []
    for turn in (-720.0, -360.0, 0.0, 360.0, 720.0):
        moved = lons + turn - window.lon
        if moved.min() <= window.across / 2 and moved.max() >= -window.across / 2:
            found.append(window.pixels(lons + turn, lats))
    return found


def draw_scale(pen: Pen, window: MapWindow) -> None:
    """A bar of a round length, a quarter of the map wide at most, and how long it is."""
    width, height = window.size
    per_pixel = window.across * KILOMETRES * math.cos(math.radians(window.lat)) / width
    most = per_pixel * width / 4
    unit = 10.0 ** math.floor(math.log10(most))
    long = next(unit * k for k in (5, 2, 1) if unit * k <= most)
    left, base = 8, height - 8
    pen.line([(left, base), (left + long / per_pixel, base)], fill=TEXT, width=2)
    pen.text((left, base - 4), length(long), TEXT, font_of(12), anchor="ls")
