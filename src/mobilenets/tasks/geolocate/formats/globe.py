"""The built-in data set `globe`: drawn views of a made-up earth, each with its position.

The sky is paler the further north, the soil's colour goes round with the longitude, and a sign has
another shape in each of eight bands of longitude; the sign's colour tells nothing. Every number
comes from `numpy.random.RandomState`, seeded by (seed, split, index).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from mobilenets.data import drawing
from mobilenets.data.built_in import Drawn, Split
from mobilenets.tasks.geolocate.cells import KEY
from mobilenets.tasks.geolocate.partition import bounds, partition
from mobilenets.tasks.geolocate.sphere import Floats

GLOBE = "globe"
"""The word that opens it where no such file or folder exists."""
LENGTHS = {"train": 2048, "val": 512, "test": 512}
SOUTH, NORTH = -56.0, 72.0
"""Degrees of latitude between which views lie, as land does that people live on."""
_STREAMS = {"train": 10, "val": 11, "test": 12}
_SIGNS = tuple(sorted(drawing.OUTLINES))

Random = np.random.RandomState


def is_globe(path: str | Path) -> bool:
    """Whether `path` is the word `globe` and no file or folder of that name exists."""
    return str(path) == GLOBE and not Path(path).exists()


@dataclass(frozen=True)
class Globe(Drawn):
    """Views spread evenly over the earth between two latitudes; `all` is train followed by val.

    `length` None means 2048 for train, 512 for val and for test.
    """

    size: int = 64
    split: Split = "train"
    length: int | None = None
    seed: int = 0
    kind: ClassVar[str] = "built-in globe"
    named: ClassVar[bool] = True
    word: ClassVar[str] = GLOBE

    @cached_property
    def _cells(self) -> tuple[tuple[str, ...], dict[str, Any]]:
        found = partition(self.positions, *bounds(len(self))).atlas
        return tuple(cell.token for cell in found.cells), {KEY: found.to_json()}

    @property
    def classes(self) -> tuple[str, ...]:
        """The cells of the map, by the training views; of other parts none."""
        return self._cells[0] if self.split == "train" else ()

    @property
    def kept(self) -> dict[str, Any]:
        """What a network keeps of the cells."""
        return self._cells[1] if self.split == "train" else {}

    @property
    def lengths(self) -> Mapping[str, int]:
        """Views of each part."""
        return LENGTHS

    @property
    def positions(self) -> Floats:
        """(views, 2): latitude and longitude in degrees."""
        return np.array([self.target(i) for i in range(len(self))])

    def target(self, i: int) -> tuple[float, float]:
        """Latitude and longitude in degrees, to a hundredth."""
        rng = self._random(i, 0)
        low, high = math.sin(math.radians(SOUTH)), math.sin(math.radians(NORTH))
        lat = math.degrees(math.asin(low + (high - low) * float(rng.random_sample())))
        return round(lat, 2), round(360 * float(rng.random_sample()) - 180, 2)

    def image(self, i: int) -> Image.Image:
        """The view, RGB, size x size."""
        return _kept(self, i).copy()

    def draw(self, i: int) -> Image.Image:
        """The view, drawn anew."""
        return view(self._random(i, 1), self.size, *self.target(i))

    def _random(self, i: int, what: int) -> Random:
        part, index = self.locate(i)
        return Random([self.seed, _STREAMS[part], index, what])


@lru_cache(maxsize=sum(LENGTHS.values()))
def _kept(globe: Globe, index: int) -> Image.Image:
    """Drawn once for all epochs; 12 KB each at 64 pixels."""
    return globe.draw(index)


def view(rng: Random, size: int, lat: float, lon: float) -> Image.Image:
    """A view at a position, RGB, size x size: the same random numbers give the same picture."""
    turn = 2 * math.pi * lon / 360
    east, north = (round(1024 * one(turn)) / 1024 for one in (math.sin, math.cos))
    height = (lat - SOUTH) / (NORTH - SOUTH)
    horizon = round(size * (0.35 + 0.3 * float(rng.random_sample())))
    canvas = np.zeros((size, size, 3), np.float32)
    fade = np.linspace(0, 1, horizon, dtype=np.float32)[:, None, None]
    sky = np.array([40 + 160 * height, 110 + 90 * height, 235 - 60 * height], np.float32)
    canvas[:horizon] = sky + fade * (np.float32(235) - sky) * np.float32(0.35)
    soil = np.array([128 + 90 * east, 128 + 90 * north, 90], np.float32)
    canvas[horizon:] = soil
    canvas += np.float32(rng.randint(-12, 13))
    for _ in range(rng.randint(1, 4)):
        drawing.paint(rng, canvas, drawing.clutter(rng, size))
    band = int((lon + 180) // 45) % len(_SIGNS)
    centre = (size * float(rng.uniform(0.25, 0.75)), horizon - size * 0.02)
    sign = drawing.outline(rng, drawing.OUTLINES[_SIGNS[band]], centre, size * 0.17)
    drawing.paint(rng, canvas, sign)
    grain = np.frombuffer(rng.bytes(canvas.size), np.uint8).reshape(canvas.shape)
    pixels = canvas + (grain.astype(np.float32) - np.float32(127.5)) * np.float32(0.08)
    return Image.fromarray(np.clip(np.rint(pixels), 0, 255).astype(np.uint8))
