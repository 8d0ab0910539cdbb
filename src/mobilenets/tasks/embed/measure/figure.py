"""The cosines of pairs as a picture, with matplotlib; no window, whatever the machine."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from mobilenets.tasks.embed.measure.pairs import BINS, Histogram

BARS = 128


def cosine_figure(histogram: Histogram, thresholds: Mapping[str, Any]) -> Figure:
    """How alike images of one class are, and of two; `thresholds` as the card keeps them."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    counts = histogram.counts.reshape(2, BARS, BINS // BARS).sum(2)
    edges = np.linspace(-1, 1, BARS + 1)
    for name, colour, row in zip(
        ("of two classes", "of one class"), ("tab:grey", "tab:blue"), counts, strict=True
    ):
        label = f"{int(row.sum()):,} pairs {name}"
        shares = row / max(int(row.sum()), 1)
        axes.stairs(shares, edges, fill=True, alpha=0.5, color=colour, label=label)
    for rate, one in thresholds.items():
        axes.axvline(one["cosine"], color="black", linewidth=0.8, linestyle=":")
        axes.text(one["cosine"], axes.get_ylim()[1], f" {float(rate):.2%}", rotation=90, va="top")
    axes.set(xlabel="cosine", ylabel="share of the pairs")
    axes.legend()
    return figure
