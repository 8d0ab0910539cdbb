"""Average precision of each attribute beside how common it is; no window, whatever the machine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

NAMED = 80
"""Attributes up to which each has its name."""


def precision_figure(by_class: Mapping[str, Mapping[str, float]], images: int) -> Figure:
    """A bar for each attribute, the best at the top; a mark is what guessing gives: its share."""
    rows = sorted(by_class.items(), key=lambda row: row[1]["ap"])
    height = min(max(2.5, 0.24 * len(rows) + 1.2), 20.0)
    figure = Figure(figsize=(7.0, height), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    axes.barh(places, [row["ap"] for _, row in rows], color="#2684ce", label="average precision")
    axes.scatter(
        [row["share"] for _, row in rows], places, marker="|", s=90, color="black", zorder=3
    )
    axes.scatter([], [], marker="|", color="black", label="share of images: what guessing gives")
    axes.set(xlim=(0, 1), title=f"{images} images")
    axes.set_ylim(-0.7, max(len(rows), 1) - 0.3)
    if len(rows) <= NAMED:
        axes.set_yticks(places, [name for name, _ in rows])
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return figure
