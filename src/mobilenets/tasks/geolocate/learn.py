"""How a network learns where photographs were taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from torchvision.transforms import InterpolationMode, v2

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.dataset import Dataset
from mobilenets.tasks.geolocate.cells import atlas_of, nearest_gap
from mobilenets.tasks.geolocate.recipes.settings import PlaceAugmentation, PlaceObjective
from mobilenets.tasks.geolocate.sphere import RADIUS

SMALLEST_BATCH = 1


def input_size(dataset: Dataset, size: tuple[int, int]) -> tuple[int, int]:
    """The network's own: a crop may have any shape."""
    return size


def settle(objective: PlaceObjective, dataset: Dataset) -> PlaceObjective:
    """With the kilometres over which targets are spread, by the cells of the data."""
    if objective.smoothing_km:
        return objective
    card = ModelCard("", labels=tuple(dataset.classes), kept=getattr(dataset, "kept", {}))
    return replace(objective, smoothing_km=nearest_gap(atlas_of(card).means))


class PlaceTransform:
    """(PIL RGB, (lat, lon)) -> ((3, H, W) float32 normalised as the card says, (2,) degrees).

    An object and not a closure: where processes are spawned, it is pickled for the readers.
    """

    def __init__(self, preprocessing: Preprocessing, augmentation: PlaceAugmentation) -> None:
        self.pipeline = v2.Compose(_steps(preprocessing, augmentation))

    def __call__(  # noqa: D102
        self, image: Image.Image, target: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        # Degrees in 64 bits: in 32 a campus would have steps of a metre.
        pixels = self.pipeline(image).as_subclass(Tensor)
        return pixels, torch.tensor(target, dtype=torch.float64)


def transform(
    card: ModelCard, augmentation: PlaceAugmentation
) -> Callable[[Image.Image, tuple[float, float]], tuple[Tensor, Tensor]]:
    """(image, position) -> ((3, H, W) normalised, (2,) latitude and longitude)."""
    return PlaceTransform(card.preprocessing, augmentation)


def _flip_order(x: Tensor) -> Tensor:
    return x.flip(0)


def _steps(preprocessing: Preprocessing, augmentation: PlaceAugmentation) -> list[Any]:
    interpolation = InterpolationMode(preprocessing.interpolation)
    steps: list[Any] = []
    if augmentation.policy == "none":
        steps.append(v2.Resize(preprocessing.size, interpolation))
    else:
        scale = (augmentation.crop_scale, 1.0)
        steps.append(v2.RandomResizedCrop(preprocessing.size, scale, interpolation=interpolation))
    if augmentation.policy == "colours":
        steps.append(v2.ColorJitter(brightness=0.3, contrast=0.3, saturation=0.3, hue=0.02))
    steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    if preprocessing.order == "BGR":
        steps.append(v2.Lambda(_flip_order))  # the mean and deviation are in the network's order
    return [*steps, v2.Normalize(list(preprocessing.mean), list(preprocessing.std))]


def mixer(augmentation: PlaceAugmentation, classes: int) -> None:
    """None: halfway between two positions is a third place."""


def criterion(card: ModelCard, objective: PlaceObjective) -> Callable[[Tensor, Tensor], Tensor]:
    """Cross entropy of (N, cells) logits with shares of cells around (N, 2) positions."""
    means = torch.from_numpy(atlas_of(card).means)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        shares = smoothed(targets, means.to(targets), objective.smoothing_km)
        return F.cross_entropy(outputs, shares.to(outputs))

    return loss


def smoothed(positions: Tensor, means: Tensor, kilometres: float) -> Tensor:
    """(N, cells) shares that sum to 1: exp(-(d - d0) / kilometres) of each cell's distance d.

    Along the great circle from (N, 2) positions in degrees to the (cells, 2) middles of cells; d0
    is the least of them. So a neighbour is less wrong than another continent (Haas et al. 2024,
    arXiv 2307.05845, section 3.3).
    """
    a, b = vectors(positions), vectors(means)
    square = sum((a[:, axis, None] - b[None, :, axis]).square() for axis in range(3))
    assert isinstance(square, Tensor)
    away = 2 * RADIUS * torch.asin((square.sqrt() / 2).clamp(max=1))
    return (-away / kilometres).softmax(1)


def vectors(positions: Tensor) -> Tensor:
    """(N, 2) latitudes and longitudes in degrees -> (N, 3) unit vectors."""
    lat, lon = torch.deg2rad(positions).unbind(1)
    return torch.stack([lat.cos() * lon.cos(), lat.cos() * lon.sin(), lat.sin()], 1)


def weight(targets: Tensor) -> Tensor:
    """The number of images."""
    return targets.new_ones(len(targets)).sum()
