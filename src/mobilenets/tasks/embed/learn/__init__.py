"""How an embedding network learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image
from torch import Tensor

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.tasks.embed.formats.targets import label_of
from mobilenets.tasks.embed.learn.loss import loss_of, needs_pairs
from mobilenets.tasks.embed.learn.sampler import ClassesInTurn, Order
from mobilenets.tasks.embed.learn.transforms import EmbeddingTransform
from mobilenets.tasks.embed.recipes.settings import EmbeddingAugmentation, EmbeddingObjective

SMALLEST_BATCH = 1
PAIRED = 4
"""Images of a class in a batch for a loss of pairs, where nobody says otherwise."""


def input_size(dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
    """The network's own: a crop may have any shape."""
    return size


def settle(objective: EmbeddingObjective, dataset: Dataset) -> EmbeddingObjective:
    """With several images of a class in a batch, where the loss learns from pairs of them."""
    if needs_pairs(objective) and not objective.per_class:
        return replace(objective, per_class=PAIRED)
    return objective


def sampler(dataset: Dataset, batch: int, objective: EmbeddingObjective) -> Order | None:
    """So many images of each of some classes in a batch; None where all are shuffled.

    ValueError for a batch that has not room for two classes.
    """
    if not objective.per_class:
        return None
    labels = np.array([label_of(dataset.target(i)) for i in range(len(dataset))], np.int64)
    return ClassesInTurn(labels, batch, objective.per_class)


def transform(
    card: ModelCard, augmentation: EmbeddingAugmentation
) -> Callable[[Image.Image, object], tuple[Tensor, Tensor]]:
    """(image, target) -> ((3, H, W) normalised, class)."""
    return EmbeddingTransform(card.preprocessing, augmentation)


def mixer(augmentation: EmbeddingAugmentation, classes: int) -> None:
    """None: a mixed image has no place among the classes."""


def criterion(card: ModelCard, objective: EmbeddingObjective) -> Callable[..., Tensor]:
    """The loss of vectors and a classifier's weights; ValueError for one that there is not."""
    return loss_of(objective, card.arguments.get("classes"))


def picked(outputs: tuple[Tensor, Tensor], known: Tensor) -> tuple[Tensor, Tensor]:
    """The vectors of some images; the classes' weights are those of all."""
    return outputs[0][known], outputs[1]


def weight(targets: Tensor) -> Tensor:
    """The number of images."""
    return targets.new_ones(len(targets)).sum()
