"""How well a classifier tells images of its classes from others."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


class Unknown:
    """The likeness of each image to its nearest class, of known images and of strangers."""

    def __init__(self) -> None:
        self.known: list[Numbers] = []
        self.strange: list[Numbers] = []

    def add(self, familiarity: Numbers, *, known: bool) -> None:
        """A batch of images, of the classes or of none of them."""
        (self.known if known else self.strange).append(familiarity)

    def merge(self, other: Unknown) -> None:
        """Add what another process has seen."""
        self.known += other.known
        self.strange += other.strange

    def of(self, image: int) -> float:
        """The likeness of a known image, by its number among those counted."""
        self.known = [np.concatenate(self.known)]
        return float(self.known[0][image])

    def results(self, floor: float) -> Iterator[tuple[str, float]]:
        """`called_unknown`, the share of known images below the floor.

        With strangers also `unknown_found`, the share of these below it, `unknown_auroc`, which no
        floor decides: how often a stranger looks less known than a known image, and how many
        strangers there were.
        """
        known = np.concatenate([np.zeros(0), *self.known])
        yield "called_unknown", float((known < floor).mean()) if len(known) else 0.0
        if not self.strange:
            return
        strange = np.concatenate(self.strange)
        yield "unknown_found", float((strange < floor).mean())
        yield "unknown_auroc", ordered(known, strange)
        yield "strangers", len(strange)


def ordered(higher: Numbers, lower: Numbers) -> float:
    """Of all pairs, the share in which the one of `higher` is larger; equal ones count half.

    0.5 where either has none. It is the area under the ROC curve.
    """
    if not len(higher) or not len(lower):
        return 0.5
    rising = np.sort(lower)
    below = np.searchsorted(rising, higher, "left") + np.searchsorted(rising, higher, "right")
    return float(below.mean() / (2 * len(lower)))
