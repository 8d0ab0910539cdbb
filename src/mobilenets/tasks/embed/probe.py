"""A new projection: the main directions of the features, weakly whitened.

Whitening makes every direction count the same (Jegou and Chum 2012); of few images its last ones
are noise, so half of it is done: a direction is divided by the root of its deviation. It is folded
into the projection and its norm. The classifier starts from the classes' means.
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

IMAGES, PER_CLASS = 4096, 4
"""Images that are looked at, at most: the larger of the two, the second for each class."""
STRENGTH = 0.5
"""Of the whitening: 1 gives every direction the same deviation, 0 leaves them."""


def most(classes: int) -> int:
    """As many as are enough for the main directions and for each class's mean."""
    return max(IMAGES, PER_CLASS * classes)


def rows(
    model: nn.Module, images: Tensor, targets: Sequence[Any], sizes: Sequence[Size]
) -> tuple[Tensor, ...]:
    """(N, channels) inputs of the projection, and (N,) classes."""
    assert isinstance(model, EmbeddingNet)
    labels = torch.tensor([label_of(target) for target in targets])
    return model.pooled(images).flatten(1), labels


@torch.no_grad()
def fit(model: nn.Module, rows: tuple[Tensor, ...]) -> str:
    """Fit the projection, unless it has learned, and the classifier."""
    assert isinstance(model, EmbeddingNet)
    features, labels = rows
    if not bool(torch.isfinite(features).all()):
        raise ValueError("features must be finite numbers")
    told = [] if model.projected else [fit_projection(model, features)]
    model.eval()
    vectors = F.normalize(model.projection(features[:, :, None, None]).flatten(1), dim=1)
    if model.classifier is not None:
        classes = model.classifier.out_features
        sums = torch.zeros(classes, vectors.shape[1]).index_add_(0, labels, vectors)
        seen = sums.norm(dim=1) > 0
        model.classifier.weight[seen] = F.normalize(sums, dim=1)[seen]
        told.append("classes start from their means")
    return ", ".join(told)


def fit_projection(model: EmbeddingNet, features: Tensor) -> str:
    """Give the projection the main directions of (N, channels) features, and say how."""
    norm, conv = model.projection.norm, model.projection.conv
    assert norm.running_mean is not None
    assert norm.running_var is not None
    x = features.double()
    middle = x.mean(0)
    _, values, directions = torch.linalg.svd(x - middle, full_matrices=False)
    dimensions = conv.out_channels
    found = min(dimensions, int((values > values[0] * 1e-6).sum()))
    deviation = values[:found] / max(len(x), 1) ** 0.5
    weight = torch.zeros(dimensions, x.shape[1], dtype=torch.float64)
    weight[:found] = directions[:found]
    conv.weight.copy_(weight[:, :, None, None])
    norm.running_mean.copy_(weight @ middle)
    norm.running_var.fill_(1.0)
    norm.running_var[:found] = deviation.square().float()
    scale = torch.zeros(dimensions, dtype=torch.float64)
    # Against the norm, which divides by all of it. Equal to 1 on average, so that rates fit.
    scale[:found] = deviation ** (1 - STRENGTH)
    norm.weight.copy_(scale / scale[:found].square().mean().sqrt())
    norm.bias.zero_()
    share = float(values[:found].square().sum() / values.square().sum())
    return (
        f"the {found} main directions of {len(x)} images' features ({share:.2f} of the variance), "
        f"half whitened"
    )
