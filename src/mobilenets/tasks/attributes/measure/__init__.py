"""How good a network is at attributes: average precision, and how right its marks are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import few
from mobilenets.runtime.labels import both_names, match_classes
from mobilenets.tasks.attributes.marks import NO, UNKNOWN, YES, Marks, constant, shares_of
from mobilenets.tasks.attributes.measure.counts import Right, f1_of, mean, right, sides
from mobilenets.tasks.attributes.measure.precision import (
    average_precision,
    best_threshold,
    resampled_precision,
)
from mobilenets.tasks.attributes.read import (
    GROUPS,
    HALF,
    THRESHOLDS,
    SeenAttribute,
    groups_of,
    labels_of,
    marks_of,
    scores_of,
    thresholds_of,
)
from mobilenets.tasks.attributes.recipes.settings import AttributesObjective
from mobilenets.tasks.intervals import (
    MOST,
    NO_INTERVALS,
    Interval,
    Intervals,
    gathered,
    interval,
    resamples,
)
from mobilenets.tasks.values import Arrays, Confused, Metric, Size, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC = Metric("mean_ap")
PICTURE = "attributes"
WORST = 5
"""Attributes that are named as the worst."""

Floats = NDArray[np.float64]


def evaluator(card: ModelCard, dataset: Dataset, objective: Any = None) -> AttributeScores:
    """Average precision over the data's attributes, and how right the marks are.

    In training, where there are settings of a loss, thresholds are chosen on these very images:
    those by which F1 is best. Else they are the card's, and a half where it has none.
    """
    if isinstance(objective, AttributesObjective):
        card = card.replace(kept={GROUPS: objective.named_groups()})
    labels = labels_of(card, len(card.labels))
    outputs = match_classes(dataset.classes, labels)
    return AttributeScores(dataset.classes, outputs, card, choosing=objective is not None)


class AttributeScores:
    """Scores and marks of every image: 5 bytes for each attribute of each.

    `outputs_of` maps the data's attributes to the model's outputs.
    """

    UNIT = "images"

    def __init__(
        self,
        classes: Sequence[str],
        outputs_of: Sequence[int],
        card: ModelCard,
        *,
        choosing: bool = False,
    ) -> None:
        self.classes, self.card, self.choosing = tuple(classes), card, choosing
        self.outputs_of = np.asarray(outputs_of, np.int64)
        self.names = both_names(classes, outputs_of, card.labels)
        self.notes: list[str] = []
        """What `results` found to say of single attributes."""
        self._scores = [np.zeros((0, len(classes)), np.float32)]
        self._marks = [np.zeros((0, len(classes)), np.int8)]

    def update(self, outputs: Arrays, targets: Sequence[Any], sizes: Sequence[Size] = ()) -> None:
        """Count a batch: outputs as the card says what they are, marks of 1, 0 and -1."""
        self._scores.append(scores_of(outputs, self.card)[:, self.outputs_of].astype(np.float32))
        self._marks.append(np.stack([np.asarray(one, np.int8) for one in targets]))

    def merge(self, other: AttributeScores) -> None:
        """Add the images of another process, behind."""
        self._scores.append(other.scores)
        self._marks.append(other.marks)

    @property
    def scores(self) -> NDArray[np.float32]:
        """(N, attributes) of all images until now."""
        self._scores = [np.concatenate(self._scores)]
        return self._scores[0]

    @property
    def marks(self) -> Marks:
        """(N, attributes) what is true of them."""
        self._marks = [np.concatenate(self._marks)]
        return self._marks[0]

    @property
    def thresholds(self) -> Floats:
        """(attributes,) the score from which each is seen."""
        if not self.choosing:
            return thresholds_of(self.card, self.card.labels)[self.outputs_of]
        scores, marks = self.scores.astype(np.float64), self.marks
        known = marks != UNKNOWN
        return np.array(
            [
                best_threshold(scores[known[:, k], k], marks[known[:, k], k] == YES)
                for k in range(len(self.classes))
            ]
        )

    @property
    def groups(self) -> list[list[int]]:
        """Places of the attributes in each group that exclude each other, if the data has all."""
        place = {int(output): k for k, output in enumerate(self.outputs_of)}
        every = groups_of(self.card, self.card.labels)
        return [[place[i] for i in group] for group in every if all(i in place for i in group)]

    def seen(self, thresholds: Floats) -> NDArray[np.bool_]:
        """(N, attributes) whether each is seen from these scores on."""
        return marks_of(self.scores.astype(np.float64), thresholds, self.groups)

    def precisions(self) -> Floats:
        """(attributes,) the average precision of each; NaN of those without both sides."""
        scores, marks = self.scores.astype(np.float64), self.marks
        known, one_sided = marks != UNKNOWN, set(constant(marks))
        return np.array(
            [
                float("nan")
                if k in one_sided
                else average_precision(scores[known[:, k], k], marks[known[:, k], k] == YES)
                for k in range(len(self.classes))
            ]
        )

    def results(self) -> Iterator[tuple[str, float]]:
        """`mean_ap` and the figures of `Right`, with the thresholds and with a half; the loss.

        Of attributes that are both there and not there on some images; unknown entries are left
        out. `loss` is the plain binary cross entropy.
        """
        own, half = self.thresholds, np.full(len(self.classes), HALF)
        precisions = self.precisions()
        self.notes = self._told(precisions)
        yield "mean_ap", mean(precisions)
        rights = {"": right(self.seen(own), self.marks)}
        rights["_at_half"] = right(self.seen(half), self.marks)
        for ending, figures in rights.items():
            for name, value in zip(Right._fields, figures, strict=True):
                if not ending or name in ("mean_accuracy", "f1", "instance_accuracy"):
                    yield f"{name}{ending}", value
        yield "loss", float(self._losses().mean()) if len(self.marks) else 0.0
        yield "images", len(self.marks)

    def _losses(self) -> Floats:
        """(N,) the mean cross entropy of each image's known marks."""
        scores, marks = self.scores.astype(np.float64), self.marks
        likely = np.where(marks == YES, scores, 1 - scores)
        losses = -np.log(np.maximum(likely, 1e-12)) * (marks >= 0)
        return np.asarray(losses.sum(1) / np.maximum((marks >= 0).sum(1), 1))

    def by_class(self) -> dict[str, dict[str, float]]:
        """`ap`, `mean_accuracy`, `f1`, `threshold`, `share` and `images` of each that has both.

        `images` are those of which it is known, `share` the part of these that have it.
        """
        own, marks = self.thresholds, self.marks
        seen = self.seen(own)
        columns = {
            "ap": self.precisions(),
            "mean_accuracy": sides(seen, marks),
            "f1": f1_of(seen & (marks >= 0), marks),
            "threshold": own,
            "share": shares_of(marks),
        }
        known = (marks >= 0).sum(0)
        return {
            name: {
                **{key: float(values[k]) for key, values in columns.items()},
                "images": int(known[k]),
            }
            for k, name in enumerate(self.classes)
            if not np.isnan(columns["ap"][k])
        }

    def _told(self, found: Floats) -> list[str]:
        """The worst attributes, and those that could not be measured."""
        order = [int(k) for k in np.argsort(found) if not np.isnan(found[k])]
        told = []
        if len(order) > WORST:
            worst = [f"{self.names[k]} {found[k]:.3f}" for k in order[:WORST]]
            told.append(f"the worst by average precision: {', '.join(worst)}")
        lost = [self.names[k] for k in np.flatnonzero(np.isnan(found))]
        if lost and len(self.marks):
            verb = "attribute is" if len(lost) == 1 else "attributes are"
            told.append(f"{len(lost)} {verb} not measured, the same on all images: {few(lost)}")
        return told

    def kept(self) -> dict[str, Any]:
        """The thresholds and the groups, for the card."""
        own = dict(zip(self.classes, np.round(self.thresholds, 4).tolist(), strict=True))
        return {THRESHOLDS: own, GROUPS: self.card.kept.get(GROUPS, [])}

    def intervals(self) -> Intervals:
        """From resamples of the images: of the mean average precision and of each attribute's."""
        scores, marks = self.scores.astype(np.float64), self.marks
        if not 1 < len(marks) < MOST:
            return NO_INTERVALS
        times = resamples(len(marks))
        values = self.precisions()
        by_class: dict[str, dict[str, Interval | None]] = {}
        drawn = []
        for k in np.flatnonzero(~np.isnan(values)).tolist():
            known = marks[:, k] != UNKNOWN
            again = resampled_precision(scores[known, k], marks[known, k] == YES, times[:, known])
            around = interval(float(values[k]), again, int(known.sum()))
            by_class[self.classes[k]] = {"ap": around}
            drawn.append(again)
        if not drawn:
            return NO_INTERVALS
        with np.errstate(invalid="ignore"):
            means = np.array([mean(row) for row in np.stack(drawn, axis=1)])
        return gathered({"mean_ap": interval(mean(values), means, len(marks))}, by_class)

    def judge(self, image: int, threshold: float) -> Verdict:
        """Right where every known attribute is; the worst have the most that are wrong."""
        seen = self._seen_in(image, threshold)
        marks = self.marks[image]
        wrong = int(((seen != (marks == YES)) & (marks >= 0)).sum())
        loss = float(self._losses_of(image))
        there, found = (self._words(row) for row in (marks == YES, seen))
        figures = {"wrong": wrong, "loss": loss}
        return Verdict(there, found, wrong == 0, None, -wrong - loss / (1 + loss), figures)

    def _losses_of(self, image: int) -> float:
        scores, marks = self.scores[image].astype(np.float64), self.marks[image]
        likely = np.where(marks == YES, scores, 1 - scores)[marks >= 0]
        return float(-np.log(np.maximum(likely, 1e-12)).mean()) if len(likely) else 0.0

    def _seen_in(self, image: int, threshold: float) -> NDArray[np.bool_]:
        scores = self.scores[image : image + 1].astype(np.float64)
        if threshold > 0:
            return np.asarray(scores[0] >= threshold)
        seen: NDArray[np.bool_] = marks_of(scores, self.thresholds, self.groups)[0]
        return seen

    def _words(self, there: NDArray[np.bool_]) -> str:
        return ", ".join(self.names[k] for k in np.flatnonzero(there)) or "none"

    def truth(self, target: Any) -> list[SeenAttribute]:
        """The attributes that are there, each with a score of 1."""
        places = np.flatnonzero(np.asarray(target) == YES).tolist()
        return [SeenAttribute(self.names[k], int(self.outputs_of[k]), 1.0, HALF) for k in places]

    def confusions(self, threshold: float) -> list[Confused]:
        """Of each attribute: how often it is missed, and how often seen where it is not."""
        limits = np.full(len(self.classes), threshold) if threshold > 0 else self.thresholds
        groups = [] if threshold > 0 else self.groups
        seen = marks_of(self.scores.astype(np.float64), limits, groups)
        found = []
        for k, name in enumerate(self.names):
            for there, mark in ((name, YES), (f"not {name}", NO)):
                of = self.marks[:, k] == mark
                wrong = int((of & (seen[:, k] != (mark == YES))).sum())
                if wrong:
                    other = f"not {name}" if mark == YES else name
                    found.append(Confused(there, other, wrong, wrong / int(of.sum())))
        return sorted(found, key=lambda one: -one.times)

    def figure(self) -> Figure:
        """Average precision of each attribute beside its share."""
        from mobilenets.tasks.attributes.measure.figure import precision_figure

        return precision_figure(self.by_class(), len(self.marks))
