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
from mobilenets.tasks.segment.data import MaskDataset
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.measure.metrics import SegmentationMetrics
from mobilenets.tasks.segment.read import full_size
from mobilenets.tasks.segment.recipes.settings import SegmentationObjective
from mobilenets.tasks.values import Arrays, Metric, Size, first_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure

METRIC = Metric("miou")
PICTURE = "overlap"


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
        self.loss += float(losses.sum(dtype=np.float64))
        self.pixels += len(wanted)

    def merge(self, other: Overlap) -> None:
        """Add what another process has counted."""
        self.metrics.merge(other.metrics)
        self.loss += other.loss
        self.pixels += other.pixels

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

    def figure(self) -> Figure:
        """Each class's overlap, and what is taken for what."""
        return self.metrics.figure()
