"""What data with masks holds: how much of what."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.segment.data import MaskDataset

Counts = NDArray[np.int64]


class MaskSurvey(NamedTuple):
    """What was counted in one part of a data set of masks."""

    images: int
    pixels: Counts
    """(classes + 1,): of each class; the last is void."""
    images_of: Counts
    """(classes + 1,): images with at least one pixel of each class; the last is void."""

    @property
    def void(self) -> float:
        """Void's share of all pixels."""
        return float(self.pixels[-1] / self.pixels.sum())

    def shares(self) -> list[float]:
        """Each class's share of the pixels that are not void."""
        shares: list[float] = (self.pixels[:-1] / self.pixels[:-1].sum()).tolist()
        return shares


def survey_masks(
    dataset: MaskDataset, progress: Callable[[int], None] = lambda images: None
) -> MaskSurvey:
    """Count every pixel of a data set; of data on disk, what was counted when it was opened."""
    pixels = np.zeros(len(dataset.classes) + 1, np.int64)
    images_of = np.zeros_like(pixels)
    for i in range(len(dataset)):
        found = dataset.pixels_of(i)
        pixels += found
        images_of += found > 0
        progress(1)
    return MaskSurvey(len(dataset), pixels, images_of)
