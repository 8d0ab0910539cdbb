"""A new head's start: regression on features, with the shares of cells that the loss has.

The strength is chosen on whole places left out: photographs of one place look alike, and a head
that was chosen by them would know places, not what they have in common.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.card import card_of
from mobilenets.tasks.geolocate.cells import atlas_of, nearest_gap
from mobilenets.tasks.geolocate.learn import smoothed
from mobilenets.tasks.probe import (
    FOLDS,
    ROUGHLY,
    STRENGTHS,
    last_inputs,
    put,
    settled,
    softmax_regression,
)
from mobilenets.tasks.values import Size

IMAGES = 4096
"""Photographs that a head is fitted to at most."""
TRIED = STRENGTHS[:4]
"""The greatest strength would only be right where each place is seen in another picture too."""


def most(classes: int) -> int:
    """As many as are enough for a linear layer."""
    return IMAGES


def rows(
    model: nn.Module, images: Tensor, targets: Sequence[tuple[float, float]], sizes: Sequence[Size]
) -> tuple[Tensor, ...]:
    """(N, channels) features, and (N, 2) positions in degrees."""
    last = model.classifier
    assert isinstance(last, nn.Linear)
    return last_inputs(model, last, images), torch.tensor(targets, dtype=torch.float64)


def fit(model: nn.Module, rows: tuple[Tensor, ...]) -> str:
    """Fit the last layer; ValueError for features that are not finite numbers."""
    features, positions = rows
    last = model.classifier
    assert isinstance(last, nn.Linear)
    if last.out_features < 2:  # a single cell: there is nothing to tell apart
        return ""
    x, back = settled(features)
    means = torch.from_numpy(atlas_of(card_of(model)).means)
    shares = smoothed(positions, means, nearest_gap(means.numpy()))
    strength = _choose(x, shares, positions)
    put(back(softmax_regression(x, shares, last.out_features, strength)), last)
    return f"regression on {len(x)} photographs' features (C {strength:g})"


def _choose(x: Tensor, shares: Tensor, positions: Tensor) -> float:
    """The strength with the least cross entropy on places left out in turn."""
    place = torch.unique(positions, dim=0, return_inverse=True)[1]
    folds = min(FOLDS, int(place.max()) + 1)
    scores = torch.zeros(len(TRIED), dtype=torch.float64)
    for fold in range(folds if folds > 1 else 0):
        out, layer = place % folds == fold, None
        for index, strength in enumerate(TRIED):  # each from the one before: it is near
            layer = softmax_regression(
                x[~out], shares[~out], shares.shape[1], strength, start=layer, tolerance=ROUGHLY
            )
            outputs = F.linear(x[out], *layer)
            scores[index] += F.cross_entropy(outputs, shares[out], reduction="sum")
    return TRIED[int(scores.argmin())]
