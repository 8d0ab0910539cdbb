"""Many objects as columns: checked, put right or kept out, in numpy and without a loop."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.problems import Problems

SLACK = 1.0
"""Pixels by which a box may reach over its image's edge before that is worth a word: rounding."""

Boxes = NDArray[np.float64]
Rows = NDArray[np.int64] | NDArray[np.bool_]


class BoxTable(NamedTuple):
    """The objects of many images, a row each."""

    image: NDArray[np.int64]
    """(n,): the image's number."""
    boxes: Boxes
    """(n, 4): left, top, right, bottom."""
    labels: NDArray[np.int64]
    """(n,): the class's number; -1 where it is none of the data set's."""
    crowd: NDArray[np.bool_]
    difficult: NDArray[np.bool_]
    areas: NDArray[np.float64]
    """(n,): nan where nobody said: the box's own."""

    @classmethod
    def of(
        cls,
        image: Sequence[int] | NDArray[np.int64],
        boxes: Sequence[Sequence[float]] | Boxes,
        labels: Sequence[int] | NDArray[np.int64],
        *,
        crowd: Sequence[bool] | NDArray[np.bool_] | None = None,
        difficult: Sequence[bool] | NDArray[np.bool_] | None = None,
        areas: Sequence[float] | Boxes | None = None,
    ) -> "BoxTable":
        """From columns; what is not given is False, and areas are the boxes' own."""
        n = len(image)
        return cls(
            np.asarray(image, np.int64),
            np.asarray(boxes, np.float64).reshape(n, 4),
            np.asarray(labels, np.int64),
            np.zeros(n, bool) if crowd is None else np.asarray(crowd, bool),
            np.zeros(n, bool) if difficult is None else np.asarray(difficult, bool),
            np.full(n, np.nan) if areas is None else np.asarray(areas, np.float64),
        )

    def take(self, rows: Rows) -> "BoxTable":
        """Some of the rows."""
        columns: Any = (column[rows] for column in self)
        return BoxTable(*columns)


def join(tables: Sequence[BoxTable]) -> BoxTable:
    """One table after the other."""
    if not tables:
        return BoxTable.of([], [], [])
    columns: Any = (np.concatenate(column) for column in zip(*tables, strict=True))
    return BoxTable(*columns)


def side(value: Any) -> int:
    """An image's width or height as a file says it; 0 where it is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0
    return int(number) if 0 < number < 2**31 else 0


class Cleaner:
    """Keeps the rows of a table that can be used, and says what was wrong with the others."""

    def __init__(self, table: BoxTable, files: Sequence[str], problems: Problems) -> None:
        self.table = table
        self.files = files
        """What the images are called, by number."""
        self.problems = problems

    def drop(self, kind: str, wrong: NDArray[np.bool_]) -> None:
        """Take out the rows where `wrong`, and name their images."""
        if wrong.any():
            self.report(kind, wrong)
            self.table = self.table.take(~wrong)

    def report(self, kind: str, rows: NDArray[np.bool_]) -> None:
        """Count rows, and name their images."""
        images = np.unique(self.table.image[rows]).tolist()
        self.problems.add(kind, [self.files[i] for i in images], int(rows.sum()))

    def relabel(self, words: Sequence[str], classes: Sequence[str]) -> None:
        """From places in `words` to places in `classes`; objects of other classes are dropped."""
        place = {name: i for i, name in enumerate(classes)}
        labels = np.array([place.get(word, -1) for word in words], np.int64)
        unknown = np.flatnonzero(labels < 0)
        wrong = np.isin(self.table.labels, unknown)
        if wrong.any():
            said = np.unique(self.table.labels[wrong]).tolist()
            self.problems.add("unknown class", [words[i] for i in said], int(wrong.sum()))
            self.table = self.table.take(~wrong)
        if len(self.table.labels):
            self.table = self.table._replace(labels=labels[self.table.labels])

    def check_boxes(self, sizes: NDArray[np.int64]) -> None:
        """Boxes in pixels of images of `sizes` (images, 2: width, height) are clipped to them.

        Those that are left are finite, inside, have an area even as float32, and no image has
        one of a class twice. They are sorted by image, otherwise in their order.
        """
        self.drop("not finite", _any(~np.isfinite(self.table.boxes)))
        self._check_order()
        self._clip(sizes)
        boxes = self.table.boxes.astype(np.float32).astype(np.float64)
        self.table = self.table._replace(boxes=boxes)
        self.drop("empty", _any(boxes[:, 2:] <= boxes[:, :2]))
        self.table = self.table.take(np.argsort(self.table.image, kind="stable"))
        self.drop("duplicate", _seen_before(self.table))
        self._fill_areas()

    def _check_order(self) -> None:
        boxes = self.table.boxes
        self.drop("inverted", _any(boxes[:, 2:] < boxes[:, :2]))
        boxes = self.table.boxes
        self.drop("empty", _any(boxes[:, 2:] == boxes[:, :2]))

    def _clip(self, sizes: NDArray[np.int64]) -> None:
        most = sizes[self.table.image]  # (n, 2)
        boxes = self.table.boxes
        self.drop("outside", _any((boxes[:, :2] >= most) | (boxes[:, 2:] <= 0)))
        most = sizes[self.table.image]
        boxes = self.table.boxes
        over = (boxes[:, :2] < -SLACK) | (boxes[:, 2:] > most + SLACK)
        self.report("clipped", _any(over))
        self.table = self.table._replace(boxes=np.clip(boxes, 0, np.tile(most, 2)))

    def _fill_areas(self) -> None:
        table = self.table
        own = (table.boxes[:, 2:] - table.boxes[:, :2]).prod(1)
        said = np.isfinite(table.areas) & (table.areas > 0)
        self.table = table._replace(areas=np.where(said, table.areas, own))


def _any(wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n, k) -> (n,): whether something in a row is wrong."""
    return np.asarray(wrong.any(axis=1))


def _seen_before(table: BoxTable) -> NDArray[np.bool_]:
    """(n,): whether an earlier row has the same image, class and box."""
    columns = [*table.boxes.T, table.labels, table.image]
    order = np.lexsort(columns)  # rows that are alike stay in their order
    alike = np.ones(max(len(order) - 1, 0), bool)
    for column in columns:
        alike &= column[order[1:]] == column[order[:-1]]
    seen = np.zeros(len(order), bool)
    seen[order[1:]] = alike
    return seen


def best_overlaps(boxes: NDArray[np.floating], others: NDArray[np.floating]) -> Boxes:
    """(n,): of each box of (n, 4) the largest IoU with any of `others` (m, 4); both l, t, r, b."""
    boxes, others = boxes.astype(np.float32), others.astype(np.float32)
    best = np.zeros(len(boxes))
    areas = (others[:, 2:] - others[:, :2]).prod(1)
    rows = max(2**17 // max(len(others), 1), 1)  # as much as the second cache holds
    for start in range(0, len(boxes), rows):
        some = boxes[start : start + rows, None]  # (rows, 1, 4)
        width = np.minimum(some[..., 2], others[:, 2]) - np.maximum(some[..., 0], others[:, 0])
        height = np.minimum(some[..., 3], others[:, 3]) - np.maximum(some[..., 1], others[:, 1])
        common = np.maximum(width, 0) * np.maximum(height, 0)  # (rows, m)
        own = (some[..., 2:] - some[..., :2]).prod(-1)
        best[start : start + rows] = (common / (own + areas - common)).max(1, initial=0)
    return best
