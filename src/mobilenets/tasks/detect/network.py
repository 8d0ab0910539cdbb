"""Detectors as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from mobilenets.card import card_of, set_card
from mobilenets.data.listing import count
from mobilenets.models.modules.layers import fold_norms
from mobilenets.tasks.detect.architecture import NETWORKS
from mobilenets.tasks.detect.architecture.geometry import card_anchors
from mobilenets.tasks.detect.architecture.ssd import SSD, Decoded
from mobilenets.tasks.detect.read import BOXES
from mobilenets.tasks.graft import for_labels, random_network


def build(name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
    """A detector of random weights for `labels`."""
    return random_network(NETWORKS[name], "detect", labels, arguments, "squash")


def adapt(
    name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> tuple[nn.Module, str]:
    """Of the same detector all but the scores of other labels; else the backbone alone."""
    card = card_of(loaded)
    if (card.architecture, card.labels) == (name, tuple(labels)):
        return loaded, ""
    model, same, _ = for_labels(
        NETWORKS[name], build, loaded, labels, arguments, _depends_on_classes
    )
    classes = count(len(labels), "class", "classes")
    return model, f"new {'scores' if same else 'extras and heads'} for {classes}"


def deploy(model: nn.Module) -> nn.Module:
    """The network with its norms folded and its boxes decoded."""
    card = card_of(model)
    network = fold_norms(model)
    assert isinstance(network, SSD)
    decoded = Decoded(network, torch.from_numpy(card_anchors(card))).eval()
    set_card(decoded, card.replace(outputs=BOXES))
    return decoded


def _depends_on_classes(name: str) -> bool:
    return name.startswith("scores.") and ".predict." in name
