"""How good the nearest vectors are: recall, R-precision, mean average precision, CMC.

Same-set: every image is looked for among all others, itself left out (Oh Song et al. 2016;
Musgrave et al. 2020, arXiv 2003.08505). Query and gallery: CMC (re-identification), and mAP@100 as
Google Landmarks v2 has it (Weyand et al. 2020), which divides by min(relevant, 100).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.embed.measure.neighbours import Floats, Integers, ranked

RECALLS = (1, 2, 4, 8)
CMC = (1, 5, 10)
MOST = 100
"""Answers that count in mAP@100."""


class SameSet(NamedTuple):
    """Figures of each query; NaN for one that is alone in its class."""

    recall: NDArray[np.float64]
    """(queries, 4): whether one of the nearest 1, 2, 4 and 8 is of its class."""
    r_precision: NDArray[np.float64]
    """(queries,): of as many nearest as its class has others, the share that is of it."""
    precision: NDArray[np.float64]
    """(queries,): MAP@R, the mean of the precisions at those places, 0 where one is wrong."""
    nearest: Integers
    """(queries,): the place of the nearest."""
    cosine: Floats
    """(queries,): its cosine."""


class Searched(NamedTuple):
    """Figures of each query of a gallery; NaN for one of which the gallery has nothing."""

    hit: NDArray[np.float64]
    """(queries, 3): whether one of the nearest 1, 5 and 10 is of its class."""
    precision: NDArray[np.float64]
    """(queries,): average precision of the nearest 100."""


def same_set(vectors: Floats, labels: Integers) -> SameSet:
    """Every image looked for among all others: (N, dimensions) of unit length, (N,) classes."""
    count = len(labels)
    others = np.bincount(labels)[labels] - 1  # (N,) of its class
    most = min(max(int(others.max(initial=0)), RECALLS[-1]), max(count - 1, 0))
    recall = np.full((count, len(RECALLS)), np.nan)
    share, precision = np.full(count, np.nan), np.full(count, np.nan)
    best, cosine = np.full(count, -1), np.zeros(count, np.float32)
    if most < 1:
        return SameSet(recall, share, precision, best, cosine)
    places = np.arange(1, most + 1)
    for block in ranked(vectors, vectors, most, np.arange(count)):
        rows = slice(block.first, block.first + len(block.order))
        hits = labels[block.order] == labels[rows, None]
        best[rows], cosine[rows] = block.order[:, 0], block.cosines[:, 0]
        r = np.maximum(others[rows], 1)
        counted = hits & (places <= r[:, None])
        running = np.cumsum(counted, 1) / places
        recall[rows] = np.stack([hits[:, :k].any(1) for k in RECALLS], 1)
        share[rows] = counted.sum(1) / r
        precision[rows] = (running * counted).sum(1) / r
    for figures in (recall, share, precision):
        figures[others < 1] = np.nan
    return SameSet(recall, share, precision, best, cosine)


def search(
    queries: Floats,
    wanted: Integers,
    gallery: Floats,
    labels: Integers,
    own: Integers | None = None,
) -> Searched:
    """Queries looked for in a gallery: vectors of unit length, and the class of each.

    `own` as `neighbours.ranked` has it, for images that are in both.
    """
    hit = np.full((len(wanted), len(CMC)), np.nan)
    precision = np.full(len(wanted), np.nan)
    sizes = np.bincount(
        labels, minlength=int(max(wanted.max(initial=0), labels.max(initial=0))) + 1
    )
    relevant = sizes[wanted]
    if own is not None:
        relevant = relevant - (own >= 0)
    most = min(MOST, len(labels))
    places = np.arange(1, most + 1)
    for block in ranked(queries, gallery, most, own):
        rows = slice(block.first, block.first + len(block.order))
        hits = (labels[block.order] == wanted[rows, None]) & np.isfinite(block.cosines)
        hit[rows] = np.stack([hits[:, :k].any(1) for k in CMC], 1)
        running = np.cumsum(hits, 1) / places
        total = np.maximum(np.minimum(relevant[rows], MOST), 1)
        precision[rows] = (running * hits).sum(1) / total
    hit[relevant < 1] = precision[relevant < 1] = np.nan
    return Searched(hit, precision)
