"""How well the pixels of a segmentation agree with the truth, counted over a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.intervals import MOST, NO_INTERVALS, Intervals, gathered, interval, resamples
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.values import Confused

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Counted = NDArray[np.floating] | NDArray[np.integer]
Mask = NDArray[np.unsignedinteger]
PIXELS = 1 << 20
"""Counted together, at 17 bytes each: an image of 100 megapixels takes no more than others."""


class Tally(NamedTuple):
    """The pixels of one image, of the classes that are there or seen; void ones left out."""

    classes: NDArray[np.int64]
    both: NDArray[np.int64]
    """Of the class in the truth and in the answer."""
    there: NDArray[np.int64]
    seen: NDArray[np.int64]

    @classmethod
    def of(cls, confusion: NDArray[np.int64]) -> Tally:
        """From an image's (classes, classes + 1) counts."""
        both, there, seen = confusion.diagonal(), confusion.sum(1), confusion[:, :-1].sum(0)
        some = np.flatnonzero(there + seen)
        return cls(some, both[some], there[some], seen[some])


def overlap(both: Counted, there: Counted, seen: Counted) -> Floats:
    """Intersection over union by class; NaN where the truth has no pixel of it."""
    iou: Floats = np.full(both.shape, np.nan)
    np.divide(both, there + seen - both, out=iou, where=there > 0)
    return iou


def nan_mean(rows: Floats) -> Floats:
    """The mean of each row over what is a number; 0 where nothing is."""
    are = ~np.isnan(rows)
    means: Floats = np.where(are, rows, 0).sum(1) / np.maximum(are.sum(1), 1)
    return means


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
        self.tallies: list[Tally] = []
        """Of each image, the classes that are there or seen."""

    def add(self, seen: Mask, truth: NDArray[np.uint8]) -> None:
        """Count one image: the model's outputs and the data's classes, both (H, W)."""
        width = len(self.classes) + 1
        image = np.zeros_like(self.confusion)
        rows = max(PIXELS // max(truth.shape[1], 1), 1)
        for first in range(0, len(truth), rows):
            true, given = truth[first : first + rows], seen[first : first + rows]
            known = true != VOID
            pairs = true[known].astype(np.int64) * width + self.class_of[given[known]]
            counts = np.bincount(pairs, minlength=self.confusion.size)
            image += counts.reshape(self.confusion.shape)
        self.confusion += image
        self.tallies.append(Tally.of(image))
        self.images += 1

    def merge(self, other: SegmentationMetrics) -> None:
        """Add what another process has counted."""
        self.confusion += other.confusion
        self.images += other.images
        self.tallies += other.tallies

    def iou(self) -> Floats:
        """(classes,): intersection over union; NaN for a class of which the truth has no pixel.

        What is seen of it nevertheless counts against the classes that are there.
        """
        seen = self.confusion[:, :-1].sum(0)
        return overlap(self.confusion.diagonal(), self.confusion.sum(1), seen)

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

    def intervals(self, losses: NDArray[np.float64]) -> Intervals:
        """From resamples, of every figure and of each class.

        `losses` (images, 2) are each image's loss, summed, and its pixels; (0, 2) without.
        """
        n = self.images
        if not 1 < n < MOST:
            return NO_INTERVALS
        weights = resamples(n)
        both, there, seen = (weights @ self._dense(column) for column in range(3))  # (., classes)
        iou = overlap(both, there, seen)
        found = np.where(there > 0, both / np.maximum(there, 1), np.nan)
        pixels = there.sum(1)
        figures = {
            "miou": nan_mean(iou),
            "pixel_accuracy": both.sum(1) / np.maximum(pixels, 1),
        }
        results = {
            name: interval(value, figures[name], n)
            for name, value in self.results()
            if name in figures
        }
        if len(losses):
            sums = weights @ losses
            loss, of = losses.sum(0)
            values = sums[:, 0] / np.maximum(sums[:, 1], 1)
            results["loss"] = interval(float(loss / max(of, 1)), values, n, share=False)
        holding = (self._dense(1) > 0).sum(0)
        place = {name: k for k, name in enumerate(self.classes)}
        by_class = {}
        for name, row in self.by_class().items():
            k = place[name]
            n = int(holding[k])
            columns = {"iou": iou[:, k], "accuracy": found[:, k]}
            by_class[name] = {c: interval(row[c], columns[c], n) for c in columns}
        return gathered(results, by_class)

    def confusions(self) -> list[Confused]:
        """What is taken for what, in pixels; the first have most pixels."""
        names, there = (*self.classes, "none of these"), self.confusion.sum(1)
        found = [
            Confused(names[true], names[seen], int(n), float(n / there[true]))
            for (true, seen), n in np.ndenumerate(self.confusion)
            if n and true != seen
        ]
        return sorted(found, key=lambda one: -one.times)

    def _dense(self, column: int) -> Floats:
        """(images, classes) of a column of the tallies."""
        table = np.zeros((self.images, len(self.classes)))
        for row, one in zip(table, self.tallies, strict=True):
            row[one.classes] = one[1 + column]
        return table

    def figure(self) -> Figure:
        """Each class's intersection over union, beside what is taken for what."""
        from mobilenets.tasks.segment.measure.figure import segmentation_figure

        by_class = self.by_class()
        rows = [k for k, name in enumerate(self.classes) if name in by_class]
        columns = [*rows, len(self.classes)]
        shares = self.confusion[np.ix_(rows, columns)].astype(np.float64)
        shares /= np.maximum(shares.sum(1, keepdims=True), 1)
        return segmentation_figure({name: row["iou"] for name, row in by_class.items()}, shares)
