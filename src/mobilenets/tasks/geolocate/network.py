"""Networks that locate, as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mobilenets.card import card_of, set_card
from mobilenets.data.listing import count
from mobilenets.models.modules.backbone import Headless
from mobilenets.models.modules.layers import fold_norms, initialise
from mobilenets.tasks.geolocate.architecture import NETWORKS
from mobilenets.tasks.geolocate.architecture.planet import Planet
from mobilenets.tasks.geolocate.read import LOGITS
from mobilenets.tasks.graft import for_labels, random_network


def build(name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
    """A network of random weights for cells called `labels`."""
    model = random_network(NETWORKS[name], "geolocate", labels, arguments, "crop")
    set_card(model, card_of(model).replace(outputs=LOGITS))
    return model


def adapt(
    name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> tuple[nn.Module, str]:
    """Keep the head where its cells are the data's; else the body alone."""
    theirs = card_of(loaded)
    model, _, fits = for_labels(
        NETWORKS[name], build, loaded, labels, arguments, lambda key: key.startswith("classifier.")
    )
    if fits:
        return model, ""
    card = card_of(model)
    if isinstance(loaded, Headless):  # of a classifier as a rule: sizes are its own too
        card = card.replace(preprocessing=theirs.preprocessing)
    assert isinstance(model, Planet)
    initialise(model.classifier, sigma=0.01)  # small: the first steps leave the features be
    set_card(model, card.replace(outputs=LOGITS, results={}, kept={}))
    return model, f"a new head for {count(len(labels), 'cell', 'cells')} of the map"


def deploy(model: nn.Module) -> nn.Module:
    """The network with its norms folded."""
    return fold_norms(model)
