"""Which detections of an image are right, as COCO's own program pairs them with objects.

Its rules (cocodataset/cocoapi, `pycocotools/cocoeval.py`): by falling score, each detection takes
the object of its class that it overlaps most, among those that count first and then among those
that do not (crowds, and objects of another size than asked for); an object is taken once, a crowd
any number of times. That is done at ten overlaps and for four ranges of area, `LANES` in all, each
a bit of a number, so that 100 detections take 3 KB.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.read import Located, box_iou, rank

OVERLAPS = np.linspace(0.5, 0.95, 10)
AREAS = np.array([[0, 1e10], [0, 32.0**2], [32.0**2, 96.0**2], [96.0**2, 1e10]])
"""Square pixels, both ends included: all, small, medium, large."""
LANES = len(AREAS) * len(OVERLAPS)
MOST = 100
"""Detections that COCO counts in an image, of each class."""
NOT_COUNTED = 1e11
"""An area outside all of COCO's ranges: such an object is neither missed nor wrong when found."""
_LEFT_OUT = np.uint64(1) << np.uint64(63)
_BITS = np.uint64(1) << np.arange(LANES, dtype=np.uint64)

Bits = NDArray[np.uint64]
Lanes = NDArray[np.bool_]


class Pairing(NamedTuple):
    """The detections of some images, a row each, and whether they are right."""

    scores: NDArray[np.float64]
    classes: NDArray[np.int32]
    """Places in the data's classes."""
    right: Bits
    """Bit by bit, lane by lane: whether it is paired with an object."""
    ignored: Bits
    """Whether it is neither right nor wrong there; the highest bit: never looked at."""
    objects: NDArray[np.int64]
    """VOC's pairing: the object of its class that it overlaps most, by half or more; else -1."""

    def take(self, rows: NDArray[np.int64]) -> "Pairing":
        """Some of the rows, in that order."""
        columns: Any = (column[rows] for column in self)
        return Pairing(*columns)

    def of_area(self, area: int) -> tuple[Lanes, Lanes]:
        """(overlaps, n) of one range of areas: right, and wrong."""
        start = area * len(OVERLAPS)
        lanes = np.arange(start, start + len(OVERLAPS), dtype=np.uint64)[:, None]
        right, ignored = ((bits >> lanes & np.uint64(1)).astype(bool) for bits in self[2:4])
        return right & ~ignored, ~right & ~ignored

    def looked_at(self) -> NDArray[np.bool_]:
        """(n,): False beyond an image's first 100 of a class."""
        return np.asarray((self.ignored & _LEFT_OUT) == 0)


_NO_BITS = np.zeros(0, np.uint64)
NOTHING = Pairing(np.zeros(0), np.zeros(0, np.int32), _NO_BITS, _NO_BITS, np.zeros(0, np.int64))


def pair(seen: Located, true: Objects) -> Pairing:
    """An image's detections, of the data's classes, by falling score."""
    order = np.argsort(-seen.scores, kind="stable")
    boxes, classes = seen.boxes[order].astype(np.float64), seen.classes[order]
    objects = _in_voc(Located(boxes, seen.scores[order], classes), true)
    sides = boxes[:, 2:] - boxes[:, :2]
    right, ignored = np.zeros((len(order), LANES), bool), _outside(sides.prod(1))
    left_out = rank(classes) >= MOST
    uncounted = _uncounted(true)
    for k in set(true.labels.tolist()):
        mine = np.flatnonzero((classes == k) & ~left_out)
        there = np.flatnonzero(true.labels == k)
        if len(mine):
            overlaps = _overlaps(boxes[mine], true.boxes[there], true.crowd[there])
            _match(mine, overlaps, uncounted[:, there], true.crowd[there], right, ignored)
    bits = ignored @ _BITS | np.where(left_out, _LEFT_OUT, np.uint64(0))
    scores = seen.scores[order].astype(np.float64)
    return Pairing(scores, classes.astype(np.int32), right @ _BITS, bits, objects)


def count_objects(true: Objects, classes: int) -> NDArray[np.int64]:
    """(classes, areas): how many objects there are to be found."""
    counted = (~_uncounted(true)).reshape(len(AREAS), len(OVERLAPS), -1)[:, 0]
    found = [np.bincount(true.labels[one], minlength=classes) for one in counted]
    return np.stack(found, 1)


def _match(
    mine: NDArray[np.int64],
    overlaps: NDArray[np.float64],
    uncounted: Lanes,
    crowd: NDArray[np.bool_],
    right: Lanes,
    ignored: Lanes,
) -> None:
    """Pair the detections `mine` of one class with its objects; fills their rows.

    `overlaps` (mine, objects), `uncounted` (lanes, objects).
    """
    least = np.tile(np.minimum(OVERLAPS, 1 - 1e-10), len(AREAS))[:, None]
    free = np.ones(uncounted.shape, bool)
    lanes = np.arange(LANES)
    for row in np.flatnonzero(overlaps.max(1) >= least[0]).tolist():
        reach = (overlaps[row] >= least) & (free | crowd)  # (lanes, objects)
        values = np.where(reach, overlaps[row] - 2 * uncounted, -9)
        # Of equal overlaps the last object; those that count before all others.
        best = values.shape[1] - 1 - values[:, ::-1].argmax(1)
        found = reach[lanes, best]
        free[lanes[found], best[found]] = False
        right[mine[row]] = found
        ignored[mine[row]] = np.where(found, uncounted[lanes, best], ignored[mine[row]])


def _overlaps(
    boxes: NDArray[np.float64], true: NDArray[np.floating], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """(n, m) as COCO's program computes it, to the last bit: of a crowd over the box alone."""
    one, two = _as_sides(boxes)[:, None], _as_sides(true.astype(np.float64))
    end = np.minimum(one[..., :2] + one[..., 2:], two[..., :2] + two[..., 2:])
    shared = np.maximum(end - np.maximum(one[..., :2], two[..., :2]), 0).prod(-1)
    own = one[..., 2] * one[..., 3]
    union = np.where(crowd, own, own + two[..., 2] * two[..., 3] - shared)
    found: NDArray[np.float64] = np.zeros_like(shared)
    np.divide(shared, union, out=found, where=shared > 0)
    return found


def _as_sides(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Left, top, width, height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)


def _uncounted(true: Objects) -> Lanes:
    """(lanes, objects): those that are neither to be found nor wrong when found."""
    areas = np.where(true.difficult, NOT_COUNTED, true.areas)
    lanes: Lanes = _outside(areas).T | true.crowd
    return lanes


def _outside(areas: NDArray[np.floating]) -> Lanes:
    """(n, lanes): which areas are outside each lane's range."""
    outside = (areas[:, None] < AREAS[:, 0]) | (areas[:, None] > AREAS[:, 1])
    return np.repeat(outside, len(OVERLAPS), 1)


def _in_voc(seen: Located, true: Objects) -> NDArray[np.int64]:
    if not len(true.labels):
        return np.full(len(seen.classes), -1)
    overlaps = box_iou(seen.boxes, true.boxes)
    overlaps[seen.classes[:, None] != true.labels] = -1
    best = overlaps.argmax(1)
    return np.where(overlaps.max(1) >= 0.5, best, -1)
