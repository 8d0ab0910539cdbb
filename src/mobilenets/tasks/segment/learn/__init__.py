"""How a segmentation network learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.tasks.segment.data import MaskDataset
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.learn.loss import SegmentationLoss
from mobilenets.tasks.segment.learn.transforms import SegmentationTransform
from mobilenets.tasks.segment.recipes.settings import (
    SegmentationAugmentation,
    SegmentationObjective,
)

SMALLEST_BATCH = 2
"""The pooled branch is one place: a norm needs two values."""
STRIDE = 16
"""A side of a whole number of these and one pixel more has the map's corners on its own."""
MOST_WEIGHT = 100.0
"""Of a class in the loss, however few pixels it has."""
SAME = 0.02
"""Relative difference of two shapes that are taken for one."""


def input_size(dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
    """Of the images' shape, where all have one: half of a square would be padding.

    The longer side stays; the shorter is a whole number of 16 pixels and one more. Images without
    masks have the size that is given.
    """
    if not hasattr(dataset, "image_size"):
        return size
    masks = cast(MaskDataset, dataset)
    shapes = {masks.image_size(i) for i in range(len(masks))}
    ratios = [height / width for width, height in shapes]
    if max(ratios) > (1 + SAME) * min(ratios):
        return size
    longer, ratio = max(size), ratios[0]
    shorter = STRIDE * round((longer * min(ratio, 1 / ratio) - 1) / STRIDE) + 1
    shorter = min(max(shorter, STRIDE + 1), longer)
    return (shorter, longer) if ratio < 1 else (longer, shorter)


def settle(objective: SegmentationObjective, dataset: Dataset) -> SegmentationObjective:
    """With numbers for `balanced` and `root` class weights."""
    kind = objective.class_weights
    if kind not in ("balanced", "root"):
        return objective
    pixels = cast(MaskDataset, dataset).pixels()[: len(dataset.classes)]
    return replace(objective, class_weights=class_weights(pixels, root=kind == "root"))


def class_weights(pixels: NDArray[Any], *, root: bool) -> tuple[float, ...]:
    """Of each class's pixels in the loss, by how many it has: the median class's over its own.

    Or with `root` the square root of that. 1 for a class that has none.
    """
    middle = np.median(pixels[pixels > 0])
    weights = np.divide(middle, pixels, out=np.ones(len(pixels)), where=pixels > 0)
    weights = np.minimum(np.sqrt(weights) if root else weights, MOST_WEIGHT)
    return tuple(float(f"{w:.4g}") for w in weights)


def transform(
    card: ModelCard, augmentation: SegmentationAugmentation
) -> Callable[[Image.Image, NDArray[np.uint8]], tuple[Tensor, Tensor]]:
    """(image, mask) -> ((3, H, W) normalised, (H, W) classes)."""
    return SegmentationTransform(card.preprocessing, augmentation)


def mixer(augmentation: SegmentationAugmentation, classes: int) -> None:
    """Images with masks are not mixed."""


def criterion(card: ModelCard, objective: SegmentationObjective) -> SegmentationLoss:
    """Cross entropy of each pixel that is not void."""
    return SegmentationLoss(len(card.labels), objective)


def weight(targets: Tensor) -> Tensor:
    """The number of pixels that are not void, 1 at least."""
    return (targets != VOID).sum().clamp_min(1)
