"""Nearest vectors by their cosines, in blocks: memory stays flat, whatever their number.

Of equal cosines the vector that stands first is the nearer one.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
CELLS = 1 << 24
"""Cosines that are in memory at once, four bytes each."""


class Neighbours(NamedTuple):
    """Some queries with their nearest vectors."""

    first: int
    """The number of the first of these queries."""
    order: Integers
    """(queries, k) places in the gallery, the nearest first."""
    cosines: Floats
    """(queries, k) of them."""


def ranked(
    queries: Floats, gallery: Floats, k: int, own: Integers | None = None
) -> Iterator[Neighbours]:
    """The `k` nearest vectors of each query, block by block.

    Both are (N, dimensions), of unit length. `own` (queries,) is each query's own place in the
    gallery, which is no answer; -1 for none.
    """
    step = max(CELLS // max(len(gallery), 1), 1)
    for first in range(0, len(queries), step):
        cosines = queries[first : first + step] @ gallery.T  # (step, gallery)
        if own is not None:
            mine = own[first : first + step]
            rows = np.flatnonzero(mine >= 0)
            cosines[rows, mine[rows]] = -np.inf
        order = nearest(cosines, k)
        yield Neighbours(first, order, np.take_along_axis(cosines, order, 1))


def nearest(cosines: Floats, k: int) -> Integers:
    """(queries, k) places of the largest of (queries, gallery), the largest first."""
    count = cosines.shape[1]
    if k >= count:
        return np.argsort(-cosines, axis=1, kind="stable")
    found = np.sort(np.argpartition(-cosines, k - 1, axis=1)[:, :k], axis=1)
    values = np.take_along_axis(cosines, found, 1)
    # A tie with what was left out: which of them comes first is decided by all of the row.
    tied = np.flatnonzero((cosines >= values.min(1)[:, None]).sum(1) > k)
    found[tied] = np.argsort(-cosines[tied], axis=1, kind="stable")[:, :k]
    values = np.take_along_axis(cosines, found, 1)
    return np.take_along_axis(found, np.argsort(-values, axis=1, kind="stable"), 1)
