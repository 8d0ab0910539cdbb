"""What can be exported: weights, or a network's name with random ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from mobilenets.card import card_of, set_card
from mobilenets.models.geometry import SMALLEST_SIDE
from mobilenets.tasks.registry import networks
from mobilenets.weights import load


def open_source(
    weights: str | Path, *, resolution: int | None = None, knobs: dict[str, Any] | None = None
) -> nn.Module:
    """The network to export, its card set; `resolution` in pixels replaces the card's size.

    Knobs are for a bare name; ValueError where they come with weights.
    """
    knobs = dict(knobs or {})
    if resolution is not None and resolution < 1:
        raise ValueError(f"resolution must be a positive integer, got {resolution}")
    if resolution is not None and resolution < SMALLEST_SIDE:
        raise ValueError(f"resolution must be {SMALLEST_SIDE} pixels at least, got {resolution}")
    if str(weights) in networks():
        name = str(weights)
        task, network = networks()[name]
        labels: tuple[str, ...] = ()
        if "classes" in network.knobs:
            labels = task.architecture.default_labels(knobs.pop("classes", None))
        model: nn.Module = task.network.build(name, labels, knobs)
        resolution = resolution or network.size
        settle(model, resolution)
    else:
        if knobs:
            raise ValueError(
                f"{next(iter(knobs))} is for a network's name, {weights} has weights of its own"
            )
        model = load(weights, say=lambda line: None)
    if resolution is not None:
        card = card_of(model)
        preprocessing = replace(card.preprocessing, size=(resolution, resolution))
        set_card(model, card.replace(preprocessing=preprocessing))
    return model


def settle(model: nn.Module, resolution: int) -> None:
    """Give random weights the norm statistics of a random batch.

    With those they start from, the signal shrinks from layer to layer until it is denormal: too
    slow to be measured, and too small for an export to be compared.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        model.train()(torch.randn(4, 3, resolution, resolution))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
