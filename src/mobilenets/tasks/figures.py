"""Pictures of results, with matplotlib; no window, whatever the machine."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

NAMED = 40
"""Classes up to which a confusion matrix names and numbers its cells."""
BARS = 120
"""Classes up to which a bar has its name and figures."""
CURVES = 8
"""Classes up to which each has a curve with its name."""


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


def curves_figure(history: Sequence[dict[str, float]], metric: str) -> Figure:
    """Loss and `metric` by epoch, from the rows of a training log."""
    epochs = [row["epoch"] for row in history]
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(epochs, [row["loss"] for row in history], marker=".", label="training")
    left.plot(epochs, [row["val_loss"] for row in history], marker=".", label="validation")
    left.set(xlabel="epoch", ylabel="loss")
    left.legend()
    right.plot(epochs, [row[metric] for row in history], marker=".", color="tab:green")
    right.set(xlabel="epoch", ylabel=f"validation {metric}", ylim=(0, 1.02))
    best = max(history, key=lambda row: row[metric])
    right.axhline(best[metric], color="grey", linewidth=0.8, linestyle="--")
    right.set_title(f"best {best[metric]:.3f} at epoch {int(best['epoch'])}", fontsize=10)
    for axes in (left, right):
        axes.grid(alpha=0.3)
    return figure


def detection_figure(
    ap: Mapping[str, tuple[float, float]],
    recalls: NDArray[np.float64],
    curves: NDArray[np.float64],
) -> Figure:
    """Average precision by class, the best on top, beside precision at the `recalls`.

    `ap` are (AP, AP at IoU .5) of each class, `curves` (classes, recalls) the precision of the
    same at IoU .5: named where they are few, else all of them thin under their mean.
    """
    names = sorted(ap, key=lambda name: ap[name])
    height = min(max(3.8, 0.2 * len(names) + 1.2), 0.2 * BARS + 1.2)
    figure = Figure(figsize=(9.6, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_bars(left, names, [ap[name] for name in names])
    right.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    right.set_title("precision at IoU .5", fontsize=10)
    right.set_box_aspect(1)
    right.set_anchor("N")
    right.grid(alpha=0.3)
    if len(names) <= CURVES:
        curve_of = dict(zip(ap, curves, strict=True))
        for name in reversed(names):
            right.plot(recalls, curve_of[name], label=name)
    else:
        right.plot(recalls, curves.T, color="grey", linewidth=0.6, alpha=0.35)
        right.plot(recalls, curves.mean(0), color="tab:blue", linewidth=2, label="mean of classes")
    if names:
        for text in right.legend(fontsize=8).get_texts():
            text.set_parse_math(False)  # a class may have a dollar in its name
    return figure


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


def _draw_bars(axes: Axes, names: Sequence[str], values: Sequence[tuple[float, float]]) -> None:
    """A bar for AP at IoU .5, a darker one inside it for AP, and both in figures."""
    rows = range(len(names))
    axes.barh(rows, [ap50 for _, ap50 in values], color="#b7d0e8", label="AP at IoU .5")
    axes.barh(rows, [ap for ap, _ in values], height=0.45, color="tab:blue", label="AP")
    axes.set_yticks([])
    if len(names) <= BARS:
        axes.set_yticks(rows, names, fontsize=8, parse_math=False)
        for row, (ap, ap50) in zip(rows, values, strict=True):
            axes.text(ap50 + 0.01, row, f"{ap:.2f}  {ap50:.2f}", va="center", fontsize=7)
    middle, half = (len(names) - 1) / 2, max(len(names) / 2, 1.5) + 0.2
    axes.set(xlim=(0, 1.16), ylim=(middle - half, middle + half), xticks=np.linspace(0, 1, 6))
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    if not names:
        axes.set_title("no objects", fontsize=10)
        return
    axes.legend(loc="lower right", fontsize=8)
    mean, mean50 = np.mean(values, 0)
    axes.set_title(f"AP {mean:.3f}, at IoU .5 {mean50:.3f}", fontsize=10)
