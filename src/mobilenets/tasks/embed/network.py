"""Embedding networks as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mobilenets.card import ModelCard, Preprocessing, card_of, set_card
from mobilenets.data.listing import count
from mobilenets.models.modules.layers import fold_norms
from mobilenets.tasks.embed.architecture import NETWORKS
from mobilenets.tasks.embed.architecture.embedding import EmbeddingNet, finished
from mobilenets.tasks.embed.read import VECTORS
from mobilenets.tasks.graft import for_labels


def build(name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
    """A network of random weights, with a classifier for `labels` if there are any."""
    arguments = {**arguments, "classes": len(labels)} if labels else arguments
    network = NETWORKS[name]
    model = network.build(**arguments)
    preprocessing = Preprocessing((network.size, network.size))
    set_card(model, ModelCard(name, arguments, "embed", tuple(labels), preprocessing, VECTORS))
    return model


def adapt(
    name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> tuple[nn.Module, str]:
    """Keep all of an embedding network but its classifier; of another use, the backbone."""
    model, same, whole = for_labels(
        NETWORKS[name],
        build,
        loaded,
        labels,
        arguments,
        lambda tensor: tensor.startswith("classifier."),
    )
    if whole:
        return model, ""
    assert isinstance(model, EmbeddingNet)
    classes = f"a new classifier for {count(len(labels), 'class', 'classes')}"
    if same:
        model.keep_projection()
        return model, f"{classes} in training"
    dimensions = model.projection.conv.out_channels
    return model, f"a new projection to {dimensions} dimensions, {classes} in training"


def deploy(model: nn.Module) -> nn.Module:
    """The network without its classifier, its norms folded."""
    network = fold_norms(model)
    assert isinstance(network, EmbeddingNet)
    card = card_of(model)
    arguments = {name: value for name, value in card.arguments.items() if name != "classes"}
    finished(network)
    set_card(network, card.replace(arguments=arguments, labels=(), outputs=VECTORS))
    return network
