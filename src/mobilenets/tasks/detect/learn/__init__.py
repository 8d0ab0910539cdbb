"""How a detector learns."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.tasks.detect.architecture.geometry import MATCH_IOU, card_anchors
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.learn.loss import DetectionLoss
from mobilenets.tasks.detect.learn.loss import matched as weight
from mobilenets.tasks.detect.learn.transforms import DetectionTransform
from mobilenets.tasks.detect.recipes.settings import DetectionAugmentation, DetectionObjective

SMALLEST_BATCH = 2
"""The last map is one place: a norm needs two values."""

__all__ = ["SMALLEST_BATCH", "criterion", "input_size", "mixer", "settle", "transform", "weight"]


def input_size(dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
    """The network's own: anchors are made for it."""
    return size


def settle(objective: DetectionObjective, dataset: Dataset) -> DetectionObjective:
    """As the recipe has it."""
    return objective


def transform(
    card: ModelCard,
    augmentation: DetectionAugmentation,
    anchors: NDArray[np.float32] | None = None,
) -> Callable[[Image.Image, Objects], tuple[Tensor, Tensor]]:
    """(image, objects) -> ((3, H, W) normalised, (anchors, 5) classes and boxes).

    `anchors` (anchors, 4), centre and sides, are for a network that is none of ours.
    """
    anchors = card_anchors(card) if anchors is None else anchors
    return DetectionTransform(card.preprocessing, augmentation, anchors, MATCH_IOU)


def mixer(augmentation: DetectionAugmentation, classes: int) -> None:
    """Images with boxes are not mixed."""


def criterion(
    card: ModelCard,
    objective: DetectionObjective,
    anchors: NDArray[np.float32] | None = None,
) -> DetectionLoss:
    """SSD's loss, or with the focal loss RetinaNet's; `anchors` as `transform` has them."""
    anchors = card_anchors(card) if anchors is None else anchors
    return DetectionLoss(
        torch.from_numpy(anchors), card.arguments.get("scores", "sigmoid"), objective
    )
