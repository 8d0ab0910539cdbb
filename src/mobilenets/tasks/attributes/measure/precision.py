"""Average precision of scores, plainly and in resamples of the images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
TOGETHER = 50
"""Resamples that are counted at once: memory for 50 x images numbers."""


def average_precision(scores: Floats, yes: NDArray[np.bool_]) -> float:
    """The mean precision at each step of recall, as scikit-learn's `average_precision_score`.

    Images of one score come together. NaN without a yes.
    """
    (found,) = resampled_precision(scores, yes, np.ones((1, len(scores))))
    return float(found)


def resampled_precision(scores: Floats, yes: NDArray[np.bool_], times: Floats) -> Floats:
    """(R,) the average precision where each image counts as often as `times`, (R, N), says.

    NaN for a row without a yes.
    """
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], yes[order].astype(np.float64)
    last = np.append(ranked[1:] != ranked[:-1], True) if len(ranked) else np.zeros(0, bool)
    found = []
    for part in np.array_split(times, max(len(times) // TOGETHER, 1)):
        weights = part[:, order]
        hits = np.cumsum(weights * right, axis=1)[:, last]  # (r, different scores)
        seen = np.cumsum(weights, axis=1)[:, last]
        precision = hits / np.maximum(seen, 1e-12)
        steps = np.diff(hits, axis=1, prepend=0.0)
        every = hits[:, -1] if hits.shape[1] else np.zeros(len(part))
        with np.errstate(invalid="ignore", divide="ignore"):
            found.append((steps * precision).sum(1) / every)
    return np.concatenate(found)


def best_threshold(scores: Floats, yes: NDArray[np.bool_]) -> float:
    """The score from which marks have the best F1, half way to the next lower score.

    Of equally good ones that nearest to a half; a half where there is no yes, or no no.
    """
    if not yes.any() or yes.all():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    ranked, right = scores[order], yes[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    hits, seen = np.cumsum(right)[last], (np.arange(len(ranked)) + 1)[last]
    f1 = 2 * hits / (seen + yes.sum())
    levels = ranked[last]
    middles = (levels + np.append(levels[1:], 0.0)) / 2
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(middles[best[np.argmin(np.abs(middles[best] - 0.5))]])
