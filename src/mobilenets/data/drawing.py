"""How the built-in shapes are drawn: outlines, grounds, paint.

Corners are whole numbers on a grid `FINE` times as fine as the pixels, and directions are rounded,
so the last bit of a machine's sine or cosine never shows in a picture.
"""

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

FINE = 4
"""Grid cells along a pixel's side: edges are smooth in steps of 1/16."""

Random = np.random.RandomState
Points = NDArray[np.float64]
Corners = NDArray[np.int64]
Floats = NDArray[np.float32]


def _regular(corners: int, inner: float = 1.0) -> Points:
    """A regular polygon in the unit circle, (corners, 2); every second corner at `inner`."""
    angles = np.arange(corners) * (2 * math.pi / corners)
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


OUTLINES: dict[str, tuple[Points, ...]] = {
    "circle": (_regular(48),),
    "cross": (_cross(),),
    "heart": (_heart(),),
    "pentagon": (_regular(5),),
    "ring": (_regular(48), 0.55 * _regular(48)),
    "square": (_regular(4),),
    "star": (_regular(10, inner=0.45),),
    "triangle": (_regular(3),),
}
"""Polygons in the unit circle, (corners, 2); a second one is a hole in the first."""

_WEDGE = _regular(24)[:13]


def outline(rng: Random, name: str, centre: tuple[float, float], radius: float) -> list[Corners]:
    """A shape at random turned and flattened, in grid cells; centre and radius in pixels."""
    flat = rng.uniform(0.8, 1.0)
    transform = _turn(rng.random_sample()) @ np.diag([1.0, flat]) @ _turn(rng.random_sample())
    return [_to_grid(points @ transform * radius + centre) for points in OUTLINES[name]]


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
    """A gradient with clouds and perhaps stripes, (size, size, 3), about 0 .. 255."""
    first = rng.randint(20, 236, 3)
    second = np.clip(first + rng.randint(-70, 71, 3), 0, 255)
    ramp = _ramp(rng, size, size)
    canvas = first.astype(np.float32) + ramp[..., None] * (second - first).astype(np.float32)
    cells = rng.randint(3, 9)
    clouds = Image.fromarray(rng.randint(0, 256, (cells, cells, 3)).astype(np.uint8))
    clouds = clouds.resize((size, size), Image.Resampling.BICUBIC)
    canvas += (np.asarray(clouds, np.float32) - 127.5) * np.float32(rng.uniform(0.05, 0.35))
    wave = np.abs((_ramp(rng, size, size) * rng.randint(2, 9)) % 1 - np.float32(0.5))
    canvas += wave[..., None] * np.float32(max(0.0, rng.uniform(-60, 60)))
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
    strength = np.float32(rng.uniform(0.03, 0.22))
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
    low = np.clip(polygons[0].min(axis=0) // FINE, 0, size)
    high = np.clip(polygons[0].max(axis=0) // FINE + 1, low, size)
    width, height = (int(v) for v in high - low)
    if not width or not height:
        return np.zeros((height, width), np.float32), (int(low[0]), int(low[1]))
    sheet = Image.new("L", (width * FINE, height * FINE))
    pen = ImageDraw.Draw(sheet)
    for i, polygon in enumerate(polygons):
        pen.polygon((polygon - low * FINE).ravel().tolist(), fill=0 if i else 255)
    cover = np.asarray(sheet.reduce(FINE), np.float32) / np.float32(255)
    return cover, (int(low[0]), int(low[1]))


def _contrasting(rng: Random, ground: Floats) -> Floats:
    """The first of a few random colours that is far from the ground, else the farthest."""
    colours = rng.randint(0, 256, (6, 3)).astype(np.float32)
    far = np.abs(colours - ground).sum(axis=1)
    chosen = np.argmax(far > 150) if (far > 150).any() else np.argmax(far)
    return np.asarray(colours[chosen], np.float32)
