"""How well the pixels of a segmentation agree with the truth, counted over a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.segment.formats.masks import VOID

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Mask = NDArray[np.unsignedinteger]
PIXELS = 1 << 20
"""Counted together, at 17 bytes each: an image of 100 megapixels takes no more than others."""


class SegmentationMetrics:
    """Intersection over union of each class, and the share of pixels that are right.

    `outputs_of` has the model's output for each class of the data. A pixel that is void in the
    truth does not count; one that is given an output which is no class of the data is wrong.
    """

    def __init__(self, classes: Sequence[str], outputs_of: Sequence[int]) -> None:
        self.classes = tuple(classes)
        # From the model's outputs to the data's classes; the last place is for all others.
        self.class_of = np.full(1 + np.iinfo(np.uint16).max, len(classes), np.int64)
        self.class_of[list(outputs_of)] = np.arange(len(classes))
        self.confusion = np.zeros((len(classes), len(classes) + 1), np.int64)
        """Pixels: [true class, class that was seen], the last column for none of them."""
        self.images = 0

    def add(self, seen: Mask, truth: NDArray[np.uint8]) -> None:
        """Count one image: the model's outputs and the data's classes, both (H, W)."""
        width = len(self.classes) + 1
        rows = max(PIXELS // max(truth.shape[1], 1), 1)
        for first in range(0, len(truth), rows):
            true, given = truth[first : first + rows], seen[first : first + rows]
            known = true != VOID
            pairs = true[known].astype(np.int64) * width + self.class_of[given[known]]
            counts = np.bincount(pairs, minlength=self.confusion.size)
            self.confusion += counts.reshape(self.confusion.shape)
        self.images += 1

    def merge(self, other: SegmentationMetrics) -> None:
        """Add what another process has counted."""
        self.confusion += other.confusion
        self.images += other.images

    def iou(self) -> NDArray[np.float64]:
        """(classes,): intersection over union; NaN for a class of which the truth has no pixel.

        What is seen of it nevertheless counts against the classes that are there.
        """
        right = self.confusion.diagonal().astype(np.float64)
        there = self.confusion.sum(1)
        union = there + self.confusion[:, :-1].sum(0) - right
        iou: NDArray[np.float64] = np.full(len(right), np.nan)
        np.divide(right, union, out=iou, where=there > 0)
        return iou

    def results(self) -> Iterator[tuple[str, float]]:
        """`miou`, over the classes that the data has; `pixel_accuracy`; `images`."""
        iou = self.iou()
        total = int(self.confusion.sum())
        yield "miou", float(np.nanmean(iou)) if not np.isnan(iou).all() else 0.0
        yield "pixel_accuracy", float(np.trace(self.confusion)) / max(total, 1)
        yield "images", self.images

    def by_class(self) -> dict[str, dict[str, float]]:
        """`iou`, `accuracy` (the share of the class's pixels that was found), `share` of all."""
        iou = self.iou()
        pixels = self.confusion.sum(1)
        total = max(int(pixels.sum()), 1)
        found = self.confusion.diagonal()
        return {
            name: {
                "iou": float(iou[k]),
                "accuracy": float(found[k]) / max(int(pixels[k]), 1),
                "share": float(pixels[k]) / total,
            }
            for k, name in enumerate(self.classes)
            if not np.isnan(iou[k])
        }

    def figure(self) -> Figure:
        """Each class's intersection over union, beside what is taken for what."""
        from mobilenets.tasks.segment.measure.figure import segmentation_figure

        by_class = self.by_class()
        rows = [k for k, name in enumerate(self.classes) if name in by_class]
        columns = [*rows, len(self.classes)]
        shares = self.confusion[np.ix_(rows, columns)].astype(np.float64)
        shares /= np.maximum(shares.sum(1, keepdims=True), 1)
        return segmentation_figure({name: row["iou"] for name, row in by_class.items()}, shares)
