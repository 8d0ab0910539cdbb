"""Photographs with positions, opened to be learned from or looked at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.contents.hashes import short_hash
from mobilenets.data.files import ImagesOnDisk
from mobilenets.runtime.images import read_header
from mobilenets.tasks.geolocate.sphere import Floats, in_words


@dataclass(frozen=True, eq=False)
class Places(ImagesOnDisk):
    """Photographs on disk, and where they were taken.

    `classes` are the cells of the map, for training alone; `sizes` are there to be looked at.
    """

    positions: Floats = field(kw_only=True)
    """(images, 2): latitude and longitude in degrees."""
    kept: dict[str, Any] = field(default_factory=dict, kw_only=True)
    """For `ModelCard.kept`: the cells."""

    def target(self, i: int) -> tuple[float, float]:
        """Latitude and longitude in degrees."""
        lat, lon = self.positions[i].tolist()
        return lat, lon

    def label(self, i: int) -> str:
        """The position in words; for `data check`, photographs of one place have one label."""
        return in_words(*self.target(i))

    def labels_digest(self) -> str:
        """A hash of all positions."""
        return short_hash(np.ascontiguousarray(self.positions).tobytes())

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) of the upright picture, from its header where it was not read yet."""
        if len(self.sizes) == len(self.files):
            return super().image_size(i)
        return read_header(self.path(i)).size


NO_SIZES: NDArray[np.int64] = np.zeros((0, 2), np.int64)
