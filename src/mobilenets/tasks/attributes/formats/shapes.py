"""The built-in shapes with several labels each: what is in a picture, its colour, its size."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from mobilenets.data.scenes import ShapeScenes
from mobilenets.data.shapes import CLASSES, Scene
from mobilenets.tasks.attributes.marks import NO, UNKNOWN, YES, Marks

COLOURS = ("red", "green", "blue")
CLEARLY = 12.0
"""Of 255: how much brighter the strongest channel of the largest shape is than the second, or its
colour is unknown."""
LARGE, SMALL = 0.55, 0.5
"""Side of the largest shape's box as a share of the picture's: from here on it is large, up to
there it is not; between them that is unknown."""


@dataclass(frozen=True)
class ShapeAttributes(ShapeScenes):
    """The built-in shapes, one or two in a picture of 64 x 64, with attributes.

    Which of the eight shapes are there; whether there are `two`; whether the largest is `large`;
    and which of red, green and blue is strongest in it, of which a picture has one.
    """

    size: int = 64
    classes: ClassVar[tuple[str, ...]] = (*CLASSES, "two", "large", *COLOURS)
    kind: ClassVar[str] = "built-in shapes"

    def target(self, i: int) -> Marks:
        """(attributes,) of 1, 0 and -1 for unknown."""
        return _marks(self, i)


@lru_cache(maxsize=4096)
def _marks(shapes: ShapeAttributes, i: int) -> Marks:
    scene = shapes.scene(i)
    there = np.isin(np.arange(len(CLASSES)), scene.labels).astype(np.int8)
    sides = (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(1) / shapes.size
    two = YES if len(scene.labels) > 1 else NO
    side = float(sides.max())
    large = YES if side >= LARGE else NO if side <= SMALL else UNKNOWN
    return np.array([*there, two, large, *_colour(scene)], np.int8)


def _colour(scene: Scene) -> list[int]:
    """Marks for red, green and blue, of the shape that the picture is named after."""
    inside = np.asarray(scene.image, np.float64)[scene.mask == scene.label + 1]
    if not len(inside):
        return [UNKNOWN] * 3
    means = inside.mean(0)
    second, first = np.sort(means)[1:]
    if first - second < CLEARLY:
        return [UNKNOWN] * 3
    return [YES if k == int(means.argmax()) else NO for k in range(3)]
