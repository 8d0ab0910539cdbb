"""How good a classifier is: accuracy, and what is taken for what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.runtime.labels import match_classes
from mobilenets.tasks.classify.confusion import Confusion
from mobilenets.tasks.classify.read import are_independent, check_meaning, labels_of, scores_of
from mobilenets.tasks.values import Arrays, Metric, Size

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


class Accuracy:
    """Top-1 and top-5 accuracy and the confusion matrix of a classifier.

    `outputs_of` maps the data's classes to the model's outputs: they differ where a folder holds
    some of ImageNet's classes only, or the model has a background class in front.
    """

    def __init__(
        self, classes: Sequence[str], outputs_of: Sequence[int], card: ModelCard = _PLAIN
    ) -> None:
        self.classes = tuple(classes)
        self.outputs_of = np.asarray(outputs_of, np.int64)
        self.card = card
        self._class_of = np.full(max(outputs_of, default=-1) + 2, len(classes))
        self._class_of[self.outputs_of] = np.arange(len(classes))  # the last: none of them
        self.counts = Confusion(len(classes))
        self.notes: list[str] = []
        self.top5 = 0
        self.loss = 0.0

    def update(self, outputs: Arrays, targets: Sequence[int], sizes: Sequence[Size] = ()) -> None:
        """Count a batch: (N, outputs) as the card says what they are, and N class indices."""
        values = next(iter(outputs.values()))
        self.count(values.reshape(len(values), -1), targets)

    def count(self, outputs: NDArray[np.float32], targets: Sequence[int]) -> None:
        """Count a batch of the one output that a classifier has."""
        if are_independent(self.card):
            outputs = scores_of(outputs, self.card).astype(np.float32)
        wanted = self.outputs_of[np.asarray(targets)]
        best = np.argsort(-outputs, axis=1, kind="stable")[:, :5]  # (N, 5)
        self.top5 += int((best == wanted[:, None]).any(1).sum())
        seen = self._class_of[np.minimum(best[:, 0], len(self._class_of) - 1)]
        self.counts.add(np.asarray(targets, np.int64), seen)
        rows = np.arange(len(wanted))
        if are_independent(self.card):
            right = 1 - outputs
            right[rows, wanted] = outputs[rows, wanted]
            self.loss -= float(np.log(np.maximum(right, 1e-12)).mean(1).sum())
        elif self.card.output.meaning == "probabilities":
            self.loss -= float(np.log(np.maximum(outputs[rows, wanted], 1e-12)).sum())
        else:
            top = outputs.max(1)
            total = np.log(np.exp(outputs - top[:, None]).sum(1)) + top
            self.loss += float((total - outputs[rows, wanted]).sum())

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes + 1) counts, the last column for none of them; for few classes."""
        return self.counts.table()

    def merge(self, other: Accuracy) -> None:
        """Add what another process has counted."""
        self.counts.merge(other.counts)
        self.top5 += other.top5
        self.loss += other.loss

    def results(self) -> Iterator[tuple[str, float]]:
        """`top1` and `top5` as shares, the mean cross entropy, and the number of images."""
        by_class, right = self.counts.by_class()
        images = int(by_class.sum())
        yield "top1", float(right.sum()) / max(images, 1)
        yield "top5", self.top5 / max(images, 1)
        yield "loss", self.loss / max(images, 1)
        yield "images", images

    def by_class(self) -> dict[str, dict[str, float]]:
        """`top1`, the share that was recognised, and `images`, of each class that has any."""
        images, right = (counts.tolist() for counts in self.counts.by_class())
        return {
            name: {"top1": right[k] / images[k], "images": images[k]}
            for k, name in enumerate(self.classes)
            if images[k]
        }

    def figure(self) -> Figure:
        """The confusion matrix, each row as shares of its true class."""
        from mobilenets.tasks.classify.figure import confusion_figure

        return confusion_figure(self.counts, self.classes)
