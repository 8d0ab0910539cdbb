"""Average precision in resamples of the images, without sorting or pairing again.

A resample gives each image a weight, how often it was drawn, and so each of its detections. Ranks
and pairs stay as they are. Precision has its peaks at detections that are right, and of those there
are as many as objects: only their places are computed, over all classes and overlaps at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.detect.measure.matching import AREAS, OVERLAPS, Lanes

Floats = NDArray[np.float64]
Places = NDArray[np.intp]


class Wanted(NamedTuple):
    """Objects that are to be found, a row for each image, class and range of areas."""

    images: Places
    codes: Places
    """Class x ranges + range."""
    counts: Floats


class Ranked(NamedTuple):
    """Detections of all classes, sorted by class and then by falling score."""

    right: Lanes
    """(overlaps, n)."""
    wrong: Lanes
    images: Places
    classes: Places
    steps: int
    """Precision is read at the recalls 0, 1 / `steps`, ... 1."""


class Rankings:
    """Several `Ranked` as one list of places at which precision can have a peak.

    A lane is one overlap of one of them; a segment is a class in a lane.
    """

    def __init__(self, parts: Sequence[Ranked], classes: int) -> None:
        self.shape = (sum(len(one.right) for one in parts), classes)
        images, ends, segments, right, lost, bases = ([] for _ in range(6))
        starts, at, lane = [], 0, 0
        for one in parts:
            base = one.wrong.any(0)  # wrong at the highest overlaps; at the others but for a few
            gone = base & ~one.wrong
            lanes, rows = np.nonzero(one.right | gone)
            before = at + np.concatenate([[0], np.cumsum(base)])
            images.append(one.images[rows])
            ends.append(before[rows + 1])
            segments.append((lane + lanes) * classes + one.classes[rows])
            starts.append(before[np.searchsorted(one.classes, one.classes[rows])])
            right.append(one.right[lanes, rows])
            lost.append(gone[lanes, rows])
            bases.append(one.images[base])
            at, lane = int(before[-1]), lane + len(one.right)
        self.images, self.bases = np.concatenate(images), np.concatenate(bases)
        self.base_end, self.base_start = np.concatenate(ends), np.concatenate(starts)
        self.right = np.concatenate(right).astype(np.float64)
        self.lost = np.concatenate(lost).astype(np.float64)
        every = np.concatenate(segments)
        self.segments, self.starts = np.unique(every, return_index=True)
        self.lengths = np.diff(np.append(self.starts, len(every)))
        steps = np.repeat([one.steps for one in parts], [len(one.right) for one in parts])
        self.steps = steps[self.segments // max(classes, 1)].astype(np.float64)
        # Added to precision, it keeps the running maximum from the end inside each segment.
        self.floors = np.repeat(np.arange(len(self.segments), 0, -1.0), self.lengths)

    def __call__(self, weights: Floats, objects: Floats) -> tuple[Floats, Floats]:
        """(lanes, classes) average precision and recall; NaN for a class without objects.

        `weights` are the images', `objects` (lanes, classes) how many there are to be found.
        """
        precision = np.where(objects > 0, 0.0, np.nan)
        recall = precision.copy()
        if not len(self.images):
            return precision, recall
        own = weights[self.images]
        base = np.concatenate([[0.0], np.cumsum(weights[self.bases])])
        found = self._within(own * self.right)
        seen = found + base[self.base_end]
        seen -= base[self.base_start]
        seen -= self._within(own * self.lost)
        peaks = found / np.maximum(seen, 1e-9, out=seen)
        peaks += self.floors
        peaks = np.maximum.accumulate(peaks[::-1])[::-1] - self.floors
        there = objects.ravel()[self.segments]
        # How many of the recalls are first reached here; recall 0 is by whatever comes first.
        reached = found
        reached *= np.repeat(self.steps / np.maximum(there, 1), self.lengths)
        ends = reached[self.starts + self.lengths - 1] / self.steps
        reached += 1e-6
        np.floor(reached, out=reached)
        new = np.diff(reached, prepend=0)
        new[self.starts] = reached[self.starts] + 1
        peaks *= new
        sums = np.add.reduceat(peaks, self.starts) / (self.steps + 1)
        known = there > 0
        precision.ravel()[self.segments[known]] = sums[known]
        recall.ravel()[self.segments[known]] = ends[known]
        return precision, recall

    def _within(self, values: Floats) -> Floats:
        """Running sums in each segment by itself."""
        sums = np.cumsum(values)
        first = self.starts
        sums -= np.repeat(sums[first] - values[first], self.lengths)
        return sums


class Resampled(NamedTuple):
    """Figures in each resample, and those of each class; NaN where there is nothing to find."""

    results: dict[str, Floats]
    """(resamples,) by the names of `DetectionMetrics.results`."""
    ap: Floats
    """(resamples, classes)."""
    ap50: Floats


def resampled(
    ranked: Sequence[Ranked], wanted: tuple[Wanted, Wanted], classes: int, weights: Floats
) -> Resampled:
    """All figures in every resample; `weights` (resamples, images).

    `ranked` are COCO's detections for each range of areas, then VOC's (one overlap); `wanted` the
    objects of both.
    """
    kinds, overlaps = len(AREAS), len(OVERLAPS)
    rankings = Rankings(ranked, classes)
    rows = []
    per_class = np.full((2, len(weights), classes), np.nan)
    for r, one in enumerate(weights):
        coco = _objects(wanted[0], one, classes * kinds).reshape(classes, kinds).T
        voc = _objects(wanted[1], one, classes)[None]
        ap, recall = rankings(one, np.concatenate([np.repeat(coco, overlaps, 0), voc]))
        areas = ap[:-1].reshape(kinds, overlaps, classes)
        per_class[:, r] = areas[0].mean(0), areas[0, 0]
        figures = [areas[0], areas[0, 0], areas[0, 5], *areas[1:], recall[:overlaps], ap[-1]]
        rows.append([_mean(values) for values in figures])
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar100", "ap50_voc07")
    return Resampled(dict(zip(names, np.array(rows).T, strict=True)), *per_class)


def _objects(wanted: Wanted, weights: Floats, length: int) -> Floats:
    counts = weights[wanted.images] * wanted.counts
    return np.bincount(wanted.codes, counts, length).astype(np.float64)


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
