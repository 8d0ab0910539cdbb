"""A new projection: the main directions of the features, whitened by what differs within classes.

Directions in which images of one class differ count less (within-class covariance normalisation,
Hatch et al. 2006). The covariance is known of few images: half of it is replaced by that of equal
directions (shrinkage). Where no class has two images every direction is whitened by half, all
images together (Jegou and Chum 2012). It is folded into the projection and its norm. The
classifier starts from the classes' means.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.tasks.embed.architecture.embedding import EmbeddingNet
from mobilenets.tasks.embed.formats.targets import label_of
from mobilenets.tasks.values import Size

TINY = 1e-12
IMAGES, PER_CLASS = 2048, 4
"""Images that are looked at, at most: the larger of the two, the second for each class."""
SHRINKAGE = 0.5
"""How much of the covariance within classes is that of equal directions, 0 to 1."""
STRENGTH = 0.5
"""Of the whitening without classes: 1 gives directions the same deviation, 0 leaves them."""


def most(classes: int) -> int:
    """As many as are enough for the main directions and for each class's mean."""
    return max(IMAGES, PER_CLASS * classes)


def rows(
    model: nn.Module, images: Tensor, targets: Sequence[Any], sizes: Sequence[Size]
) -> tuple[Tensor, ...]:
    """(2 N, channels) inputs of the projection, (2 N,) classes: the images and their mirror images.

    And (2 N,) whether a row is a mirror image's: of the image itself it says nothing new.
    """
    assert isinstance(model, EmbeddingNet)
    labels = torch.tensor([label_of(target) for target in targets])
    found = [model.pooled(seen).flatten(1) for seen in (images, images.flip(3))]
    mirrored = torch.arange(2).repeat_interleave(len(labels)) > 0
    return torch.cat(found), labels.repeat(2), mirrored


@torch.no_grad()
def fit(model: nn.Module, rows: tuple[Tensor, ...]) -> str:
    """Fit the projection, unless it has learned, and the classifier."""
    assert isinstance(model, EmbeddingNet)
    features, labels, mirrored = rows
    if not bool(torch.isfinite(features).all()):
        raise ValueError("features must be finite numbers")
    told = [] if model.projected else [fit_projection(model, features, labels, mirrored)]
    model.eval()
    vectors = F.normalize(model.projection(features[:, :, None, None]).flatten(1), dim=1)
    if model.classifier is not None:
        classes = model.classifier.out_features
        sums = torch.zeros(classes, vectors.shape[1]).index_add_(0, labels, vectors)
        seen = sums.norm(dim=1) > 0
        model.classifier.weight[seen] = F.normalize(sums, dim=1)[seen]
        told.append("classes start from their means")
    return ", ".join(told)


def fit_projection(model: EmbeddingNet, features: Tensor, labels: Tensor, mirrored: Tensor) -> str:
    """Give the projection the main directions of (N, channels) features, whitened, and say how."""
    norm, conv = model.projection.norm, model.projection.conv
    assert norm.running_mean is not None
    assert norm.running_var is not None
    x = features.double()
    middle = x.mean(0)
    values, directions = main_directions(x - middle)
    dimensions = conv.out_channels
    found = min(dimensions, int((values > values[0] * 1e-6).sum()))
    main = directions[:found]
    several = int((torch.bincount(labels[~mirrored]) > 1).sum())
    if several:
        whitened = within(main @ (x - middle).T, labels) @ main
        how = f"whitened by what differs within {several} classes"
    else:
        deviation = values[:found] / max(len(x), 1) ** 0.5
        whitened = main / deviation[:, None] ** STRENGTH
        how = "half whitened"
    # Equal to 1 on average, so that rates fit.
    whitened = whitened / (whitened @ (x - middle).T).square().mean().sqrt()
    weight = torch.zeros(dimensions, x.shape[1], dtype=torch.float64)
    weight[:found] = whitened
    deviation = (weight @ (x - middle).T).square().mean(1).sqrt()
    conv.weight.copy_(weight[:, :, None, None])
    norm.running_mean.copy_(weight @ middle)
    norm.running_var.fill_(1.0)
    norm.running_var[:found] = deviation[:found].square().float()
    norm.weight.copy_(deviation)  # against the norm, which divides by it
    norm.bias.zero_()
    share = float(values[:found].square().sum() / values.square().sum())
    return (
        f"the {found} main directions of {int((~mirrored).sum())} images' features "
        f"({share:.2f} of the variance), {how}"
    )


def main_directions(x: Tensor) -> tuple[Tensor, Tensor]:
    """The falling singular values of (N, channels) float64, and as rows the directions of each."""
    if len(x) <= x.shape[1]:
        _, values, found = torch.linalg.svd(x, full_matrices=False)
        return values, found
    squares, axes = torch.linalg.eigh(x.T @ x)  # of many rows, faster
    return squares.flip(0).clamp_min(0).sqrt(), axes.flip(1).T


def within(x: Tensor, labels: Tensor) -> Tensor:
    """(d, d): what makes the covariance within classes of (d, N) values the same in all directions.

    The root of its inverse, half of it shrunk to equal directions.
    """
    classes = int(labels.max()) + 1
    sums = x.new_zeros(len(x), classes).index_add_(1, labels, x)
    means = sums / torch.bincount(labels, minlength=classes).clamp_min(1)
    rest = x - means[:, labels]
    covariance = rest @ rest.T / x.shape[1]
    equal = covariance.trace() / len(x) * torch.eye(len(x), dtype=x.dtype)
    values, axes = torch.linalg.eigh(torch.lerp(covariance, equal, SHRINKAGE))
    root: Tensor = axes @ (axes / values.clamp_min(TINY).sqrt()).T
    return root
