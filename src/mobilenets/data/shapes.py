"""The built-in data set: shapes on textured grounds, drawn when asked for, always the same.

Every number comes from `numpy.random.RandomState`, whose stream NumPy has promised not to change,
seeded by (seed, split, index): no picture depends on another, on the order or on the process.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.data import drawing
from mobilenets.data.built_in import Drawn, Split

CLASSES = tuple(sorted(drawing.OUTLINES))
LENGTHS = {"train": 4096, "val": 1024, "test": 1024}
SCENES = {"train": 1024, "val": 256, "test": 256}
"""Pictures with several objects."""
SMALL = 128
"""Pixels of a picture's side up to which all that were drawn are kept."""
_STREAMS = {"train": 0, "val": 1, "test": 2}

Random = np.random.RandomState


def shape_split(split: str) -> Split:
    """The part of the shapes for a split of data in general."""
    return "val" if split == "eval" else cast(Split, split)


class Scene(NamedTuple):
    """A picture and all that is true of it."""

    image: Image.Image
    """RGB, size x size."""
    label: int
    """The class of the largest object."""
    boxes: NDArray[np.float32]
    """(n, 4): left, top, right, bottom in pixels."""
    labels: NDArray[np.int64]
    """(n,): the class of each box."""
    mask: NDArray[np.uint8]
    """(size, size): class + 1 where an object covers at least half of the pixel, 0 elsewhere."""


@dataclass(frozen=True)
class Shapes(Drawn):
    """Eight classes of shapes; implements `Dataset`, and knows boxes and masks too.

    A picture has one object, or as many as `objects` (least, most) says and find room; the
    classes come in turn, so every stretch of eight has each once. Colours, sizes and angles tell
    nothing; strokes and wedges, which belong to no class, lie around.

    `length` None means 4096 for train, 1024 for val and for test; `all` is train followed by val.
    """

    size: int = 64
    split: Split = "train"
    length: int | None = None
    seed: int = 0
    objects: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.objects[0] <= self.objects[1] <= 16:
            raise ValueError(f"objects must be (least, most) in 1 .. 16, got {self.objects!r}")

    @property
    def classes(self) -> tuple[str, ...]:
        """The names, sorted: eight."""
        return tuple(sorted(self.outlines))

    @property
    def outlines(self) -> Mapping[str, drawing.Outline]:
        """What is drawn, by class; another family of shapes has others."""
        return drawing.OUTLINES

    @property
    def lengths(self) -> Mapping[str, int]:
        """Pictures of each part."""
        return LENGTHS

    def image(self, i: int) -> Image.Image:
        """The picture, RGB, size x size."""
        return scene_of(self, i).image.copy()

    def target(self, i: int) -> int:
        """The class of the largest object."""
        return self.locate(i)[1] % len(self.outlines)

    def source(self, i: int) -> bytes:
        """What picture i is made from."""
        return super().source(i) + f" {self.objects}".encode()

    def scene(self, i: int) -> Scene:
        """Picture i with its boxes and mask."""
        stream, index = self.locate(i)
        rng = Random([self.seed, _STREAMS[stream], index])
        outlines = [self.outlines[name] for name in self.classes]
        return _render(rng, self.size, index % len(outlines), self.objects, outlines)


def scene_of(shapes: Shapes, index: int) -> Scene:
    """Picture `index`, which others may be given too and is not to be written to."""
    return (_kept if shapes.size <= SMALL else _latest)(shapes, index)


@lru_cache(maxsize=sum(LENGTHS.values()))
def _kept(shapes: Shapes, index: int) -> Scene:
    """Drawn once for all epochs, of which it would be a good part; 70 KB each, or less."""
    return shapes.scene(index)


@lru_cache(maxsize=16)
def _latest(shapes: Shapes, index: int) -> Scene:
    """Drawn once for the image and the target that are asked for one after the other."""
    return shapes.scene(index)


class _Object(NamedTuple):
    label: int
    centre: tuple[float, float]
    radius: float


def _render(
    rng: Random,
    size: int,
    label: int,
    objects: tuple[int, int],
    outlines: Sequence[drawing.Outline],
) -> Scene:
    canvas = drawing.background(rng, size)
    for _ in range(rng.randint(2, 6)):
        drawing.paint(rng, canvas, drawing.clutter(rng, size))
    mask = np.zeros((size, size), np.uint8)
    boxes, labels = [], []
    for item in _place(rng, size, label, objects, len(outlines)):
        polygons = drawing.outline(rng, outlines[item.label], item.centre, item.radius)
        cover, (x, y) = drawing.paint(rng, canvas, polygons)
        window = mask[y : y + cover.shape[0], x : x + cover.shape[1]]
        window[cover >= 0.5] = item.label + 1
        boxes.append(drawing.box(polygons[0], size))
        labels.append(item.label)
    image = drawing.develop(rng, canvas)
    return Scene(image, label, np.array(boxes, np.float32), np.array(labels, np.int64), mask)


def _place(
    rng: Random, size: int, label: int, objects: tuple[int, int], classes: int
) -> list[_Object]:
    """The main object, then smaller ones of any of the classes where there is room for them."""
    count = rng.randint(objects[0], objects[1] + 1)
    most = 0.4 if count == 1 else 0.45 / count**0.5
    placed: list[_Object] = []
    for i in range(count):
        least, limit = (0.6 * most, most) if i == 0 else (0.4 * most, placed[0].radius / size)
        radius = size * rng.uniform(least, limit)
        kind = label if i == 0 else rng.randint(classes)
        for x, y in rng.uniform(radius, size - radius, (20, 2)):
            item = _Object(kind, (float(x), float(y)), radius)
            if not any(_collide(item, other) for other in placed):
                placed.append(item)
                break
    return placed


def _collide(a: _Object, b: _Object) -> bool:
    dx, dy = a.centre[0] - b.centre[0], a.centre[1] - b.centre[1]
    reach = 0.9 * (a.radius + b.radius)
    return dx * dx + dy * dy < reach * reach
