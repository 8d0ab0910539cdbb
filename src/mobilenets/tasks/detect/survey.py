"""What data with boxes holds: how much of what, and what a detector's anchors reach."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.detect.data import ObjectDataset
from mobilenets.tasks.detect.formats.boxes import best_overlaps

SMALL, MEDIUM = 32.0**2, 96.0**2
"""COCO's bounds in square pixels: below the first is small, from the second on large."""
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
REACHED, RESEMBLED = 0.5, 0.35
"""An anchor from the first overlap on is matched with an object (SSD, section 2.2); below the
second even the best anchor, which is always matched, hardly resembles it."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """What was counted in one part of a data set; crowds are counted as such and nowhere else."""

    images: int
    empty: int
    """Images without objects."""
    crowds: int
    difficult: int
    labels: NDArray[np.int64]
    """(objects,): places in the data set's classes."""
    areas: Floats
    """(objects,): square pixels, the mask's where the data knows it."""
    sides: Floats
    """(objects,): the root of the box's area in pixels."""
    shares: Floats
    """(objects,): the root of the box's share of the image's area."""
    overlaps: Floats
    """(objects,): the largest IoU with any anchor."""

    def by_class(self, classes: int) -> list[int]:
        """How many objects of each class."""
        counts: list[int] = np.bincount(self.labels, minlength=classes).tolist()
        return counts

    def sizes(self) -> dict[str, int]:
        """Objects by COCO's sizes."""
        small, medium = self.areas < SMALL, self.areas < MEDIUM
        return {
            "small": int(small.sum()),
            "medium": int((medium & ~small).sum()),
            "large": int((~medium).sum()),
        }

    def below(self, overlap: float) -> NDArray[np.bool_]:
        """(objects,): which objects no anchor overlaps by so much."""
        return self.overlaps < overlap


def quantiles(values: Floats) -> dict[str, float]:
    """`QUANTILES` of values, 0 where there are none."""
    found = np.quantile(values, QUANTILES) if len(values) else np.zeros(len(QUANTILES))
    return dict(zip(map(str, QUANTILES), found.tolist(), strict=True))


def survey(
    dataset: ObjectDataset,
    anchors: NDArray[np.floating],
    progress: Callable[[int], None] = lambda images: None,
) -> Survey:
    """Count everything in a data set; `anchors` are (m, 4): centre x, y, width, height in shares.

    No image is read. Overlaps are those in the network's input, which takes the whole image.
    """
    corners = np.concatenate(
        [anchors[:, :2] - anchors[:, 2:] / 2, anchors[:, :2] + anchors[:, 2:] / 2], axis=1
    )
    empty = crowds = difficult = 0
    columns: list[tuple[NDArray[np.int64], Floats, Floats, Floats, Floats]] = []
    for i in range(len(dataset)):
        objects = dataset.target(i)
        empty += not len(objects.labels)
        crowds += int(objects.crowd.sum())
        one = ~objects.crowd
        difficult += int(objects.difficult[one].sum())
        boxes = objects.boxes[one].astype(np.float64)
        inside = boxes / np.tile(dataset.image_size(i), 2)
        columns.append(
            (
                objects.labels[one],
                objects.areas[one].astype(np.float64),
                _root_area(boxes),
                _root_area(inside),
                best_overlaps(inside, corners),
            )
        )
        progress(1)
    labels, areas, sides, shares, overlaps = map(np.concatenate, zip(*columns, strict=True))
    return Survey(len(dataset), empty, crowds, difficult, labels, areas, sides, shares, overlaps)


def _root_area(boxes: Floats) -> Floats:
    return np.asarray(np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)))
