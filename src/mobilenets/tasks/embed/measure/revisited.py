"""Revisited Oxford and Paris (Radenovic et al. 2018, arXiv 1803.11285): easy, medium and hard.

Each query has images that are easy and hard to find, and junk that counts neither way. Easy looks
for the easy ones and passes over junk and hard ones; medium looks for both and passes over junk;
hard looks for the hard ones and passes over junk and easy ones. Average precision is the area under
the curve of precision over recall by trapezoids, as Oxford Buildings has it.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.float64]
Integers = NDArray[np.int64]
DEPTHS = (1, 5, 10)
"""Answers of which the precision is said too."""


class QueryTruth(NamedTuple):
    """What a query is to find, as places in the gallery."""

    easy: tuple[int, ...]
    hard: tuple[int, ...]
    junk: tuple[int, ...]


class Protocol(NamedTuple):
    """One of the three ways to measure."""

    name: str
    sought: tuple[str, ...]
    passed: tuple[str, ...]


PROTOCOLS = (
    Protocol("easy", ("easy",), ("junk", "hard")),
    Protocol("medium", ("easy", "hard"), ("junk",)),
    Protocol("hard", ("hard",), ("junk", "easy")),
)


def revisited(order: Integers, truths: Sequence[QueryTruth]) -> Iterator[tuple[str, Figures]]:
    """`map_easy` and so on, then `mp@1_easy`, `mp@5_easy`, `mp@10_easy` and so on, of each query.

    `order` (queries, gallery) has the places of all images for each query, the nearest first.
    Figures are (queries,), NaN for one with nothing to find.
    """
    for name, sought, passed in PROTOCOLS:
        rows = np.full((len(truths), 1 + len(DEPTHS)), np.nan)
        for row, places, truth in zip(rows, order, truths, strict=True):
            wanted = [i for kind in sought for i in getattr(truth, kind)]
            ignored = [i for kind in passed for i in getattr(truth, kind)]
            if wanted:
                row[:] = _figures(places, wanted, ignored)
        yield f"map_{name}", rows[:, 0]
        for depth, column in zip(DEPTHS, rows[:, 1:].T, strict=True):
            yield f"mp@{depth}_{name}", column


def _figures(places: Integers, wanted: Sequence[int], ignored: Sequence[int]) -> list[float]:
    """Average precision of one query, and its precision at each of the depths."""
    left = places[~np.isin(places, ignored)]
    ranks = np.flatnonzero(np.isin(left, wanted))  # from 0
    found = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, found / np.maximum(ranks, 1))
    area = float(((before + (found + 1) / (ranks + 1)) / 2).sum()) / len(wanted)
    figures = [area]
    for depth in DEPTHS:
        # Of few images to find, no more answers count than it takes to find the last.
        most = min(int(ranks.max(initial=0)) + 1, depth)
        figures.append(float((ranks < most).sum()) / most)
    return figures
