"""Boxes around objects: SSD and SSDLite."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing, card_of, set_card
from mobilenets.data.dataset import Dataset
from mobilenets.data.detection import open_detection
from mobilenets.data.objects import Objects
from mobilenets.data.splits import Split
from mobilenets.errors import DataError
from mobilenets.models.ssd_geometry import MATCH_IOU, anchors_of
from mobilenets.runtime.classify import softmax
from mobilenets.runtime.detect import Detection, decode, decode_boxes, locate
from mobilenets.runtime.draw_boxes import draw_boxes
from mobilenets.runtime.labels import match_detection_classes
from mobilenets.tasks.base import PLAIN, Objective, Size
from mobilenets.tasks.detection_metrics import DetectionMetrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from mobilenets.data.augmentation import Augmentation

LEAST_SCORE = 0.01
"""Detections below it are not measured: too many, and they change no figure of use."""


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


def matched(targets: Tensor) -> Tensor:
    """The number of anchors with an object in targets (N, anchors, 5), 1 at least."""
    return (targets[..., 0] > 0).sum().clamp_min(1)


class Measure:
    """A detector's average precision over a data set; its loss too where outputs are raw.

    `anchors` (anchors, 4) and `criterion` are for raw outputs.
    """

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
        self.metrics = DetectionMetrics(classes, outputs_of)
        self.loss, self.weight = 0.0, 0

    def update(
        self, outputs: NDArray[np.float32], targets: Sequence[Objects], sizes: Sequence[Size]
    ) -> None:
        """Count a batch: raw, decoded or suppressed outputs, and what is in the images."""
        card = self.card
        if self.criterion is not None:
            self.add_loss(outputs, targets, sizes)
            outputs = as_boxes(outputs, self.anchors, card.arguments.get("scores", "sigmoid"))
            card = card.replace(outputs="boxes")
        self.metrics.add(locate(outputs, card, sizes, threshold=LEAST_SCORE), targets)

    def add_loss(
        self, outputs: NDArray[np.float32], targets: Sequence[Objects], sizes: Sequence[Size]
    ) -> None:
        """Count the training loss, without augmentation."""
        import torch

        from mobilenets.data.box_transforms import match

        assert self.criterion is not None
        anchors = torch.from_numpy(self.anchors)
        wanted = []
        for objects, (width, height) in zip(targets, sizes, strict=True):
            keep = ~objects.crowd
            shares = objects.boxes[keep] / np.array([width, height, width, height], np.float32)
            labels = torch.from_numpy(objects.labels[keep])
            wanted.append(match(torch.from_numpy(shares), labels, anchors, MATCH_IOU))
        stacked = torch.stack(wanted)
        weight = int(matched(stacked))
        self.loss += weight * float(self.criterion(torch.from_numpy(outputs), stacked))
        self.weight += weight

    def merge(self, other: Measure) -> None:
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

    def figure(self) -> Figure:
        """Average precision by class, and precision over recall."""
        return self.metrics.figure()


class Detect:
    """Object detection."""

    name = "detect"
    metric = "ap"
    picture = "precision"
    resolution = 320
    top = 100
    threshold = 0.4
    smallest_batch = 2  # the last map is one place: a norm needs two values
    batch = 32
    scratch = "modern_ssd"
    finetune = "finetune_ssd"

    def anchors(self, card: ModelCard) -> NDArray[np.float32]:
        """Those of the detector that a card describes; (anchors, 4): centre and sides.

        A detector with others is trained by a subclass that says which.
        """
        padding = card.arguments.get("padding", "same")
        return anchors_of(card.architecture, card.preprocessing.size, padding)

    def open_data(self, path: str | Path, split: str, *, seed: int = 0) -> Dataset:
        """COCO JSON, VOC XML, YOLO text, or `shapes`.

        DataError where nothing could be learned or measured: no object but crowds, and for
        measuring such as are marked difficult.
        """
        dataset = open_detection(path, cast(Split, split), seed=seed)
        targets = (dataset.target(i) for i in range(len(dataset)))
        measured = split != "train"
        if all((t.crowd | (t.difficult & measured)).all() for t in targets):
            raise DataError(f"{path}: none of {len(dataset)} images for {split} has an object")
        return dataset

    def build(self, name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
        """A detector of random weights for `labels`."""
        from mobilenets.models.zoo import build

        arguments = {**arguments, "classes": len(labels)}
        model = build(name, **arguments)
        preprocessing = Preprocessing((self.resolution, self.resolution), "squash")
        set_card(model, ModelCard(name, arguments, self.name, tuple(labels), preprocessing))
        return model

    def adapt(
        self, name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
    ) -> tuple[nn.Module, str]:
        """Of the same detector all but the scores of other labels; else the backbone alone."""
        from mobilenets.tasks.graft import on_backbone

        card = card_of(loaded)
        if card.architecture != name:
            model = on_backbone(self, name, loaded, labels, arguments)
            return model, f"new extras and heads for {len(labels)} classes"
        if card.labels == tuple(labels):
            return loaded, ""
        model = self.build(name, labels, {**card.arguments, **arguments})
        kept = {k: v for k, v in loaded.state_dict().items() if not _depends_on_classes(k)}
        model.load_state_dict(kept, strict=False)
        arguments = card_of(model).arguments
        set_card(model, card.replace(labels=tuple(labels), arguments=arguments, results={}))
        return model, f"new scores for {len(labels)} classes"

    def input_size(self, dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
        """The network's own."""
        return size

    def settle(self, objective: Objective, dataset: Dataset) -> Objective:
        """As the recipe has it."""
        return objective

    def deploy(self, model: nn.Module) -> nn.Module:
        """The network with its norms folded and its boxes decoded."""
        import torch

        from mobilenets.models.layers import fold_norms
        from mobilenets.models.ssd import SSD, Decoded

        card = card_of(model)
        network = fold_norms(model)
        assert isinstance(network, SSD)
        decoded = Decoded(network, torch.from_numpy(self.anchors(card))).eval()
        set_card(decoded, card.replace(outputs="boxes"))
        return decoded

    def transform(
        self, card: ModelCard, augmentation: Augmentation
    ) -> Callable[[Image.Image, Objects], tuple[Tensor, Tensor]]:
        """(image, objects) -> ((3, H, W) normalised, (anchors, 5) classes and boxes)."""
        from mobilenets.data.box_transforms import DetectionTransform

        return DetectionTransform(card.preprocessing, augmentation, self.anchors(card), MATCH_IOU)

    def mixer(self, augmentation: Augmentation, classes: int) -> None:
        """Images with boxes are not mixed."""

    def criterion(self, card: ModelCard, objective: Objective) -> Callable[..., Tensor]:
        """SSD's loss, or with the focal loss RetinaNet's."""
        import torch

        from mobilenets.tasks.detection_loss import DetectionLoss

        scores = card.arguments.get("scores", "sigmoid")
        return DetectionLoss(torch.from_numpy(self.anchors(card)), scores, objective)

    def weight(self, targets: Tensor) -> Tensor:
        """The number of anchors with an object."""
        return matched(targets)

    def evaluator(self, card: ModelCard, dataset: Dataset, objective: Objective = PLAIN) -> Measure:
        """Average precision over the data's classes."""
        raw = card.outputs == "logits"
        anchors = self.anchors(card) if raw else np.zeros((0, 4), np.float32)
        criterion = self.criterion(card, objective) if raw else None
        return Measure(card, dataset.classes, anchors, criterion)

    def decode(
        self,
        outputs: NDArray[np.float32],
        card: ModelCard,
        sizes: Sequence[Size],
        *,
        top: int,
        threshold: float,
    ) -> list[list[Detection]]:
        """The objects of each image, best first."""
        return decode(outputs, card, sizes, threshold=threshold, most=top)

    def describe(self, decoded: list[Detection]) -> list[tuple[str, float]]:
        """Rows (label and box in pixels, score)."""
        rows = []
        for one in decoded:
            left, top, right, bottom = (round(side) for side in one.box)
            rows.append((f"{one.label}  {left},{top} - {right},{bottom}", one.score))
        return rows

    def to_json(self, decoded: list[Detection]) -> list[dict[str, Any]]:
        """[{"label", "index", "score", "box": [left, top, right, bottom]}, ...] in pixels."""
        return [
            {"label": one.label, "index": one.index, "score": one.score, "box": list(one.box)}
            for one in decoded
        ]

    def draw(self, image: Image.Image, decoded: list[Detection]) -> Image.Image:
        """The image with its boxes."""
        boxes = np.array([one.box for one in decoded], np.float32).reshape(-1, 4)
        captions = [f"{one.label} {one.score:.0%}" for one in decoded]
        return draw_boxes(image, boxes, captions, [one.index for one in decoded])

    def mask(self, decoded: list[Detection]) -> None:
        """JSON has all."""


def _depends_on_classes(name: str) -> bool:
    return name.startswith("scores.") and ".predict." in name
