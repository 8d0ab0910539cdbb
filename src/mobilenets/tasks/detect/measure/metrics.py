"""How good a detector is: average precision as COCO and as PASCAL VOC 2007 measure it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.measure.judging import Around, around, confused, judged, verdict
from mobilenets.tasks.detect.measure.matching import (
    AREAS,
    NOTHING,
    OVERLAPS,
    Pairing,
    count_objects,
    pair,
)
from mobilenets.tasks.detect.measure.resampling import Ranked, Wanted, resampled
from mobilenets.tasks.detect.read import Located
from mobilenets.tasks.intervals import MOST, NO_INTERVALS, Intervals, gathered, interval, resamples
from mobilenets.tasks.values import Confused, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RECALLS = np.linspace(0, 1, 101)
"""Where COCO reads its precision."""
SIZES = ("small", "medium", "large")
"""COCO's: up to 32 x 32 pixels, up to 96 x 96, above."""


class Coco(NamedTuple):
    """COCO's figures; -1 where a class has no objects of a size."""

    precision: NDArray[np.float64]
    """(IoU .5, .55, ... .95; classes; all, small, medium, large): the mean over the recalls."""
    recall: NDArray[np.float64]
    """(IoU; classes; sizes) with 100 detections in an image."""
    curves: NDArray[np.float32]
    """(classes, 101 recalls): precision at IoU .5, objects of all sizes."""


