"""How the built-in shapes are drawn: outlines, grounds, paint.

Corners are whole numbers on a grid `FINE` times as fine as the pixels, and directions are rounded,
so the last bit of a machine's sine or cosine never shows in a picture.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FINE = 4
"""Grid cells along a pixel's side: edges are smooth in steps of 1/16."""

TILT = 1 / 8
"""The most that a shape is turned from upright, as a share of the full turn."""

Random = np.random.RandomState
Points = NDArray[np.float64]
Corners = NDArray[np.int64]
Outline = tuple[Points, ...]
"""Polygons in the unit circle, (corners, 2); a second one is a hole in the first."""
Floats = NDArray[np.float32]


def regular(corners: int, inner: float = 1.0, start: float = 0.0) -> Points:
    """A regular polygon in the unit circle, (corners, 2), its first corner at the top.

    Every second corner lies at `inner`; `start` turns it by that share of a corner.
    """
    angles = (np.arange(corners) + start) * (2 * math.pi / corners) - math.pi / 2
    radii = np.where(np.arange(corners) % 2, inner, 1.0)
    return np.stack([radii * np.cos(angles), radii * np.sin(angles)], axis=1)


def _cross() -> Points:
    arm = 0.36
    quarter = np.array([[1.0, -arm], [1.0, arm], [arm, arm]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    turns = [np.linalg.matrix_power(turn, k) for k in range(4)]
    return np.concatenate([quarter @ t for t in turns]) / math.hypot(1, arm)


def _heart() -> Points:
    t = np.linspace(0, 2 * math.pi, 40, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -13 * np.cos(t) + 5 * np.cos(2 * t) + 2 * np.cos(3 * t) + np.cos(4 * t)
    points = np.stack([x, y], axis=1) - [0, 2.5]
    return np.asarray(points / np.hypot(*points.T).max())


OUTLINES: dict[str, Outline] = {
    "circle": (regular(48),),
    "cross": (_cross(),),
    "heart": (_heart(),),
    "pentagon": (regular(5),),
    "ring": (regular(48), 0.55 * regular(48)),
    "square": (regular(4, start=0.5),),
    "star": (regular(10, inner=0.45),),
    "triangle": (regular(3),),
}

_WEDGE = regular(24)[:13]


def outline(
    rng: Random, shape: Outline, centre: tuple[float, float], radius: float
) -> list[Corners]:
    """A shape tilted and a little flattened, in grid cells; centre and radius in pixels."""
    axis = _turn(rng.random_sample())
    flattened = axis @ np.diag([1.0, rng.uniform(0.8, 1.0)]) @ axis.T
    transform = flattened @ _turn(rng.uniform(-TILT, TILT))
    return [_to_grid(points @ transform * radius + centre) for points in shape]


def clutter(rng: Random, size: int) -> list[Corners]:
    """A stroke or a half disc, small, anywhere in the picture: what belongs to no class."""
    centre = rng.uniform(0, size, 2)
    half = np.array([rng.uniform(0.06, 0.2), rng.uniform(0.008, 0.02)])
    stroke = half * [[-1, -1], [1, -1], [1, 1], [-1, 1]]
    points = stroke if rng.random_sample() < 0.6 else _WEDGE * rng.uniform(0.04, 0.09)
    return [_to_grid(points * size @ _turn(rng.random_sample()) + centre)]


def box(polygon: Corners, size: int) -> list[float]:
    """Left, top, right, bottom of a polygon, in pixels, inside the picture."""
    low, high = polygon.min(axis=0), polygon.max(axis=0) + 1
    return [float(v) for v in np.clip(np.concatenate([low, high]) / FINE, 0, size)]


def background(rng: Random, size: int) -> Floats:
    """A dark gradient with clouds and perhaps stripes, (size, size, 3)."""
    first = rng.randint(10, 121, 3)
    second = np.clip(first + rng.randint(-50, 51, 3), 0, 150)
    ramp = _ramp(rng, size, size)
    canvas = first.astype(np.float32) + ramp[..., None] * (second - first).astype(np.float32)
    cells = rng.randint(3, 9)
    clouds = Image.fromarray(rng.randint(0, 256, (cells, cells, 3)).astype(np.uint8))
    clouds = clouds.resize((size, size), Image.Resampling.BICUBIC)
    canvas += (np.asarray(clouds, np.float32) - 127.5) * np.float32(rng.uniform(0.05, 0.25))
    wave = np.abs((_ramp(rng, size, size) * rng.randint(2, 9)) % 1 - np.float32(0.5))
    canvas += wave[..., None] * np.float32(max(0.0, rng.uniform(-40, 40)))
    return np.asarray(canvas, np.float32)


def paint(rng: Random, canvas: Floats, polygons: list[Corners]) -> tuple[Floats, tuple[int, int]]:
    """Fill polygons with a shaded colour that stands out where they lie.

    Returns the share of each pixel covered, (height, width) in 0 .. 1, and the window's left top
    pixel.
    """
    cover, (x, y) = _cover(polygons, len(canvas))
    height, width = cover.shape
    if not cover.size:
        return cover, (x, y)
    window = canvas[y : y + height, x : x + width]
    colour = _contrasting(rng, window[height // 2, width // 2])
    shade = (_ramp(rng, height, width) - np.float32(0.5)) * np.float32(rng.uniform(0, 70))
    window += cover[..., None] * (colour + shade[..., None] - window)
    return cover, (x, y)


def develop(rng: Random, canvas: Floats) -> Image.Image:
    """Add grain, round to 8 bits."""
    grain = np.frombuffer(rng.bytes(canvas.size), np.uint8).reshape(canvas.shape)
    strength = np.float32(rng.uniform(0.03, 0.18))
    pixels = canvas + (grain.astype(np.float32) - np.float32(127.5)) * strength
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))


def _turn(share: float) -> Points:
    """The rotation by a share of the full turn, (2, 2), rounded to 1/1024."""
    angle = 2 * math.pi * share
    c, s = round(math.cos(angle) * 1024) / 1024, round(math.sin(angle) * 1024) / 1024
    return np.array([[c, s], [-s, c]])


def _to_grid(points: Points) -> Corners:
    return np.rint(points * FINE).astype(np.int64)


def _ramp(rng: Random, height: int, width: int) -> Floats:
    """0 .. 1 in a random direction, (height, width)."""
    (c, s), _ = _turn(rng.random_sample())
    x = np.arange(width, dtype=np.float32) * np.float32(c / width)
    y = np.arange(height, dtype=np.float32) * np.float32(s / height)
    start = np.float32(min(c, 0) + min(s, 0))
    return np.asarray((y[:, None] + x - start) / np.float32(abs(c) + abs(s)), np.float32)


def _cover(polygons: list[Corners], size: int) -> tuple[Floats, tuple[int, int]]:
    """The share of each pixel inside an odd number of polygons, and the window's left top."""
    low = np.clip(polygons[0].min(axis=0) // FINE, 0, size)
    high = np.clip(polygons[0].max(axis=0) // FINE + 1, low, size)
    width, height = (int(v) for v in high - low)
    flips = np.zeros((height * FINE, width * FINE + 1), np.int64)
    for polygon in polygons:
        flips += _crossings(polygon - low * FINE, *flips.shape)
    inside = np.cumsum(flips[:, :-1], axis=1, dtype=np.uint8) & 1
    down = inside.reshape(height, FINE, width * FINE).sum(axis=1, dtype=np.uint8)
    cells = down.reshape(height, width, FINE).sum(axis=2, dtype=np.uint8)
    return cells.astype(np.float32) / np.float32(FINE * FINE), (int(low[0]), int(low[1]))


def _crossings(polygon: Corners, rows: int, columns: int) -> NDArray[np.int64]:
    """(rows, columns): how many edges pass just left of a cell's middle, in whole numbers.

    Pillow's own polygons differ by a cell from one version to the next.
    """
    start, end = polygon, np.roll(polygon, -1, axis=0)
    swap = start[:, 1] > end[:, 1]
    start, end = np.where(swap[:, None], end, start), np.where(swap[:, None], start, end)
    (x0, y0), (dx, dy) = start.T[:, :, None], (end - start).T[:, :, None]
    row = np.arange(rows)
    edge, at = np.nonzero((y0 <= row) & (row < y0 + dy))  # the row's middle lies on the edge
    x0, y0, dx, dy = (v[edge, 0] for v in (x0, y0, dx, dy))
    column = -((-((2 * x0 - 1) * dy + (2 * at + 1 - 2 * y0) * dx)) // (2 * dy))  # rounded up
    place = at * columns + np.clip(column, 0, columns - 1)
    return np.bincount(place, minlength=rows * columns).reshape(rows, columns)


def _contrasting(rng: Random, ground: Floats) -> Floats:
    """The first of a few random colours that is brighter than the ground, else the brightest."""
    colours = rng.randint(60, 256, (6, 3)).astype(np.float32)
    brighter = (colours - ground).sum(axis=1)
    chosen = np.argmax(brighter > 180) if (brighter > 180).any() else np.argmax(brighter)
    return np.asarray(colours[chosen], np.float32)
