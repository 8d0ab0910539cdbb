"""A new head for attributes: logistic regression on features, one for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mobilenets.data.listing import count
from mobilenets.tasks.probe import fit_marks, last_inputs, put
from mobilenets.tasks.values import Size

IMAGES = 4096
"""Images that a head is fitted to at most."""


def most(classes: int) -> int:
    """As many as are enough for a linear layer."""
    return IMAGES


def rows(
    model: nn.Module, images: Tensor, targets: Sequence[Any], sizes: Sequence[Size]
) -> tuple[Tensor, ...]:
    """(N, channels) inputs of the last layer, and (N, attributes) marks."""
    features = last_inputs(model, last_layer(model), images)
    return features, torch.from_numpy(np.stack([np.asarray(one, np.int8) for one in targets]))


def fit(model: nn.Module, rows: tuple[Tensor, ...]) -> str:
    """Fit the last layer; unknown marks are left out."""
    features, marks = rows
    fitted = fit_marks(features, marks)
    put(fitted.layer, last_layer(model))
    what = count(len(marks), "image", "images")
    text = f"logistic regression on {what}' features" if len(marks) > 1 else "one image's mean"
    if fitted.right == fitted.right:  # not NaN
        text += f", right for {fitted.right:.3f} of the marks left out in turn"
    return text


def last_layer(model: nn.Module) -> nn.Linear:
    """The one that gives a number for each attribute."""
    last = model.classifier
    assert isinstance(last, nn.Linear)
    return last
