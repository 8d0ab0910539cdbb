"""Loss and metric by epoch as a picture, with matplotlib; no window, whatever the machine."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from mobilenets.tasks.values import Metric


def curves_figure(history: Sequence[dict[str, Any]], metric: Metric) -> Figure:
    """Loss and `metric` by epoch, from the rows of a training log.

    The validation loss is there where the rows have one.
    """
    name = metric.name
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for key, label in (("loss", "training"), ("val_loss", "validation")):
        rows = [row for row in history if key in row]  # before the first step there is no loss
        if rows:
            epochs = [row["epoch"] for row in rows]
            left.plot(epochs, [row[key] for row in rows], marker=".", label=label)
    left.set(xlabel="epoch", ylabel="loss")
    left.legend()
    epochs = [row["epoch"] for row in history]
    right.plot(epochs, [row[name] for row in history], marker=".", color="tab:green")
    right.set(xlabel="epoch", ylabel=f"validation {name}")
    if math.isfinite(metric.high):
        right.set_ylim(metric.low, metric.high + 0.02 * (metric.high - metric.low))
    else:
        right.set_ylim(bottom=metric.low)
    best = metric.best(history)
    right.axhline(best[name], color="grey", linewidth=0.8, linestyle="--")
    right.set_title(f"best {best[name]:.3f} at epoch {int(best['epoch'])}", fontsize=10)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure
