"""A new classifier's head: logistic regression on features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mobilenets.tasks.probe import fit_classes, in_words, last_inputs, put
from mobilenets.tasks.values import Size

IMAGES, PER_CLASS = 2048, 8
"""Images that a head is fitted to at most: the larger of the two, the second for each class."""


def most(classes: int) -> int:
    """As many as are enough for a linear layer."""
    return max(IMAGES, PER_CLASS * classes)


def rows(
    model: nn.Module, images: Tensor, targets: Sequence[int], sizes: Sequence[Size]
) -> tuple[Tensor, ...]:
    """(N, channels) inputs of the last layer, and (N,) classes."""
    features = last_inputs(model, last_layer(model), images)
    return features, torch.tensor(targets)


def fit(model: nn.Module, rows: tuple[Tensor, ...]) -> str:
    """Fit the last layer."""
    features, classes = rows
    last = last_layer(model)
    if last.out_features < 2:  # a single class: there is nothing to tell apart
        return ""
    fitted = fit_classes(features, classes, last.out_features)
    put(fitted.layer, last)
    return in_words(fitted, len(classes))


def last_layer(model: nn.Module) -> nn.Linear:
    """The one that gives a score for each class."""
    last = model.classifier
    assert isinstance(last, nn.Linear)
    return last
