"""How a network learns attributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.tasks.attributes.learn.loss import AttributesLoss
from mobilenets.tasks.attributes.learn.transforms import AttributesTransform
from mobilenets.tasks.attributes.marks import marks_of_all, shares_of
from mobilenets.tasks.attributes.read import places_of
from mobilenets.tasks.attributes.recipes.settings import (
    AttributesAugmentation,
    AttributesObjective,
)

SMALLEST_BATCH = 1


def input_size(dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
    """The network's own: images are squashed to any shape."""
    return size


def settle(objective: AttributesObjective, dataset: Dataset) -> AttributesObjective:
    """With the share of images that have each attribute, where the loss is balanced by it.

    ValueError for groups of attributes that the data has not.
    """
    places_of(objective.named_groups(), dataset.classes, ValueError, "groups")
    if objective.loss != "balanced":
        return objective
    found = shares_of(marks_of_all(dataset))
    return replace(
        objective, shares=tuple(round(float(v), 6) for v in np.nan_to_num(found, nan=0.5))
    )


def transform(
    card: ModelCard, augmentation: AttributesAugmentation
) -> Callable[[Image.Image, Any], tuple[Tensor, Tensor]]:
    """(image, marks) -> ((3, H, W) normalised, (attributes,) of 1, 0 and -1 for unknown)."""
    return AttributesTransform(card.preprocessing, augmentation)


def mixer(augmentation: AttributesAugmentation, classes: int) -> None:
    """None: an unknown mark cannot be mixed with a known one."""


def criterion(card: ModelCard, objective: AttributesObjective) -> Callable[..., Tensor]:
    """(N, attributes) logits, (N, attributes) marks -> the mean loss of all that are known."""
    groups = places_of(objective.named_groups(), card.labels, ValueError, "groups")
    return AttributesLoss(objective, groups)


def weight(targets: Tensor) -> Tensor:
    """The number of marks that are known; next to nothing where none is."""
    return (targets >= 0).sum().float().clamp_min(1e-6)
