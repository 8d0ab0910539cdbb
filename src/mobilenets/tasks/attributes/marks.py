"""Marks of many images: 1 for yes, 0 for no, -1 for unknown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

YES, NO, UNKNOWN = 1, 0, -1

Marks = NDArray[np.int8]
"""(N, attributes), or (attributes,) of one image."""


def marks_of_all(dataset: Any) -> Marks:
    """(N, attributes) of a whole data set; of one of a person's own, asked for one by one."""
    whole = getattr(dataset, "marks", None)
    if isinstance(whole, np.ndarray):
        return whole
    rows = [np.asarray(dataset.target(i), np.int8) for i in range(len(dataset))]
    return np.stack(rows) if rows else np.zeros((0, len(dataset.classes)), np.int8)


def shares_of(marks: Marks) -> NDArray[np.float64]:
    """(attributes,) the share of yes in what is known; NaN where nothing is."""
    known = (marks >= 0).sum(0)
    with np.errstate(invalid="ignore"):
        return np.asarray((marks == YES).sum(0) / np.where(known, known, np.nan))


def constant(marks: Marks) -> list[int]:
    """The attributes that are the same in all images of which they are known, or known in none."""
    both = (marks == YES).any(0) & (marks == NO).any(0)
    return [int(k) for k in np.flatnonzero(~both)]
