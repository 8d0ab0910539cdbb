"""Boxes around COCO's outlines: polygons, and masks as lengths of runs."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def box_around(outline: Any) -> Corners | None:
    """The box around a `segmentation`, in its image's pixels; None where there is nothing in it.

    Polygons are lists of x, y, x, y, ... or of points, one or several; runs are a mapping of
    `size` (height, width) and `counts`, plain or as pycocotools packs them. ValueError or
    TypeError for anything else.
    """
    if isinstance(outline, Mapping):
        return _around_runs(outline)
    values = np.array(list(_flat(outline)), np.float64)
    if not len(values) or len(values) % 2:
        return None
    x, y = values[0::2], values[1::2]
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _flat(values: Any) -> Iterator[float]:
    """Numbers of lists in lists; DataError's kin where there is something else."""
    if not isinstance(values, list):
        raise TypeError("an outline is lists of numbers")
    for value in values:
        if isinstance(value, list):
            yield from _flat(value)
        elif isinstance(value, dict):  # {"x": 1, "y": 2}
            yield from (float(value["x"]), float(value["y"]))
        else:
            yield float(value)


def _around_runs(mask: Mapping[str, Any]) -> Corners | None:
    height = int(mask["size"][0])
    counts = mask["counts"]
    lengths = unpacked(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    if height < 1 or (lengths < 0).any():
        raise ValueError("runs of no length in a mask")
    ends = np.cumsum(lengths)  # down the columns, from left to right; every second run is inside
    starts = (ends - lengths)[1::2]
    ends = ends[1::2]
    inside = ends > starts
    starts, last = starts[inside], ends[inside] - 1
    if not len(starts):
        return None
    within = starts // height == last // height  # a run over a column's end has its first row too
    top = np.where(within, starts % height, 0).min()
    bottom = np.where(within, last % height, height - 1).max() + 1
    return (
        float((starts // height).min()),
        float(top),
        float((last // height).max() + 1),
        float(bottom),
    )


def unpacked(text: str) -> NDArray[np.int64]:
    """Lengths of runs from pycocotools' text: 5 bits a character, from the third on differences."""
    lengths: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("not a packed mask")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    return np.array(lengths, np.int64)
