"""Classifiers as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mobilenets.card import card_of, set_card
from mobilenets.data.listing import count
from mobilenets.models.modules.backbone import Headless
from mobilenets.models.modules.layers import fold_norms, initialise
from mobilenets.tasks.classify.architecture import NETWORKS
from mobilenets.tasks.classify.architecture.classifier import Classifier
from mobilenets.tasks.classify.read import LOGITS, are_independent
from mobilenets.tasks.graft import on_backbone, random_network


def build(name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
    """A classifier of random weights for `labels`."""
    if arguments.get("known"):
        raise ValueError("known is not for random weights: train --unknown makes it at the end")
    return random_network(NETWORKS[name], "classify", labels, arguments, "crop")


def adapt(
    name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> tuple[nn.Module, str]:
    """Keep the head where its labels are the data's, else put a new one in its place.

    A head whose outputs are independent is not trained here: it is replaced too. A network of
    another use gives its backbone, which gets a head of its own.
    """
    if isinstance(loaded, Classifier):
        loaded.forget()
    card = card_of(loaded)
    fits = card.labels == tuple(labels) and not are_independent(card)
    if isinstance(loaded, Classifier) and fits:
        return loaded, ""
    if isinstance(loaded, Classifier):
        model = loaded
        model.classifier = nn.Linear(model.classifier.in_features, len(labels))
    else:
        new = on_backbone(NETWORKS[name], build, loaded, labels, arguments)
        assert isinstance(new, Classifier)
        theirs = card.preprocessing
        model, card = new, card_of(new)
        if isinstance(loaded, Headless):  # of a classifier as a rule: sizes are its own too
            card = card.replace(preprocessing=theirs)
    initialise(model.classifier, sigma=0.01)  # small: the first steps leave the features be
    arguments = {**card.arguments, "classes": len(labels)}
    set_card(
        model,
        card.replace(
            labels=tuple(labels), arguments=arguments, outputs=LOGITS, results={}, kept={}
        ),
    )
    return model, f"a new head for {count(len(labels), 'class', 'classes')}"


def deploy(model: nn.Module) -> nn.Module:
    """The network with its norms folded."""
    return fold_norms(model)
