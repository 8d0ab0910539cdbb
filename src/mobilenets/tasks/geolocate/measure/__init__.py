"""How far off a network is: shares within distances, the median, and whether radii hold."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.tasks.geolocate.cells import TEMPERATURE, atlas_of, temperature_of
from mobilenets.tasks.geolocate.read import HELD, Whereabouts, place, rows, shares_of
from mobilenets.tasks.geolocate.sphere import Floats, distances, in_words, length, pairwise
from mobilenets.tasks.intervals import (
    MOST,
    NO_INTERVALS,
    Intervals,
    gathered,
    interval,
    resamples,
)
from mobilenets.tasks.values import Arrays, Confused, Metric, Size, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC = Metric("median_km", higher_is_better=False, high=math.inf)
PICTURE = "errors"
WITHIN = (1, 25, 200, 750, 2500)
"""Kilometres: a street, a city, a region, a country, a continent (Hays and Efros 2008)."""
TEMPERATURES = tuple(float(t) for t in np.geomspace(0.2, 20, 25).round(3))
"""Of which validation picks one: that with which the radius of 90 % holds 90 % of the images."""


def evaluator(card: ModelCard, dataset: Dataset, objective: Any = None) -> Errors:
    """Distances, whatever cells the data has: positions are known without them.

    Also the loss where `objective`, or the card's recipe, says how far targets reach.
    """
    said = card.recipe.get("objective") or {}
    reach = getattr(objective, "smoothing_km", 0.0) or said.get("smoothing_km", 0.0)
    return Errors(card, float(reach))


class Errors:
    """Where images were taken, where the model thinks, and how far off it thinks that it is.

    Where the card has no temperature yet, all of `TEMPERATURES` are tried, and the figures are
    those of the one that `kept` gives.
    """

    UNIT = "images"

    def __init__(self, card: ModelCard, reach: float = 0.0) -> None:
        self.atlas, self.reach = atlas_of(card), reach
        self.card = card
        known = temperature_of(card)
        self.temperatures = TEMPERATURES if known is None else (known,)
        self.notes: list[str] = []
        self.losses = 0.0
        self._truths: list[Floats] = []
        self._found: list[Floats] = []
        """(images, temperatures, 4): the point chosen, and its two radii."""

    def update(
        self, outputs: Arrays, targets: Sequence[tuple[float, float]], sizes: Sequence[Size] = ()
    ) -> None:
        """Count a batch of (N, cells) logits, and N positions in degrees."""
        logits = rows(outputs, self.card)
        truths = np.asarray(targets, np.float64).reshape(-1, 2)
        shares = np.stack([shares_of(logits, t) for t in self.temperatures], axis=1)
        points = place(shares, self.atlas)
        self._found.append(np.concatenate([self.atlas.means[points.chosen], points.radii], axis=2))
        self._truths.append(truths)
        if self.reach:
            aims = shares_of(-distances(truths, self.atlas.means), self.reach)
            logs = np.log(np.maximum(shares_of(logits, 1.0), 1e-300))
            self.losses -= float((aims * logs).sum())

    def merge(self, other: Errors) -> None:
        """Add what another process has counted."""
        self._truths += other._truths
        self._found += other._found
        self.losses += other.losses

    @property
    def truths(self) -> Floats:
        """(images, 2) positions in degrees."""
        return np.concatenate([np.zeros((0, 2)), *self._truths])

    def answers(self) -> tuple[Floats, Floats]:
        """(images, 2) positions found, and (images, 2) radii in kilometres: of 50 and 90 %."""
        found = self._all()[:, self._best()]
        return found[:, :2], found[:, 2:]

    def errors(self) -> Floats:
        """(images,) kilometres between where they were taken and where the model thinks."""
        return pairwise(self.truths, self.answers()[0])

    def kept(self) -> dict[str, Any]:
        """The temperature, where it was chosen here."""
        if len(self.temperatures) == 1 or not self._found:
            return {}
        return {TEMPERATURE: self.temperatures[self._best()]}

    def results(self) -> Iterator[tuple[str, float]]:
        """The median error, shares within distances, what radii hold and how large they are."""
        errors, radii = self.errors(), self.answers()[1]
        images = len(errors)
        yield "median_km", float(np.median(errors)) if images else math.nan
        for most in WITHIN:
            yield f"within_{most}km", float((errors <= most).sum()) / max(images, 1)
        for k, held in enumerate(HELD):
            inside = float((errors <= radii[:, k]).sum()) / max(images, 1)
            yield f"in_radius_{held:.0%}".rstrip("%"), inside
        yield "radius_90_km", float(np.median(radii[:, 1])) if images else math.nan
        if self.reach:
            yield "loss", self.losses / max(images, 1)
        yield "images", images

    def by_class(self) -> dict[str, dict[str, float]]:
        """{}: cells are where the model has them, not what the data is of."""
        return {}

    def intervals(self) -> Intervals:
        """By resamples of the places: photographs of one place are right and wrong together."""
        errors, radii = self.errors(), self.answers()[1]
        if not 0 < len(errors) < MOST:
            return NO_INTERVALS
        places, place_of = np.unique(self.truths, axis=0, return_inverse=True)
        drawn = resamples(len(places))[:, place_of.reshape(-1)]  # (resamples, images)
        total = np.maximum(drawn.sum(axis=1), 1)
        inside = {f"within_{most}km": errors <= most for most in WITHIN}
        inside |= {
            f"in_radius_{held:.0%}".rstrip("%"): errors <= radii[:, k]
            for k, held in enumerate(HELD)
        }
        found = {
            name: interval(float(right.mean()), drawn @ right / total, len(places))
            for name, right in inside.items()
        }
        medians = weighted_medians(errors, drawn)
        middle = interval(float(np.median(errors)), medians, len(places), share=False)
        made = gathered({"median_km": middle, **found}, {})
        how = made.how.replace("images", f"{len(places)} places")
        return made._replace(how=how)

    def judge(self, image: int, threshold: float) -> Verdict:
        """Right where the truth is inside the circle that should hold nine in ten."""
        found, radii = (values[image] for values in self.answers())
        error = float(self.errors()[image])
        answer = f"{in_words(*found.tolist())}, within {length(float(radii[1]))}"
        figures = {"km": error, "radius_90_km": float(radii[1])}
        right = bool(error <= radii[1])
        return Verdict(in_words(*self.truths[image].tolist()), answer, right, None, -error, figures)

    def truth(self, target: tuple[float, float]) -> Whereabouts:
        """The true position, without circles."""
        return Whereabouts(*target, ())

    def confusions(self, threshold: float) -> list[Confused]:
        """[]: there are no classes."""
        return []

    def gathered(self, names: Sequence[str], writer: str) -> Mapping[str, bytes]:
        """`map.png` with all answers, and the same as `seen.geojson`."""
        from mobilenets.tasks.geolocate.show import TOGETHER
        from mobilenets.tasks.geolocate.show.answers import answers_json, draw_answers

        (found, radii), picture = self.answers(), io.BytesIO()
        draw_answers(self.truths, found).save(picture, "PNG")
        text = answers_json(names, self.truths, found, radii, writer)
        return {"map.png": picture.getvalue(), TOGETHER: text.encode()}

    def figure(self) -> Figure:
        """How errors are distributed, and where on the map they are."""
        from mobilenets.tasks.geolocate.measure.figure import errors_figure

        return errors_figure(self.errors(), self.truths, self.answers()[0])

    def _all(self) -> Floats:
        shape = (0, len(self.temperatures), 2 + len(HELD))
        return np.concatenate([np.zeros(shape), *self._found])

    def _best(self) -> int:
        """The temperature whose larger radius holds nearest to its share; the surest of equals."""
        if len(self.temperatures) == 1 or not self._found:
            return 0
        found, truths = self._all(), self.truths
        off = []
        for k in range(len(self.temperatures)):
            inside = pairwise(truths, found[:, k, :2]) <= found[:, k, 3]
            off.append(abs(float(inside.mean()) - HELD[1]))
        return int(np.argmin(np.round(off, 9)))


def weighted_medians(values: Floats, weights: Floats) -> Floats:
    """(resamples,) medians of (N,) values that are there as often as (resamples, N) weights say.

    NaN where a resample has none.
    """
    order = np.argsort(values, kind="stable")
    rising, sums = values[order], np.cumsum(weights[:, order], axis=1)
    total = sums[:, -1]
    low = (sums >= total[:, None] / 2).argmax(axis=1)
    high = (sums > total[:, None] / 2).argmax(axis=1)
    return np.where(total > 0, (rising[low] + rising[high]) / 2, np.nan)
