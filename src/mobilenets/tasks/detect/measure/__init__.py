"""How good a detector is: average precision, and its loss where it is in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.runtime.labels import both_names
from mobilenets.runtime.numbers import softmax
from mobilenets.tasks.detect.architecture.geometry import card_anchors
from mobilenets.tasks.detect.classes import match_detection_classes
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.measure.metrics import DetectionMetrics
from mobilenets.tasks.detect.read import BOXES, LEAST_SCORE, Detection, decode_boxes, locate
from mobilenets.tasks.intervals import Intervals
from mobilenets.tasks.values import Arrays, Confused, Metric, Size, Verdict, first_output

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor

METRIC = Metric("ap")
PICTURE = "precision"


def evaluator(
    card: ModelCard,
    dataset: Dataset,
    objective: Any = None,
    anchors: NDArray[np.float32] | None = None,
) -> AveragePrecision:
    """Average precision over the data's classes; `anchors` as `learn.transform` has them."""
    if card.output.meaning != "logits":
        return AveragePrecision(card, dataset.classes, np.zeros((0, 4), np.float32), None)
    from mobilenets.tasks.detect.learn import criterion
    from mobilenets.tasks.detect.recipes.settings import DetectionObjective

    anchors = card_anchors(card) if anchors is None else anchors
    loss = criterion(card, objective or DetectionObjective(), anchors)
    return AveragePrecision(card, dataset.classes, anchors, loss)


def as_boxes(
    outputs: NDArray[np.float32], anchors: NDArray[np.float32], scores: str
) -> NDArray[np.float32]:
    """(N, anchors, 4 + 1 + classes) codes and logits -> (N, anchors, 4 + classes), decoded."""
    logits = outputs[..., 4:].astype(np.float64)
    if scores == "softmax":
        values = softmax(logits)
    else:
        values = 1 / (1 + np.exp(-np.clip(logits, -500, 500)))
    # Of a network that diverges, sides beyond e^20 of an anchor's: its loss will tell.
    boxes = decode_boxes(np.clip(outputs[..., :4], -1e4, 100), anchors)
    return np.concatenate([boxes, values[..., 1:]], -1).astype(np.float32)


class AveragePrecision:
    """A detector's average precision over a data set; its loss too where outputs are raw.

    `anchors` (anchors, 4) and `criterion` are for raw outputs.
    """

    UNIT = "objects"

    def __init__(
        self,
        card: ModelCard,
        classes: Sequence[str],
        anchors: NDArray[np.float32],
        criterion: Callable[..., Tensor] | None,
    ) -> None:
        self.card, self.anchors, self.criterion = card, anchors, criterion
        outputs_of, note = match_detection_classes(classes, card.labels)
        self.notes = [note] if note else []
        self.outputs_of = outputs_of
        self.names = both_names(classes, outputs_of, card.labels)
        self.metrics = DetectionMetrics(classes, outputs_of)
        self.loss, self.weight = 0.0, 0

    def update(self, outputs: Arrays, targets: Sequence[Objects], sizes: Sequence[Size]) -> None:
        """Count a batch: raw, decoded or suppressed outputs, and what is in the images."""
        card = self.card
        values = first_output(outputs, card)
        if self.criterion is not None:
            self.add_loss(values, targets, sizes)
            values = as_boxes(values, self.anchors, card.arguments.get("scores", "sigmoid"))
            card = card.replace(outputs=BOXES)
        self.metrics.add(locate(values, card, sizes, threshold=LEAST_SCORE), targets)

    def add_loss(
        self, outputs: NDArray[np.float32], targets: Sequence[Objects], sizes: Sequence[Size]
    ) -> None:
        """Count the training loss, without augmentation."""
        import torch

        from mobilenets.tasks.detect.learn.loss import matched
        from mobilenets.tasks.detect.learn.transforms import targets_of

        assert self.criterion is not None
        anchors = torch.from_numpy(self.anchors)
        pairs = zip(targets, sizes, strict=True)
        stacked = torch.stack([targets_of(objects, size, anchors) for objects, size in pairs])
        weight = int(matched(stacked))
        self.loss += weight * float(self.criterion(torch.from_numpy(outputs), stacked))
        self.weight += weight

    def merge(self, other: AveragePrecision) -> None:
        """Add what another process has counted."""
        self.metrics.merge(other.metrics)
        self.loss += other.loss
        self.weight += other.weight

    def results(self) -> Iterator[tuple[str, float]]:
        """COCO's average precisions and VOC 2007's; of a network in training the mean loss."""
        yield from self.metrics.results()
        if self.criterion is not None:
            yield "loss", self.loss / max(self.weight, 1)

    def by_class(self) -> dict[str, dict[str, float]]:
        """COCO's AP and AP at half overlap of each class that has objects."""
        found = self.metrics.by_class()
        return {name: {"ap": ap, "ap50": ap50} for name, (ap, ap50) in found.items()}

    def intervals(self) -> Intervals:
        """From resamples, of each average precision; the loss has none."""
        return self.metrics.intervals()

    def judge(self, image: int, threshold: float) -> Verdict:
        """Right where each object is found once, with its class, and nothing else."""
        return self.metrics.judge(image, threshold, self.names)

    def truth(self, target: Objects) -> list[Detection]:
        """The objects, those that do not count marked as such."""
        labels = self.card.labels
        found = []
        for i, label in enumerate(target.labels.tolist()):
            mark = " (crowd)" if target.crowd[i] else " (difficult)" if target.difficult[i] else ""
            index = self.outputs_of[label]
            left, top, right, bottom = target.boxes[i].tolist()
            found.append(
                Detection(
                    f"{self.names[label]}{mark}",
                    index if index >= 0 else len(labels) + label,
                    1.0,
                    (left, top, right, bottom),
                )
            )
        return found

    def confusions(self, threshold: float) -> list[Confused]:
        """What is taken for what, missed or seen where nothing is."""
        return self.metrics.confusions(threshold, self.names)

    def figure(self) -> Figure:
        """Average precision by class, and precision over recall."""
        return self.metrics.figure()
