"""The confusion matrix as a picture, with matplotlib; no window, whatever the machine."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from mobilenets.tasks.classify.measure.confusion import Confusion

NAMED = 40
"""Classes up to which a confusion matrix names and numbers its cells."""


CELLS = 1000
"""Cells of a side: of more classes, neighbours share one."""


def confusion_figure(counts: Confusion, classes: Sequence[str]) -> Figure:
    """What is taken for what, as shares of the true class."""
    shares = counts.shares(CELLS)
    images, _ = counts.by_class()
    columns = [*classes, "(other)"][: shares.shape[1]]
    side = min(max(4.0, 0.45 * len(classes) + 2), 14.0)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true", title=f"{int(images.sum())} images")
    if len(classes) <= NAMED:
        axes.set_xticks(range(len(columns)), columns, rotation=90)
        axes.set_yticks(range(len(classes)), classes)
        for row, column, count in zip(*(part.tolist() for part in counts.rows()), strict=True):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=colour)
    return figure
