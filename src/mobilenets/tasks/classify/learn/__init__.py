"""How a classifier learns."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image
from torch import Tensor
from torch.nn import CrossEntropyLoss

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.tasks.classify.learn.transforms import ClassificationTransform
from mobilenets.tasks.classify.learn.transforms import mixer as mixer
from mobilenets.tasks.classify.recipes.settings import (
    ClassificationAugmentation,
    ClassificationObjective,
)

SMALLEST_BATCH = 1


def input_size(dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
    """The network's own: a crop may have any shape."""
    return size


def settle(objective: ClassificationObjective, dataset: Dataset) -> ClassificationObjective:
    """As the recipe has it."""
    return objective


def transform(
    card: ModelCard, augmentation: ClassificationAugmentation
) -> Callable[[Image.Image, int], tuple[Tensor, Tensor]]:
    """(image, class) -> ((3, H, W) normalised, class)."""
    return ClassificationTransform(card.preprocessing, augmentation)


def criterion(card: ModelCard, objective: ClassificationObjective) -> Callable[..., Tensor]:
    """Cross entropy of (N, classes) logits with classes (N,) or shares (N, classes)."""
    return CrossEntropyLoss(label_smoothing=objective.label_smoothing)


def weight(targets: Tensor) -> Tensor:
    """The number of images."""
    return targets.new_ones(len(targets)).sum()
