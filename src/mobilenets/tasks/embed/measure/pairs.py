"""How well pairs are told apart: accuracy in folds, and true accepts at a rate of false ones."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
RATES = (1e-2, 1e-3, 1e-4)
"""False accepts, as shares of the pairs of two classes."""
BINS = 1 << 14
"""Of the cosines' range: thresholds of all pairs are known to an eight-thousandth."""


class Accepted(NamedTuple):
    """A threshold, and what it lets through."""

    threshold: float
    """Cosine from which two images count as of one class."""
    rate: float
    """The share of pairs of one class that it accepts."""


def accuracy(
    cosines: Floats, same: NDArray[np.bool_], folds: NDArray[np.int64]
) -> tuple[float, float]:
    """The mean share that is right, and its standard error (LFW, Huang et al. 2007).

    Of each fold with the threshold that is best on the others; of one fold alone with its own best,
    which flatters, and an error of 0.
    """
    names = np.unique(folds)
    found = []
    for fold in names:
        tested = folds == fold
        learned = ~tested if len(names) > 1 else tested
        threshold = best_threshold(cosines[learned], same[learned])
        found.append(float(((cosines[tested] >= threshold) == same[tested]).mean()))
    error = float(np.std(found, ddof=1) / np.sqrt(len(found))) if len(found) > 1 else 0.0
    return float(np.mean(found)), error


def best_threshold(cosines: Floats, same: NDArray[np.bool_]) -> float:
    """The cosine from which on "same" is right most often; the lowest such, between two pairs."""
    order = np.argsort(cosines)
    values, truth = cosines[order].astype(np.float64), same[order]
    # With the first i called different: right are those of them that differ, and the same above.
    right = np.concatenate([[0], np.cumsum(~truth)]) + truth.sum()
    right[1:] -= np.cumsum(truth)
    ends = np.concatenate([[-np.inf], (values[1:] + values[:-1]) / 2, [np.inf]])
    right[1:-1][values[1:] == values[:-1]] = -1  # no threshold is between equal ones
    return float(ends[int(np.argmax(right))])


def accepted(cosines: Floats, same: NDArray[np.bool_], rate: float) -> Accepted | None:
    """The least threshold that lets through at most that share of pairs of two classes.

    None where there are fewer such pairs than one in which a false accept is allowed.
    """
    false = np.sort(cosines[~same].astype(np.float64))[::-1]
    true = cosines[same]
    allowed = int(np.floor(rate * len(false) + 1e-9))
    if allowed < 1 or not len(true):
        return None
    threshold = np.nextafter(false[allowed], np.inf) if allowed < len(false) else -1.0
    return Accepted(float(threshold), float((true >= threshold).mean()))


class Histogram:
    """Cosines of all pairs of many images, counted in bins of their range."""

    def __init__(self) -> None:
        self.counts = np.zeros((2, BINS), np.int64)
        """Of pairs of two classes, and of one."""

    def add(self, cosines: Floats, same: NDArray[np.bool_]) -> None:
        """Count pairs, in arrays of one shape."""
        bins = np.clip(((cosines + 1) * (BINS / 2)).astype(np.int64), 0, BINS - 1)
        both = np.bincount((bins + BINS * same).ravel(), minlength=2 * BINS)
        self.counts += both.reshape(2, BINS)

    def accepted(self, rate: float) -> Accepted | None:
        """As the function of that name, to the width of a bin."""
        false, true = self.counts
        allowed = int(np.floor(rate * false.sum() + 1e-9))
        if allowed < 1 or not true.sum():
            return None
        above = np.cumsum(false[::-1])[::-1]  # pairs in this bin or a higher one
        fits = np.flatnonzero(above <= allowed)
        first = int(fits[0]) if len(fits) else BINS
        return Accepted(2 * first / BINS - 1, float(true[first:].sum() / true.sum()))
