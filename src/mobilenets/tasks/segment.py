"""A class for every pixel: DeepLabv3."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing, card_of, set_card
from mobilenets.data.dataset import Dataset
from mobilenets.data.masks import VOID
from mobilenets.data.segmentation import MaskDataset, open_segmentation
from mobilenets.data.splits import Split
from mobilenets.errors import DataError
from mobilenets.runtime.draw_masks import draw_mask, mask_image
from mobilenets.runtime.labels import match_classes
from mobilenets.runtime.preprocess import nearest
from mobilenets.runtime.segment import Segmented, decode, full_size
from mobilenets.tasks.base import PLAIN, Objective, Size
from mobilenets.tasks.segmentation_metrics import SegmentationMetrics

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from mobilenets.data.augmentation import Augmentation

STRIDE = 16
"""A side of a whole number of these and one pixel more has the map's corners on its own."""
MOST_WEIGHT = 100.0
"""Of a class in the loss, however few pixels it has."""
SAME = 0.02
"""Relative difference of two shapes that are taken for one."""


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

    def __init__(self, card: ModelCard, dataset: MaskDataset, objective: Objective) -> None:
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
        outputs: NDArray[np.float32],
        targets: Sequence[NDArray[np.uint8]],
        sizes: Sequence[Size],
    ) -> None:
        """Count a batch: logits, probabilities or classes of the input's pixels, and masks."""
        for seen, truth in zip(full_size(outputs, self.card, sizes), targets, strict=True):
            self.metrics.add(seen, truth)
        if self.card.outputs == "logits":
            for logits, truth in zip(outputs, targets, strict=True):
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
        if self.card.outputs == "logits":
            yield "loss", self.loss / max(self.pixels, 1)

    def by_class(self) -> dict[str, dict[str, float]]:
        """`iou`, `accuracy` and the `share` of all pixels, of each class there."""
        return self.metrics.by_class()

    def figure(self) -> Figure:
        """Each class's overlap, and what is taken for what."""
        return self.metrics.figure()


