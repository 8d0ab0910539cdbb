"""Average precision as a picture, with matplotlib; no window, whatever the machine."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

BARS = 120
"""Classes up to which a bar has its name and figures."""
CURVES = 8
"""Classes up to which each has a curve with its name."""


def detection_figure(
    ap: Mapping[str, tuple[float, float]],
    recalls: NDArray[np.float64],
    curves: NDArray[np.floating],
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
