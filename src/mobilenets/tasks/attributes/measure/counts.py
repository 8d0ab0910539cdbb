"""How right marks are: counted for each attribute, and for each image."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.attributes.marks import NO, YES, Marks

Floats = NDArray[np.float64]


class Right(NamedTuple):
    """How right marks are; each figure a share, NaN where it has no meaning.

    `mean_accuracy` and `f1` are means over the attributes that have both sides. `precision`,
    `recall` and `instance_f1` and `instance_accuracy` are those of pedestrian attributes (Li et al.
    2016, RAP): means over the images, of the attributes seen and those there.
    """

    mean_accuracy: float
    """Of (true yes of all yes + true no of all no) / 2."""
    f1: float
    instance_accuracy: float
    """Of the attributes there or seen, those that are both."""
    precision: float
    recall: float
    instance_f1: float
    """The harmonic mean of these two."""


def sides(seen: NDArray[np.bool_], marks: Marks) -> Floats:
    """(attributes,) (true yes of all yes + true no of all no) / 2; NaN without one of them."""
    yes, no = marks == YES, marks == NO
    with np.errstate(invalid="ignore", divide="ignore"):
        both = (seen & yes).sum(0) / yes.sum(0) + (~seen & no).sum(0) / no.sum(0)
    return np.asarray(both / 2)


def f1_of(seen: NDArray[np.bool_], marks: Marks) -> Floats:
    """(attributes,) F1 of what is known; NaN where nothing is there nor seen."""
    yes, no = marks == YES, marks == NO
    hits = (seen & yes).sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(2 * hits / (hits + (seen & no).sum(0) + yes.sum(0)))


def right(seen: NDArray[np.bool_], marks: Marks) -> Right:
    """All of it, of (N, attributes) marks seen and marks that are true."""
    yes, known = marks == YES, marks >= 0
    seen = seen & known
    with_both = yes.any(0) & (marks == NO).any(0)
    hits = (seen & yes).sum(1)
    either = (seen | yes).sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        accuracy = mean(hits / either)
        precision, recall = mean(hits / seen.sum(1)), mean(hits / yes.sum(1))
        harmonic = 2 * precision * recall / np.float64(precision + recall)
    return Right(
        mean(sides(seen, marks)[with_both]),
        mean(f1_of(seen, marks)[with_both]),
        accuracy,
        precision,
        recall,
        float(harmonic),
    )


def mean(values: Floats) -> float:
    """Of those that are numbers; NaN of none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