class Segment:
    """Semantic segmentation."""

    name = "segment"
    metric = "miou"
    picture = "overlap"
    resolution = 513
    top = 100
    threshold = 0.001
    smallest_batch = 2  # the pooled branch is one place: a norm needs two values
    batch = 4  # 21 logits for each of 513 x 513 pixels take 22 MB
    scratch = "modern_deeplab"
    finetune = "finetune_deeplab"

    def open_data(self, path: str | Path, split: str, *, seed: int = 0) -> Dataset:
        """VOC's layout, folders of images and of masks, COCO's semantic PNG, or `shapes`."""
        return open_segmentation(path, cast(Split, split), seed=seed)

    def build(self, name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
        """A network of random weights for `labels`."""
        from mobilenets.models.zoo import build

        arguments = {**arguments, "classes": len(labels)}
        model = build(name, **arguments)
        preprocessing = Preprocessing((self.resolution, self.resolution), "pad")
        set_card(model, ModelCard(name, arguments, self.name, tuple(labels), preprocessing))
        return model

    def adapt(
        self, name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
    ) -> tuple[nn.Module, str]:
        """Of the same network all but the classifier of other labels; else the backbone alone."""
        from mobilenets.tasks.graft import on_backbone

        card = card_of(loaded)
        if card.architecture != name:
            model = on_backbone(self, name, loaded, labels, arguments)
            return model, f"a new head for {len(labels)} classes"
        model = self.build(name, labels, {**card.arguments, **arguments})
        same = card.labels == tuple(labels)
        state = loaded.state_dict()
        kept = {k: v for k, v in state.items() if same or not k.startswith("classifier.")}
        model.load_state_dict(kept, strict=same)
        arguments = card_of(model).arguments
        set_card(model, card.replace(labels=tuple(labels), arguments=arguments, results={}))
        return model, "" if same else f"a new classifier for {len(labels)} classes"

    def input_size(self, dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
        """Of the images' shape, where all have one: half of a square would be padding.

        The longer side stays; the shorter is a whole number of 16 pixels and one more.
        """
        masks = cast(MaskDataset, dataset)
        shapes = {masks.image_size(i) for i in range(len(masks))}
        ratios = [height / width for width, height in shapes]
        if max(ratios) > (1 + SAME) * min(ratios):
            return size
        longer, ratio = max(size), ratios[0]
        shorter = STRIDE * round((longer * min(ratio, 1 / ratio) - 1) / STRIDE) + 1
        shorter = min(max(shorter, STRIDE + 1), longer)
        return (shorter, longer) if ratio < 1 else (longer, shorter)

    def settle(self, objective: Objective, dataset: Dataset) -> Objective:
        """With numbers for `balanced` and `root` class weights."""
        kind = objective.class_weights
        if kind not in ("balanced", "root"):
            return objective
        pixels = cast(MaskDataset, dataset).pixels()[: len(dataset.classes)]
        middle = np.median(pixels[pixels > 0])
        weights = np.divide(middle, pixels, out=np.ones(len(pixels)), where=pixels > 0)
        weights = np.minimum(np.sqrt(weights) if kind == "root" else weights, MOST_WEIGHT)
        return replace(objective, class_weights=tuple(float(f"{w:.4g}") for w in weights))

    def deploy(self, model: nn.Module) -> nn.Module:
        """The network with its norms folded."""
        from mobilenets.models.layers import fold_norms

        return fold_norms(model)

    def transform(
        self, card: ModelCard, augmentation: Augmentation
    ) -> Callable[[Image.Image, NDArray[np.uint8]], tuple[Tensor, Tensor]]:
        """(image, mask) -> ((3, H, W) normalised, (H, W) classes)."""
        from mobilenets.data.mask_transforms import SegmentationTransform

        return SegmentationTransform(card.preprocessing, augmentation)

    def mixer(self, augmentation: Augmentation, classes: int) -> None:
        """Images with masks are not mixed."""

    def criterion(self, card: ModelCard, objective: Objective) -> Callable[..., Tensor]:
        """Cross entropy of each pixel that is not void."""
        from mobilenets.tasks.segmentation_loss import SegmentationLoss

        return SegmentationLoss(len(card.labels), objective)

    def weight(self, targets: Tensor) -> Tensor:
        """The number of pixels that are not void, 1 at least."""
        return (targets != VOID).sum().clamp_min(1)

    def evaluator(self, card: ModelCard, dataset: Dataset, objective: Objective = PLAIN) -> Overlap:
        """Mean intersection over union over the data's classes."""
        return Overlap(card, cast(MaskDataset, dataset), objective)

    def decode(
        self,
        outputs: NDArray[np.float32],
        card: ModelCard,
        sizes: Sequence[Size],
        *,
        top: int,
        threshold: float,
    ) -> list[Segmented]:
        """The class of each pixel of each image, and the classes by their share of it."""
        return decode(outputs, card, sizes, threshold=threshold, most=top)

    def describe(self, decoded: Segmented) -> list[tuple[str, float]]:
        """Rows (label, share of the image)."""
        return [(region.label, region.score) for region in decoded.regions]

    def to_json(self, decoded: Segmented) -> list[dict[str, Any]]:
        """[{"label", "index", "score"}, ...]; the score is the share of the image's pixels."""
        return [
            {"label": one.label, "index": one.index, "score": one.score} for one in decoded.regions
        ]

    def draw(self, image: Image.Image, decoded: Segmented) -> Image.Image:
        """The image under its classes' colours, with a legend."""
        return draw_mask(image, decoded.mask, decoded.labels)

    def mask(self, decoded: Segmented) -> Image.Image:
        """A palette image of the image's size whose pixels are places in the labels."""
        return mask_image(decoded.mask)
