"""Errors as a picture, with matplotlib; no window, whatever the machine."""

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from mobilenets.tasks.geolocate.show.outline import outline
from mobilenets.tasks.geolocate.sphere import Floats

LINES = 400
"""Images that are drawn at most, evenly over the data."""
LEAST = 0.01
"""Kilometres at which the curve begins."""


def errors_figure(errors: Floats, truths: Floats, found: Floats) -> Figure:
    """The share of images within each distance; and lines from the truth to the answers."""
    figure = Figure(figsize=(9, 7.5), layout="constrained")
    curve, world = figure.subplots(2, 1, height_ratios=(2, 3))
    rising = np.sort(np.maximum(errors, LEAST))
    curve.step(rising, np.arange(1, len(rising) + 1) / max(len(rising), 1), where="post")
    curve.set(xscale="log", ylim=(0, 1), xlabel="kilometres off", ylabel="share of images within")
    for most in (1, 25, 200, 750, 2500):
        curve.axvline(most, color="0.8", zorder=0)
    middle = f"median {np.median(errors):,.1f} km" if len(errors) else "no images"
    curve.set_title(f"{len(errors)} images, {middle}")
    for rings, colour in ((outline().land, "0.88"), (outline().holes, "white")):
        shapes = PolyCollection(rings, facecolors=colour, edgecolors="0.7", linewidths=0.5)
        world.add_collection(shapes)
    chosen = np.linspace(0, len(errors) - 1, min(LINES, len(errors))).astype(int)
    for i in chosen.tolist():
        (lat, lon), (at, over) = truths[i], found[i]
        over += 360 * np.round((lon - over) / 360)  # the shorter way around
        world.plot([lon, over], [lat, at], color="tab:red", alpha=0.35, linewidth=0.8)
    world.plot(truths[:, 1], truths[:, 0], ".", color="tab:blue", markersize=4, label="taken here")
    both = np.concatenate([truths, found]) if len(errors) else np.array([[-60, -180], [75, 180]])
    low, high = both.min(axis=0), both.max(axis=0)
    room = np.maximum((high - low) * 0.08, 0.01)
    world.set(
        xlim=(low[1] - room[1], high[1] + room[1]), ylim=(low[0] - room[0], high[0] + room[0])
    )
    world.set_aspect(1 / max(float(np.cos(np.radians((low[0] + high[0]) / 2))), 0.05))
    world.set(xlabel="longitude", ylabel="latitude", title="lines lead to the answers")
    world.legend(loc="lower left")
    return figure
