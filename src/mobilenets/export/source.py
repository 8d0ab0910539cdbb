"""What can be exported: weights, or a network's name with random ones."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import nn

from mobilenets.card import card_of, set_card
from mobilenets.models.geometry import NAMES
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.tasks import TASKS
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
    if str(weights) in NAMES:
        classes = knobs.pop("classes", 1000)
        labels = imagenet_labels(classes) or tuple(f"class {i}" for i in range(classes))
        model: nn.Module = TASKS["classify"].build(str(weights), labels, knobs)
    else:
        if knobs:
            raise ValueError(
                f"{next(iter(knobs))} is for a network's name, {weights} has weights of its own"
            )
        model = load(weights)
    if resolution is not None:
        card = card_of(model)
        preprocessing = replace(card.preprocessing, size=(resolution, resolution))
        set_card(model, card.replace(preprocessing=preprocessing))
    return model
