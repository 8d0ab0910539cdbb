"""How good a classifier is: accuracy, and what is taken for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.runtime.labels import both_names, match_classes
from mobilenets.tasks.classify.measure.confusion import Confusion
from mobilenets.tasks.classify.measure.unknown import Unknown
from mobilenets.tasks.classify.read import (
    Prediction,
    are_independent,
    check_meaning,
    familiarity,
    floor_of,
    labels_of,
    says_unknown,
    scores_of,
)
from mobilenets.tasks.intervals import (
    MOST,
    NO_INTERVALS,
    RESAMPLED,
    Intervals,
    interval,
    resamples,
    wilson,
)
from mobilenets.tasks.values import Arrays, Confused, Metric, Size, Verdict

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC = Metric("top1")
PICTURE = "confusion"
_PLAIN = ModelCard("")


def evaluator(card: ModelCard, dataset: Dataset, objective: Any = None) -> Accuracy:
    """Accuracy over the data's classes; the loss is the plain cross entropy, whatever is set.

    Of independent outputs, the mean over them of each one's binary cross entropy.
    """
    check_meaning(card)
    labels = labels_of(card, 1) if len(card.labels) == 1 else card.labels
    return Accuracy(dataset.classes, match_classes(dataset.classes, labels), card)


class ImageRows:
    """What is known of each image: 21 bytes."""

    ROW: ClassVar = np.dtype(
        [("target", "i4"), ("seen", "i4"), ("score", "f4"), ("top5", "?"), ("loss", "f8")]
    )

    def __init__(self) -> None:
        self._parts = [np.zeros(0, self.ROW)]

    def add(self, *columns: Any) -> None:
        """Images: class, likeliest output, its score, whether the class is in the first 5, loss."""
        rows = np.zeros(len(columns[0]), self.ROW)
        for name, values in zip(self.ROW.names or (), columns, strict=True):
            rows[name] = values
        self._parts.append(rows)

    def merge(self, other: ImageRows) -> None:
        """Add the images of another process, behind."""
        self._parts.append(other.table())

    def table(self) -> NDArray[Any]:
        """All rows in their order."""
        self._parts = [np.concatenate(self._parts)] if len(self._parts) > 1 else self._parts
        return self._parts[0]


class Accuracy:
    """Top-1 and top-5 accuracy and the confusion matrix of a classifier.

    `outputs_of` maps the data's classes to the model's outputs: they differ where a folder holds
    some of ImageNet's classes only, or the model has a background class in front.
    """

    UNIT = "images"

    def __init__(
        self, classes: Sequence[str], outputs_of: Sequence[int], card: ModelCard = _PLAIN
    ) -> None:
        self.classes = tuple(classes)
        self.outputs_of = np.asarray(outputs_of, np.int64)
        self.card = card
        self._class_of = np.full(max(outputs_of, default=-1) + 2, len(classes))
        self._class_of[self.outputs_of] = np.arange(len(classes))  # the last: none of them
        self.names = both_names(classes, outputs_of, card.labels)
        self.counts = Confusion(len(classes))
        self.notes: list[str] = []
        self.top5 = 0
        self.loss = 0.0
        self.images = ImageRows()
        self.tells_unknown = says_unknown(card)
        self.unknown = Unknown()

    def update(self, outputs: Arrays, targets: Sequence[int], sizes: Sequence[Size] = ()) -> None:
        """Count a batch: (N, outputs) as the card says what they are, and N class indices."""
        values = next(iter(outputs.values()))
        self.count(values.reshape(len(values), -1), targets)
        if self.tells_unknown:
            self.unknown.add(familiarity(outputs), known=True)

    def strangers(self, outputs: Arrays) -> None:
        """Count a batch of images that are of none of the classes."""
        self.unknown.add(familiarity(outputs), known=False)

    def count(self, outputs: NDArray[np.float32], targets: Sequence[int]) -> None:
        """Count a batch of the one output that a classifier has."""
        if are_independent(self.card):
            outputs = scores_of(outputs, self.card).astype(np.float32)
        wanted = self.outputs_of[np.asarray(targets)]
        best = np.argsort(-outputs, axis=1, kind="stable")[:, :5]  # (N, 5)
        among = (best == wanted[:, None]).any(1)
        self.top5 += int(among.sum())
        seen = self._class_of[np.minimum(best[:, 0], len(self._class_of) - 1)]
        self.counts.add(np.asarray(targets, np.int64), seen)
        rows = np.arange(len(wanted))
        if are_independent(self.card):
            right = 1 - outputs
            right[rows, wanted] = outputs[rows, wanted]
            losses = -np.log(np.maximum(right, 1e-12)).mean(1)
            score = outputs[rows, best[:, 0]]
        elif self.card.output.meaning == "probabilities":
            losses = -np.log(np.maximum(outputs[rows, wanted], 1e-12))
            score = outputs[rows, best[:, 0]]
        else:
            top = outputs.max(1)
            total = np.log(np.exp(outputs - top[:, None]).sum(1)) + top
            losses = total - outputs[rows, wanted]
            score = np.exp(top - total)
        self.loss += float(losses.sum())
        self.images.add(targets, best[:, 0], score, among, losses)

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes + 1) counts, the last column for none of them; for few classes."""
        return self.counts.table()

    def merge(self, other: Accuracy) -> None:
        """Add what another process has counted."""
        self.counts.merge(other.counts)
        self.top5 += other.top5
        self.loss += other.loss
        self.images.merge(other.images)
        self.unknown.merge(other.unknown)

    def results(self) -> Iterator[tuple[str, float]]:
        """`top1` and `top5` as shares, the mean cross entropy, and the number of images.

        `mean_class` is the mean over the classes that have images of each one's `top1`: what is
        told of sets with many alike classes (Caltech-101, Aircraft, Flowers-102, Pets). All are of
        the likeliest class, also where an image is called unknown: `measure.unknown` has figures
        of that.
        """
        by_class, right = self.counts.by_class()
        images = int(by_class.sum())
        there = by_class > 0
        yield "top1", float(right.sum()) / max(images, 1)
        yield "top5", self.top5 / max(images, 1)
        yield "mean_class", float((right[there] / by_class[there]).mean()) if images else 0.0
        yield "loss", self.loss / max(images, 1)
        if self.tells_unknown:
            yield from self.unknown.results(floor_of(self.card)[0])
        yield "images", images

    def by_class(self) -> dict[str, dict[str, float]]:
        """`top1`, the share that was recognised, and `images`, of each class that has any."""
        images, right = (counts.tolist() for counts in self.counts.by_class())
        return {
            name: {"top1": right[k] / images[k], "images": images[k]}
            for k, name in enumerate(self.classes)
            if images[k]
        }

    def intervals(self) -> Intervals:
        """Wilson's for shares of images, of each class too; resamples for the other figures."""
        images, right = (counts.tolist() for counts in self.counts.by_class())
        total = sum(images)
        if not 0 < total < MOST:
            return NO_INTERVALS
        found = {"top1": wilson(sum(right), total), "top5": wilson(self.top5, total)}
        table, drawn = self.images.table(), resamples(total)
        losses = table["loss"]
        loss = interval(float(losses.mean()), drawn @ losses / total, total, share=False)
        means = self._mean_class(drawn)
        mean = interval(dict(self.results())["mean_class"], means, total)
        by_class = {
            name: {"top1": wilson(right[k], images[k])}
            for k, name in enumerate(self.classes)
            if images[k]
        }
        how = "Wilson's for top1 and top5"
        if loss is None or mean is None:
            return Intervals(found, by_class, how)
        found |= {"mean_class": mean, "loss": loss}
        return Intervals(found, by_class, f"{how}; else {RESAMPLED}")

    def _mean_class(self, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
        """(resamples,) means over classes, of images drawn as often as (resamples, images) says."""
        table, classes = self.images.table(), len(self.classes)
        right = self.outputs_of[table["target"]] == table["seen"]
        found = np.zeros(len(drawn))
        for i, often in enumerate(drawn):
            there = np.bincount(table["target"], often, classes)
            hits = np.bincount(table["target"], often * right, classes)
            found[i] = (hits[there > 0] / there[there > 0]).mean()
        return found

    def judge(self, image: int, threshold: float) -> Verdict:
        """Right where the likeliest class is the true one; the worst have the highest loss."""
        row = self.images.table()[image]
        truth, score = self.names[row["target"]], float(row["score"])
        right = bool(self.outputs_of[row["target"]] == row["seen"])
        answer = self._name(int(row["seen"])) if score >= threshold else ""
        loss = float(row["loss"])
        figures = {"loss": loss, "in_top5": int(row["top5"])}
        if self.tells_unknown:
            figures["likeness"] = self.unknown.of(image)
        return Verdict(truth, answer, right, score, score if right else -loss, figures)

    def truth(self, target: int) -> list[Prediction]:
        """The true class alone, with a score of 1."""
        return [Prediction(self.names[target], int(self.outputs_of[target]), 1.0)]

    def confusions(self, threshold: float) -> list[Confused]:
        """Every pair of a true class and another one that is likeliest instead."""
        images, _ = self.counts.by_class()
        names = (*self.names, "none of these")
        found = [
            Confused(names[true], names[seen], count, count / int(images[true]))
            for true, seen, count in zip(
                *(part.tolist() for part in self.counts.rows()), strict=True
            )
            if true != seen
        ]
        return sorted(found, key=lambda one: -one.times)

    def _name(self, output: int) -> str:
        """An output in the data's words, or in the model's where the data has no such class."""
        k = int(self._class_of[min(output, len(self._class_of) - 1)])
        if k < len(self.classes):
            return self.names[k]
        labels = self.card.labels
        return labels[output] if output < len(labels) else str(output)

    def figure(self) -> Figure:
        """The confusion matrix, each row as shares of its true class."""
        from mobilenets.tasks.classify.measure.figure import confusion_figure

        return confusion_figure(self.counts, self.classes)
