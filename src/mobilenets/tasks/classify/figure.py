"""The confusion matrix as a picture, with matplotlib; no window, whatever the machine."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

NAMED = 40
"""Classes up to which a confusion matrix names and numbers its cells."""


def confusion_figure(counts: NDArray[np.int64], classes: Sequence[str]) -> Figure:
    """A confusion matrix: (classes, classes + 1) counts, the last column for none of them."""
    columns = list(classes)
    if counts[:, -1].any():
        columns.append("(other)")
    else:
        counts = counts[:, :-1]
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    side = min(max(4.0, 0.45 * len(classes) + 2), 14.0)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title=f"{int(counts.sum())} images")
    if len(classes) <= NAMED:
        axes.set_xticks(range(len(columns)), columns, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        for (row, column), count in np.ndenumerate(counts):
            if count:
                colour = "white" if shares[row, column] > 0.5 else "black"
                axes.text(column, row, str(count), ha="center", va="center", color=colour)
    return figure
