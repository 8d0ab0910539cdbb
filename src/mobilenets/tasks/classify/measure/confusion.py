"""What is taken for what: as many numbers as there are different mistakes, not classes squared."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]
WAITING = 1 << 16
"""Images that are counted together."""


class Confusion:
    """How many images of each class were taken for which; of 20,000 classes a table has 3 GB."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self._codes = np.zeros(0, np.int64)
        """Pairs that were seen, as true class x (classes + 1) + class seen, rising."""
        self._counts = np.zeros(0, np.int64)
        self._waiting: list[Counts] = []

    def add(self, true: Counts, seen: Counts) -> None:
        """Count images: classes, and what they were taken for; `classes` for none of them."""
        self._waiting.append(true * (self.classes + 1) + seen)
        if sum(map(len, self._waiting)) >= WAITING:
            self._settle()

    def merge(self, other: Confusion) -> None:
        """Add what another process has counted."""
        self._join(*other.pairs())

    def pairs(self) -> tuple[Counts, Counts]:
        """Every pair that was seen, as its code, and how often."""
        self._settle()
        return self._codes, self._counts

    def rows(self) -> tuple[Counts, Counts, Counts]:
        """Every pair that was seen: the true class, what it was taken for, how often."""
        codes, counts = self.pairs()
        return (*np.divmod(codes, self.classes + 1), counts)

    def by_class(self) -> tuple[Counts, Counts]:
        """(classes,) images of each class, and those that were recognised."""
        true, seen, counts = self.rows()
        images, right = np.zeros((2, self.classes), np.int64)
        np.add.at(images, true, counts)
        np.add.at(right, true[true == seen], counts[true == seen])
        return images, right

    def table(self) -> Counts:
        """(classes, classes + 1) counts, the last column for none of them; for few classes."""
        true, seen, counts = self.rows()
        dense = np.zeros((self.classes, self.classes + 1), np.int64)
        dense[true, seen] = counts
        return dense

    def shares(self, most: int) -> NDArray[np.float64]:
        """(rows, columns) shares of the true class, neighbours together beyond `most` classes.

        The last column is for none of them; it is left out where that never was.
        """
        true, seen, counts = self.rows()
        images, _ = self.by_class()
        cells = min(self.classes, most)
        shares = np.zeros((cells, cells + 1))
        place = np.append(np.arange(self.classes) * cells // max(self.classes, 1), cells)
        np.add.at(shares, (place[true], place[seen]), counts / images[true])
        with_images = np.bincount(place[np.flatnonzero(images)], minlength=cells)
        shares /= np.maximum(with_images[:cells, None], 1)
        return shares if shares[:, -1].any() else shares[:, :-1]

    def _settle(self) -> None:
        if self._waiting:
            codes = np.concatenate(self._waiting)
            self._waiting = []
            self._join(codes, np.ones(len(codes), np.int64))

    def _join(self, codes: Counts, counts: Counts) -> None:
        self._settle()
        every = np.concatenate([self._codes, codes])
        self._codes, place = np.unique(every, return_inverse=True)
        before = np.concatenate([self._counts, counts])
        self._counts = np.zeros(len(self._codes), np.int64)
        np.add.at(self._counts, place, before)
