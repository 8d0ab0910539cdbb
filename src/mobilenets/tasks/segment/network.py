"""Segmentation networks as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mobilenets.card import card_of, set_card
from mobilenets.data.listing import count
from mobilenets.models.geometry import OutputStride
from mobilenets.models.modules.layers import fold_norms
from mobilenets.tasks.graft import for_labels, random_network
from mobilenets.tasks.segment.architecture import NETWORKS
from mobilenets.tasks.segment.architecture.deeplab import MultiScale
from mobilenets.tasks.segment.read import PROBABILITIES


def build(name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
    """A network of random weights for `labels`."""
    return random_network(NETWORKS[name], "segment", labels, arguments, "pad")


def adapt(
    name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> tuple[nn.Module, str]:
    """Of the same network all but the classifier of other labels; else the backbone alone."""
    model, same, fits = for_labels(
        NETWORKS[name], build, loaded, labels, arguments, lambda key: key.startswith("classifier.")
    )
    part = "classifier" if same else "head"
    return model, "" if fits else f"a new {part} for {count(len(labels), 'class', 'classes')}"


def deploy(model: nn.Module) -> nn.Module:
    """The network with its norms folded."""
    return fold_norms(model)


def vary(
    model: nn.Module, *, output_stride: OutputStride | None = None, multi_scale: bool = False
) -> nn.Module:
    """The same weights at another output stride, or as a mean over sizes and flips (MF).

    ValueError for a stride that there is not.
    """
    card, network = card_of(model), model
    if output_stride is not None:
        arguments = {**card.arguments, "output_stride": output_stride}
        network = NETWORKS[card.architecture].build(**arguments)
        network.load_state_dict(model.state_dict())
        card = card.replace(arguments=arguments)
    if multi_scale:
        network, card = MultiScale(network), card.replace(outputs=PROBABILITIES)
    set_card(network, card)
    return network
