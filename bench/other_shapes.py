"""32 shapes that are not among the built-in eight: what the package's own small weights know."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mobilenets.data.drawing import Outline, Points, regular
from mobilenets.data.shapes import Shapes


def polygon(*corners: tuple[float, float]) -> Points:
    """A polygon moved and scaled into the unit circle, (corners, 2)."""
    points = np.array(corners, float)
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    return points / np.hypot(*points.T).max()


def polar(lobes: int, depth: float) -> Points:
    """A circle whose radius goes in by `depth` between its `lobes`."""
    t = np.linspace(0, 2 * math.pi, 48, endpoint=False)
    r = 1 - depth / 2 * (1 - np.cos(lobes * t))
    return np.stack([r * np.sin(t), -r * np.cos(t)], axis=1)


def stretched(points: Points, share: float) -> Points:
    """Narrower by `share`."""
    return points * np.array([share, 1.0])


def crescent() -> Points:
    """Two arcs."""
    outer = np.linspace(math.pi / 4, 7 * math.pi / 4, 32)
    start = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    inner = np.linspace(1.5 * math.pi, math.pi / 2, 20)
    back = np.stack([0.7 + 0.75 * np.cos(inner), 0.72 * np.sin(inner)], axis=1)
    return np.concatenate([start, back])


def slice_of(share: float) -> Points:
    """A disc without a slice."""
    t = np.linspace(0, 2 * math.pi * share, 40) + math.pi * (1 - share)
    return np.concatenate([np.stack([np.cos(t), np.sin(t)], axis=1), np.zeros((1, 2))])


OTHERS: dict[str, Outline] = {
    "arrow": (polygon((0, -3), (3, 0), (1, 0), (1, 3), (-1, 3), (-1, 0), (-3, 0)),),
    "bolt": (polygon((1, -4), (-2, 1), (0, 1), (-1, 4), (2, -1), (0, -1)),),
    "bowtie": (polygon((-3, -2), (0, -0.5), (3, -2), (3, 2), (0, 0.5), (-3, 2)),),
    "chevron": (polygon((0, -2), (3, 1), (3, 3), (0, 0), (-3, 3), (-3, 1)),),
    "clover": (polar(4, 0.7),),
    "crescent": (crescent(),),
    "drop": (np.concatenate([[[0.0, -1.0]], regular(24)[3:22] * 0.62 + [0, 0.38]]),),
    "ellipse": (stretched(regular(48), 0.5),),
    "e": (
        polygon(
            *((-2, -3), (2, -3), (2, -1.8), (-0.8, -1.8), (-0.8, -0.6), (2, -0.6), (2, 0.6)),
            *((-0.8, 0.6), (-0.8, 1.8), (2, 1.8), (2, 3), (-2, 3)),
        ),
    ),
    "flag": (polygon((-2, -3), (2.5, -3), (2.5, 0), (-0.8, 0), (-0.8, 3), (-2, 3)),),
    "frame": (regular(4, start=0.5), 0.6 * regular(4, start=0.5)),
    "gear": (polar(9, 0.3),),
    "h": (
        polygon(
            *((-2.5, -3), (-1, -3), (-1, -0.8), (1, -0.8), (1, -3), (2.5, -3), (2.5, 3)),
            *((1, 3), (1, 0.8), (-1, 0.8), (-1, 3), (-2.5, 3)),
        ),
    ),
    "hexagon": (regular(6),),
    "house": (
        polygon((0, -3), (3, -0.5), (2.2, -0.5), (2.2, 3), (-2.2, 3), (-2.2, -0.5), (-3, -0.5)),
    ),
    "l": (polygon((-2, -3), (-0.3, -3), (-0.3, 1.4), (2, 1.4), (2, 3), (-2, 3)),),
    "lens": (regular(48), 0.6 * regular(4, start=0.5)),
    "mouth": (slice_of(0.8),),
    "nut": (regular(6), 0.5 * regular(48)),
    "parallelogram": (polygon((-1, -1.5), (3, -1.5), (1, 1.5), (-3, 1.5)),),
    "rectangle": (polygon((-3, -1.4), (3, -1.4), (3, 1.4), (-3, 1.4)),),
    "rhombus": (stretched(regular(4), 0.55),),
    "shield": (
        polygon((-2.5, -3), (2.5, -3), (2.5, 0.5), (1.6, 2), (0, 3), (-1.6, 2), (-2.5, 0.5)),
    ),
    "spark": (regular(8, inner=0.35),),
    "stairs": (polygon((-3, 3), (-3, 1), (-1, 1), (-1, -1), (1, -1), (1, -3), (3, -3), (3, 3)),),
    "sun": (regular(24, inner=0.72),),
    "t": (
        polygon(
            (-2.5, -3),
            (2.5, -3),
            (2.5, -1.4),
            (0.8, -1.4),
            (0.8, 3),
            (-0.8, 3),
            (-0.8, -1.4),
            (-2.5, -1.4),
        ),
    ),
    "trapezoid": (polygon((-1.3, -1.8), (1.3, -1.8), (3, 1.8), (-3, 1.8)),),
    "trefoil": (polar(3, 0.65),),
    "u": (
        polygon(
            (-2.5, -3),
            (-0.9, -3),
            (-0.9, 1.4),
            (0.9, 1.4),
            (0.9, -3),
            (2.5, -3),
            (2.5, 3),
            (-2.5, 3),
        ),
    ),
    "window": (regular(4, start=0.5), 0.5 * regular(48)),
    "z": (
        polygon(
            (-2.5, -3),
            (2.5, -3),
            (2.5, -1.6),
            (-0.4, 1.6),
            (2.5, 1.6),
            (2.5, 3),
            (-2.5, 3),
            (-2.5, 1.6),
            (0.4, -1.6),
            (-2.5, -1.6),
        ),
    ),
}


@dataclass(frozen=True)
class OtherShapes(Shapes):
    """32 classes of shapes, none of which is built in, on the same kind of ground."""

    @property
    def outlines(self) -> Mapping[str, Outline]:  # noqa: D102
        return OTHERS
