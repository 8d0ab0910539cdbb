"""How good a segmentation network is: intersection over union, and its loss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.errors import DataError
from mobilenets.runtime.labels import match_classes
from mobilenets.runtime.preprocess import nearest
from mobilenets.tasks.intervals import Intervals
from mobilenets.tasks.segment.data import MaskDataset
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.measure.metrics import SegmentationMetrics, overlap
from mobilenets.tasks.segment.read import Segmented, full_size
from mobilenets.tasks.segment.recipes.settings import SegmentationObjective
from mobilenets.tasks.values import Arrays, Confused, Metric, Size, Verdict, first_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC = Metric("miou")
PICTURE = "overlap"
FOUND = 0.5
"""Overlap (intersection over union) from which a class is found in an image."""
SPECK = 0.005
"""Share of an image: fewer pixels that are seen of a class that is not there are no mistake."""


def evaluator(card: ModelCard, dataset: Dataset, objective: Any = None) -> Overlap:
    """Mean intersection over union over the data's classes."""
    return Overlap(card, cast(MaskDataset, dataset), objective or SegmentationObjective())


def match_mask_classes(
    classes: Sequence[str], labels: Sequence[str], *, named: bool
) -> tuple[list[int], str]:
    """The model's output for each class of a data set, and a sentence on how if not by name.

    Where the data has only numbers for its classes, the outputs in their order; DataError where
    the model has fewer, or as `match_classes`.
    """
    if named:
        return match_classes(classes, labels), ""
    if len(classes) > len(labels):
        raise DataError(
            f"the data has ids up to {len(classes) - 1}, the model {len(labels)} classes; name "
            "the data's in classes.txt"
        )
    return list(range(len(classes))), "the data's ids are read as the model's outputs in order"


class Overlap:
    """The mean intersection over union over a data set, and the mean cross entropy."""

    UNIT = "pixels"

    def __init__(
        self, card: ModelCard, dataset: MaskDataset, objective: SegmentationObjective
    ) -> None:
        self.card = card
        outputs_of, note = match_mask_classes(dataset.classes, card.labels, named=dataset.named)
        self.notes = [note] if note else []
        self.metrics = SegmentationMetrics(dataset.classes, outputs_of)
        self.output_of = np.full(VOID + 1, VOID, np.int64)
        self.output_of[: len(outputs_of)] = outputs_of
        self.weights = np.ones(len(card.labels))
        if not isinstance(objective.class_weights, str):
            self.weights = np.asarray(objective.class_weights)
        self.loss, self.pixels = 0.0, 0
        self.losses: list[tuple[float, int]] = []
        """Of each image: the sum over its pixels, and how many there are."""

    def update(
        self,
        outputs: Arrays,
        targets: Sequence[NDArray[np.uint8]],
        sizes: Sequence[Size],
    ) -> None:
        """Count a batch: logits, probabilities or classes of the input's pixels, and masks."""
        values = first_output(outputs, self.card)
        for seen, truth in zip(full_size(values, self.card, sizes), targets, strict=True):
            self.metrics.add(seen, truth)
        if self.card.output.meaning == "logits":
            for logits, truth in zip(values, targets, strict=True):
                self.add_loss(logits, truth)

    def add_loss(self, logits: NDArray[np.float32], truth: NDArray[np.uint8]) -> None:
        """Count the training loss, in the input's pixels."""
        wanted = self.output_of[nearest(truth, self.card.preprocessing, VOID)]
        known = wanted != VOID
        values, wanted = logits[:, known], wanted[known]  # (classes, pixels)
        top = values.max(0, initial=-np.inf)
        total = np.log(np.exp(values - top).sum(0)) + top
        losses = (total - values[wanted, np.arange(len(wanted))]) * self.weights[wanted]
        self.losses.append((float(losses.sum(dtype=np.float64)), len(wanted)))
        self.loss += self.losses[-1][0]
        self.pixels += len(wanted)

    def merge(self, other: Overlap) -> None:
        """Add what another process has counted."""
        self.metrics.merge(other.metrics)
        self.loss += other.loss
        self.pixels += other.pixels
        self.losses += other.losses

    def results(self) -> Iterator[tuple[str, float]]:
        """`miou` over the classes that the data has, `pixel_accuracy`, `images`.

        And the mean cross entropy, where the outputs are logits.
        """
        yield from self.metrics.results()
        if self.card.output.meaning == "logits":
            yield "loss", self.loss / max(self.pixels, 1)

    def by_class(self) -> dict[str, dict[str, float]]:
        """`iou`, `accuracy` and the `share` of all pixels, of each class there."""
        return self.metrics.by_class()

    def intervals(self) -> Intervals:
        """From resamples, of every figure and of each class."""
        return self.metrics.intervals(np.array(self.losses).reshape(-1, 2))

    def judge(self, image: int, threshold: float) -> Verdict:
        """Right where each class that is there overlaps by half or more, and no other is seen.

        A speck of another class, less than a share of .005 of the image, is no mistake.
        """
        one = self.metrics.tallies[image]
        pixels = max(int(one.there.sum()), 1)
        iou = overlap(one.both, one.there, one.seen)
        mean = float(iou[one.there > 0].mean()) if (one.there > 0).any() else 0.0
        others = one.seen[one.there == 0]
        right = bool((iou[one.there > 0] >= FOUND).all() and (others < SPECK * pixels).all())
        figures = {"miou": mean, "pixel_accuracy": int(one.both.sum()) / pixels}
        if self.losses:
            loss, of = self.losses[image]
            figures["loss"] = loss / max(of, 1)
        truth, answer = (self._shares(one.classes, n / pixels) for n in (one.there, one.seen))
        return Verdict(truth, answer, right, None, mean if right else mean - 1, figures)

    def truth(self, target: NDArray[np.uint8]) -> Segmented:
        """The mask, in the model's classes and colours."""
        labels = self.card.labels
        mask = self.output_of[target].astype(np.uint8 if len(labels) <= VOID else np.uint16)
        if mask.dtype != np.uint8:
            labels = (*labels, "void")
            mask[target == VOID] = len(labels) - 1
        return Segmented(mask, [], labels)

    def confusions(self, threshold: float) -> list[Confused]:
        """What pixels are taken for, whatever the threshold."""
        return self.metrics.confusions()

    def _shares(self, classes: NDArray[np.int64], shares: NDArray[np.float64]) -> str:
        """`road 61.0 %, car 3.2 %`, the largest first."""
        order = np.argsort(-shares, kind="stable")
        names = self.metrics.classes
        rows = [f"{names[classes[k]]} {shares[k]:.1%}" for k in order if shares[k] > 0]
        return ", ".join(rows)

    def figure(self) -> Figure:
        """Each class's overlap, and what is taken for what."""
        return self.metrics.figure()