class DetectionMetrics:
    """Average precision of a detector over a data set.

    `outputs_of` maps the data's classes to the model's, -1 for one that the model does not know:
    its objects are missed. What a model sees of a class that the data does not have is not
    counted, for or against.

    Crowds are COCO's: a detection mostly inside one is neither right nor wrong. An object marked
    difficult is not counted either: COCO's protocol pairs it with one detection at most, as it
    does with an object of another size than asked for; VOC's forgives any number of them.

    An image is done with when it was added: of 100 detections 3 KB stay, whatever their number of
    classes.
    """

    def __init__(self, classes: Sequence[str], outputs_of: Sequence[int]) -> None:
        self.classes = tuple(classes)
        self._class_of = np.full(max(outputs_of, default=-1) + 2, -1)  # the last: none of them
        for index, output in enumerate(outputs_of):
            if output >= 0:
                self._class_of[output] = index
        self._pairings: list[Pairing] = []
        self._around: list[Around] = []
        self._wanted_of: list[NDArray[np.int64]] = []
        """(n, 3) of each image: class x ranges of area + range, objects of COCO, those of VOC."""
        self._passed: list[NDArray[np.bool_]] = []
        """Of each image's objects, which VOC does not count."""
        self._wanted = np.zeros((len(classes), len(AREAS)), np.int64)
        self._wanted_voc = np.zeros(len(classes), np.int64)
        self._objects = 0
        self._images = 0
        self._coco: Coco | None = None

    def add(
        self,
        detections: Iterable[tuple[NDArray[Any], NDArray[Any], NDArray[Any]]],
        objects: Iterable[Objects],
    ) -> None:
        """Count images: what was seen in each, and what is there.

        Boxes (n, 4), scores (n,) and the model's classes (n,) as `read.locate` gives
        them, in pixels of the image.
        """
        self._coco = None
        for (boxes, scores, outputs), true in zip(detections, objects, strict=True):
            classes = self._class_of[np.minimum(outputs, len(self._class_of) - 1)]
            known = classes >= 0
            seen = Located(boxes[known], scores[known], classes[known])
            found = pair(seen, true)
            first = np.where(found.objects < 0, 0, self._objects)
            self._pairings.append(found._replace(objects=found.objects + first))
            passed = true.difficult | true.crowd
            self._passed.append(passed)
            wanted = count_objects(true, len(self.classes))
            voc = np.bincount(true.labels[~passed], minlength=len(self.classes))
            self._wanted += wanted
            self._wanted_voc += voc
            self._around.append(around(seen, true))
            self._wanted_of.append(_sparse(wanted, voc))
            self._objects += len(true.labels)
            self._images += 1

    def merge(self, other: DetectionMetrics) -> None:
        """Add what another process has counted."""
        self._coco = None
        for one in other._pairings:
            first = np.where(one.objects < 0, 0, self._objects)
            self._pairings.append(one._replace(objects=one.objects + first))
        self._passed += other._passed
        self._around += other._around
        self._wanted_of += other._wanted_of
        self._wanted += other._wanted
        self._wanted_voc += other._wanted_voc
        self._objects += other._objects
        self._images += other._images

    def results(self) -> Iterator[tuple[str, float]]:
        """COCO's `ap`, `ap50`, `ap75`, by size, `ar100`; VOC 2007's `ap50_voc07`; and `images`.

        A name is left out where there is nothing to measure it on: no object of that size, or no
        object at all.
        """
        precision, recall, _ = self.coco()
        figures = {"ap": precision[..., 0], "ap50": precision[0, ..., 0]}
        figures["ap75"] = precision[5, ..., 0]
        for i, size in enumerate(SIZES, 1):
            figures[f"ap_{size}"] = precision[..., i]
        figures["ar100"] = recall[..., 0]
        figures["ap50_voc07"] = np.array(self._voc07())
        for name, values in figures.items():
            if (values >= 0).any():
                yield name, float(values[values >= 0].mean())
        yield "images", self._images

    def by_class(self) -> dict[str, tuple[float, float]]:
        """COCO's (AP, AP at IoU .5) of each class that has objects."""
        precision = self.coco().precision[..., 0]  # (IoU, classes)
        return {
            name: (float(precision[:, k].mean()), float(precision[0, k]))
            for k, name in enumerate(self.classes)
            if precision[0, k] >= 0
        }

    def intervals(self) -> Intervals:
        """From resamples, of every figure and of each class."""
        if not 1 < self._images < MOST:
            return NO_INTERVALS
        found = resampled(*self._rankings(), len(self.classes), resamples(self._images))
        results = {
            name: interval(value, found.results[name], self._images)
            for name, value in self.results()
            if name in found.results
        }
        wanted = np.concatenate(self._wanted_of)[:, 0]
        holding = np.bincount(wanted[wanted % len(AREAS) == 0] // len(AREAS), minlength=1)
        place = {name: k for k, name in enumerate(self.classes)}
        by_class = {
            name: {
                figure: interval(value, values[:, place[name]], int(holding[place[name]]))
                for figure, value, values in zip(
                    ("ap", "ap50"), figures, (found.ap, found.ap50), strict=True
                )
            }
            for name, figures in self.by_class().items()
        }
        return gathered(results, by_class)

    def judge(self, image: int, threshold: float, names: Sequence[str]) -> Verdict:
        """What is found, missed and seen too many in an image, at overlap .5.

        `names` are what the classes are called.
        """
        return verdict(self._pairings[image], self._around[image], threshold, names)

    def confusions(self, threshold: float, names: Sequence[str]) -> list[Confused]:
        """What is taken for what, at overlap .5; `names` as `judge`."""
        pairs = zip(self._pairings, self._around, strict=True)
        there: Counter[int] = Counter()
        for about in self._around:
            there.update(about.labels.tolist())
        return confused((judged(*one, threshold) for one in pairs), there, names)

    def _rankings(self) -> tuple[list[Ranked], tuple[Wanted, Wanted]]:
        """What `resampled` takes: COCO's ranks by area, then VOC's, and the objects."""
        seen = self._joined()
        images = np.repeat(np.arange(self._images), [len(one.scores) for one in self._pairings])
        order = np.lexsort((-seen.scores, seen.classes))
        classes = seen.classes.astype(np.intp)
        coco, voc = order[seen.looked_at()[order]], order
        passed, of = np.concatenate([np.zeros(0, bool), *self._passed]), seen.objects
        if len(passed):
            voc = order[~((of >= 0) & passed[of])[order]]
        ranks = [
            Ranked(*seen.take(coco).of_area(area), images[coco], classes[coco], len(RECALLS) - 1)
            for area in range(len(AREAS))
        ]
        right = _first(of[voc])[None]
        ranks.append(Ranked(right, ~right, images[voc], classes[voc], 10))
        codes, objects, old = np.concatenate(self._wanted_of).T
        there = np.repeat(np.arange(self._images), [len(one) for one in self._wanted_of])
        wanted = Wanted(there, codes, objects.astype(np.float64))
        return ranks, (wanted, Wanted(there, codes // len(AREAS), old.astype(np.float64)))

    def figure(self) -> Figure:
        """AP by class, and precision against recall at IoU .5."""
        from mobilenets.tasks.detect.measure.figure import detection_figure

        curves = self.coco().curves
        return detection_figure(self.by_class(), RECALLS, curves[curves[:, 0] >= 0])

    def coco(self) -> Coco:
        """All of COCO's figures; computed once."""
        if self._coco is None:
            self._coco = self._measured()
        return self._coco

    def _measured(self) -> Coco:
        shape = (len(OVERLAPS), len(self.classes), len(AREAS))
        precision, recall = np.full(shape, -1.0), np.full(shape, -1.0)
        curves = np.full((len(self.classes), len(RECALLS)), -1, np.float32)
        seen = self._joined()
        rows = np.flatnonzero(seen.looked_at())
        for k, mine in _by_class(rows, seen.classes[rows]):
            if self._wanted[k].any():
                ranked = seen.take(mine[np.argsort(-seen.scores[mine], kind="stable")])
                for area in np.flatnonzero(self._wanted[k]).tolist():
                    found = _curves(*ranked.of_area(area), int(self._wanted[k, area]))
                    precision[:, k, area], recall[:, k, area] = found[0].mean(1), found[1]
                    if area == 0:
                        curves[k] = found[0][0]
        unseen = (recall[0] < 0) & (self._wanted > 0)  # (classes, areas): all were missed
        precision[:, unseen] = recall[:, unseen] = 0
        curves[unseen[:, 0]] = 0
        return Coco(precision, recall, curves)

    def _joined(self) -> Pairing:
        columns: Any = zip(NOTHING, *self._pairings, strict=True)
        return Pairing(*(np.concatenate(column) for column in columns))

    def _voc07(self) -> list[float]:
        """VOC 2007's AP of each class that has objects to be found.

        Boxes are edges, so the area is width times height: VOC's files number pixels, both ends
        included, and its own program adds the 1 that makes widths of them.
        """
        seen = self._joined()
        passed = np.concatenate([np.zeros(0, bool), *self._passed])
        order = np.argsort(-seen.scores, kind="stable")
        of = seen.objects
        order = order[~((of >= 0) & passed[of])[order]] if len(passed) else order
        found = dict(_by_class(order, seen.classes[order]))
        return [
            eleven_points(_first(of[found.get(k, order[:0])]), int(self._wanted_voc[k]))
            for k in np.flatnonzero(self._wanted_voc).tolist()
        ]


def _sparse(wanted: NDArray[np.int64], voc: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is to be found in an image, (n, 3), of (classes, areas) and (classes,) counts."""
    every = np.zeros_like(wanted)
    every[:, 0] = voc
    codes = np.flatnonzero(wanted.ravel() + every.ravel())
    return np.stack([codes, wanted.ravel()[codes], every.ravel()[codes]], 1)


def _by_class(
    rows: NDArray[np.int64], classes: NDArray[np.int32]
) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each class of some rows, and its rows in their order."""
    order = np.argsort(classes, kind="stable")
    names, starts = np.unique(classes[order], return_index=True)
    if len(names):
        yield from zip(names.tolist(), np.split(rows[order], starts[1:]), strict=True)


def _curves(
    right: NDArray[np.bool_], wrong: NDArray[np.bool_], objects: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(IoU, 101) best precision from each recall on, and (IoU,) the recall of all.

    `right` and `wrong` are (IoU, n) of detections by falling score; `objects` are to be found.
    """
    found = np.cumsum(right, 1).astype(np.float64)
    recall = found / objects
    precision = found / (found + np.cumsum(wrong, 1) + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], 1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(best), 1))], 1)  # a recall that is not reached
    places = [np.searchsorted(row, RECALLS) for row in recall]
    read = np.stack([row[place] for row, place in zip(best, places, strict=True)])
    return read, recall[:, -1] if recall.shape[1] else np.zeros(len(recall))


def eleven_points(right: NDArray[np.bool_], objects: int) -> float:
    """VOC 2007's AP of detections by falling score: the mean of the best precision from each of
    the recalls 0, .1, ... 1 on. `objects` is how many there are to find.
    """
    found = np.cumsum(right)
    precision = found / np.arange(1, len(right) + 1)
    return (
        sum(float(precision[found * 10 >= point * objects].max(initial=0)) for point in range(11))
        / 11
    )


def _first(objects: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where an object, not -1, stands for the first time."""
    first = np.zeros(len(objects), bool)
    first[np.unique(objects, return_index=True)[1]] = True
    return first & (objects >= 0)
