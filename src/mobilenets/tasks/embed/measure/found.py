"""What each query finds, and how sure the figures of all of them are."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.embed.measure.neighbours import CELLS, Floats, Integers
from mobilenets.tasks.embed.measure.revisited import QueryTruth
from mobilenets.tasks.intervals import Interval, interval, resamples

Relation = Callable[[slice], tuple[NDArray[np.bool_], NDArray[np.bool_]]]
"""Some queries -> (queries, gallery) what each is to find, and what counts neither way."""


class SearchAnswer(NamedTuple):
    """The answer to a query."""

    image: int
    """The place of the nearest in the gallery; -1 where all of it counts neither way."""
    cosine: float
    """Its cosine."""
    rank: int
    """The place, from 1, of the first answer that is right; 0 where there is nothing to find."""
    right: float
    """The cosine of that one, NaN where there is none."""
    wrong: float
    """The largest cosine of one that is not to be found; NaN where all are."""

    @property
    def margin(self) -> float:
        """How much nearer the right one is than any other: below 0 for a wrong answer."""
        if np.isnan(self.right):
            return np.inf
        return np.inf if np.isnan(self.wrong) else self.right - self.wrong


def answers(queries: Floats, gallery: Floats, relation: Relation) -> Iterator[SearchAnswer]:
    """The answer to each of (queries, dimensions), in blocks: memory stays flat."""
    step = max(CELLS // max(len(gallery), 1), 1)
    for first in range(0, len(queries), step):
        rows = slice(first, min(first + step, len(queries)))
        cosines = queries[rows] @ gallery.T
        wanted, passed = relation(rows)
        cosines[passed] = -np.inf
        right = np.where(wanted & ~passed, cosines, -np.inf)
        wrong = np.where(wanted, -np.inf, cosines)
        for row, good, bad in zip(cosines, right, wrong, strict=True):
            best, nearest = int(good.argmax()), int(row.argmax())
            before = row > good[best]
            before[:best] |= row[:best] == good[best]  # of equal ones the first is the nearer
            known = bool(np.isfinite(good[best]))
            yield SearchAnswer(
                nearest if np.isfinite(row[nearest]) else -1,
                float(row[nearest]),
                int(before.sum()) + 1 if known else 0,
                float(good[best]) if known else np.nan,
                float(bad.max()) if np.isfinite(bad.max()) else np.nan,
            )


def of_classes(wanted: Integers, labels: Integers, own: Integers) -> Relation:
    """To be found is what has the query's class. `own` is its own place in the gallery, or -1."""

    def relation(rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        itself = np.arange(len(labels)) == own[rows, None]
        return labels == wanted[rows, None], itself

    return relation


def of_truths(truths: Sequence[QueryTruth], gallery: int) -> Relation:
    """As medium of Revisited Oxford: easy and hard ones are to be found, junk is passed over."""

    def relation(rows: slice) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        chosen = truths[rows]
        wanted, passed = np.zeros((2, len(chosen), gallery), bool)
        for i, truth in enumerate(chosen):
            wanted[i, [*truth.easy, *truth.hard]] = True
            passed[i, list(truth.junk)] = True
        return wanted, passed

    return relation


def sureness(
    figures: Mapping[str, NDArray[np.float64]], bundles: Integers
) -> dict[str, Interval | None]:
    """Intervals of means over queries: (queries,) values, NaN for what is not counted.

    From resamples of `bundles`, (queries,): those of one are right and wrong together.
    """
    _, place = np.unique(bundles, return_inverse=True)
    number = int(place.max(initial=-1)) + 1
    drawn = resamples(number)[:, place.reshape(-1)]  # (resamples, queries)
    found: dict[str, Interval | None] = {}
    for name, values in figures.items():
        known = ~np.isnan(values)
        times = drawn[:, known]
        total = times.sum(1)
        sums = times @ values[known]
        means = np.divide(sums, total, out=np.full(len(drawn), np.nan), where=total > 0)
        found[name] = interval(float(values[known].mean()), means, number) if known.any() else None
    return found
