"""How good a detector is: average precision as COCO and as PASCAL VOC 2007 measure it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.read import Located, box_iou

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 100
"""Detections that COCO counts in an image, of each class."""
RECALLS = np.linspace(0, 1, 101)
"""Where COCO reads its precision."""
SIZES = ("small", "medium", "large")
"""COCO's: up to 32 x 32 pixels, up to 96 x 96, above."""
_NOT_COUNTED = 1e11
"""An area outside all of COCO's ranges: such an object is neither missed nor wrong when found."""


class Coco(NamedTuple):
    """COCO's figures; -1 where a class has no objects of a size."""

    precision: NDArray[np.float64]
    """(IoU .5, .55, ... .95; 101 recalls; classes; all, small, medium, large)."""
    recall: NDArray[np.float64]
    """(IoU; classes; sizes) with 100 detections in an image."""


class DetectionMetrics:
    """Average precision of a detector over a data set.

    `outputs_of` maps the data's classes to the model's, -1 for one that the model does not know:
    its objects are missed. What a model sees of a class that the data does not have is not
    counted, for or against.

    Crowds are COCO's: a detection mostly inside one is neither right nor wrong. An object marked
    difficult is not counted either: COCO's protocol pairs it with one detection at most, as it
    does with an object of another size than asked for; VOC's forgives any number of them.

    ImportError at once, not after the last image, where faster-coco-eval is not installed.
    """

    def __init__(self, classes: Sequence[str], outputs_of: Sequence[int]) -> None:
        import faster_coco_eval  # noqa: F401

        self.classes = tuple(classes)
        self._class_of = np.full(max(outputs_of, default=-1) + 2, -1)  # the last: none of them
        for index, output in enumerate(outputs_of):
            if output >= 0:
                self._class_of[output] = index
        self._seen: list[Located] = []
        self._objects: list[Objects] = []
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
            self._seen.append(Located(boxes[known], scores[known], classes[known]))
            self._objects.append(true)

    def merge(self, other: DetectionMetrics) -> None:
        """Add what another process has counted."""
        self._coco = None
        self._seen += other._seen
        self._objects += other._objects

    def results(self) -> Iterator[tuple[str, float]]:
        """COCO's `ap`, `ap50`, `ap75`, by size, `ar100`; VOC 2007's `ap50_voc07`; and `images`.

        A name is left out where there is nothing to measure it on: no object of that size, or no
        object at all.
        """
        precision, recall = self.coco()
        figures = {"ap": precision[..., 0], "ap50": precision[0, ..., 0]}
        figures["ap75"] = precision[5, ..., 0]
        for i, size in enumerate(SIZES, 1):
            figures[f"ap_{size}"] = precision[..., i]
        figures["ar100"] = recall[..., 0]
        figures["ap50_voc07"] = np.array(self._voc07())
        for name, values in figures.items():
            if (values >= 0).any():
                yield name, float(values[values >= 0].mean())
        yield "images", len(self._seen)

    def by_class(self) -> dict[str, tuple[float, float]]:
        """COCO's (AP, AP at IoU .5) of each class that has objects."""
        precision = self.coco().precision[..., 0]  # (IoU, recall, classes)
        return {
            name: (float(precision[:, :, k].mean()), float(precision[0, :, k].mean()))
            for k, name in enumerate(self.classes)
            if precision[0, 0, k] >= 0
        }

    def figure(self) -> Figure:
        """AP by class, and precision against recall at IoU .5."""
        from mobilenets.tasks.detect.measure.figure import detection_figure

        curves = self.coco().precision[0, :, :, 0].T  # (classes, recalls)
        return detection_figure(self.by_class(), RECALLS, curves[curves[:, 0] >= 0])

    def coco(self) -> Coco:
        """All of COCO's figures, by faster-coco-eval; computed once."""
        if self._coco is None:
            self._coco = self._measured()
        return self._coco

    def _measured(self) -> Coco:
        from faster_coco_eval import COCO, COCOeval_faster

        if not any(len(true.labels) for true in self._objects):
            nothing = np.full((10, len(RECALLS), len(self.classes), 4), -1.0)
            return Coco(nothing, nothing[:, 0])
        common = {
            "images": [{"id": image} for image in range(len(self._objects))],
            "categories": [{"id": k, "name": name} for k, name in enumerate(self.classes)],
        }
        true, seen = (
            COCO({**common, "annotations": rows}) for rows in (self._true_rows(), self._seen_rows())
        )
        evaluation = COCOeval_faster(true, seen, "bbox")
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
        evaluation.accumulate()
        return Coco(evaluation.eval["precision"][..., 0], evaluation.eval["recall"][..., 0])

    def _true_rows(self) -> list[dict[str, Any]]:
        true = self._objects
        areas = np.concatenate([np.where(o.difficult, _NOT_COUNTED, o.areas) for o in true])
        crowd = np.concatenate([o.crowd for o in true])
        return _rows([(o.boxes, o.labels) for o in true], area=areas, iscrowd=crowd.astype(int))

    def _seen_rows(self) -> list[dict[str, Any]]:
        boxes = np.concatenate([seen.boxes for seen in self._seen])
        scores = np.concatenate([seen.scores for seen in self._seen])
        areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
        return _rows([(s.boxes, s.classes) for s in self._seen], area=areas, score=scores)

    def _voc07(self) -> list[float]:
        """VOC 2007's AP of each class that has objects to be found.

        Boxes are edges, so the area is width times height: VOC's files number pixels, both ends
        included, and its own program adds the 1 that makes widths of them.
        """
        paired = [_paired(seen, true) for seen, true in zip(self._seen, self._objects, strict=True)]
        if not paired:
            return []
        starts = np.cumsum([0, *(len(true.labels) for true in self._objects)])
        of = np.concatenate(
            [np.where(p < 0, -1, p + n) for p, n in zip(paired, starts, strict=False)]
        )
        scores = np.concatenate([seen.scores for seen in self._seen])
        classes = np.concatenate([seen.classes for seen in self._seen])
        labels = np.concatenate([true.labels for true in self._objects])
        passed = np.concatenate([true.difficult | true.crowd for true in self._objects])
        order = np.argsort(-scores, kind="stable")
        order = order[~((of >= 0) & passed[of])[order]] if len(passed) else order
        wanted = np.bincount(labels[~passed], minlength=len(self.classes))
        return [
            eleven_points(_first(of[order[classes[order] == k]]), int(wanted[k]))
            for k in np.flatnonzero(wanted)
        ]


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


def _paired(seen: Located, true: Objects) -> NDArray[np.int64]:
    """The object of its class that each detection overlaps most, by half or more; else -1."""
    if not len(true.labels):
        return np.full(len(seen.classes), -1)
    overlaps = box_iou(seen.boxes, true.boxes)
    overlaps[seen.classes[:, None] != true.labels] = -1
    best = overlaps.argmax(1)
    return np.where(overlaps.max(1) >= 0.5, best, -1)


def _rows(
    images: Sequence[tuple[NDArray[Any], NDArray[np.int64]]], **columns: NDArray[Any]
) -> list[dict[str, Any]]:
    """COCO's annotations: one dictionary for each box of each image."""
    boxes = np.concatenate([boxes for boxes, _ in images]).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    values = {
        "id": np.arange(1, len(boxes) + 1),  # 0 means unmatched there
        "image_id": np.repeat(np.arange(len(images)), [len(labels) for _, labels in images]),
        "category_id": np.concatenate([labels for _, labels in images]),
        "bbox": boxes,
        **columns,
    }
    rows = zip(*(column.tolist() for column in values.values()), strict=True)
    return [dict(zip(values, row, strict=True)) for row in rows]
