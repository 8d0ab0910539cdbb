"""Intersection over union as a picture, with matplotlib; no window, whatever the machine."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

BARS = 120
"""Classes up to which a bar has its name and figures."""
NAMED = 40
"""Classes up to which the cells are named and numbered."""


def segmentation_figure(iou: Mapping[str, float], shares: NDArray[np.float64]) -> Figure:
    """Intersection over union by class, the best on top, beside what is taken for what.

    `shares` are (classes, classes + 1) of each true class, in the order of `iou`, the last column
    for classes that the data does not have.
    """
    names = sorted(iou, key=lambda name: iou[name])
    height = min(max(3.8, 0.25 * len(names) + 1.6), 14.0)
    figure = Figure(figsize=(5 + height, height), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[4, height])
    left.barh(range(len(names)), [iou[name] for name in names], color="tab:blue")
    left.set(xlim=(0, 1.12), xlabel="intersection over union")
    left.set_title(f"mean {np.mean(list(iou.values()) or [0]):.3f}", fontsize=10)
    left.set_yticks([])
    if len(names) <= BARS:
        left.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
        for row, name in enumerate(names):
            left.text(iou[name] + 0.01, row, f"{iou[name]:.2f}", va="center", fontsize=7)
    left.grid(axis="x", alpha=0.3)
    left.set_axisbelow(True)
    columns = [*iou, "(other)"]
    if not shares[:, -1].any():
        columns, shares = columns[:-1], shares[:, :-1]
    image = right.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=right, shrink=0.7, label="share of the true class's pixels")
    right.set(xlabel="predicted", ylabel="true")
    if len(iou) <= NAMED:
        right.set_xticks(range(len(columns)), columns, rotation=90, fontsize=8, parse_math=False)
        right.set_yticks(range(len(iou)), list(iou), fontsize=8, parse_math=False)
        for (row, column), share in np.ndenumerate(shares):
            if share >= 0.005:
                colour = "white" if share > 0.5 else "black"
                right.text(
                    column, row, f"{share:.2f}", ha="center", va="center", color=colour, fontsize=6
                )
    return figure
