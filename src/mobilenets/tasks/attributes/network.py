"""Networks that name attributes, as torch modules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from mobilenets.card import card_of, set_card
from mobilenets.data.listing import count
from mobilenets.models.modules.layers import fold_norms, initialise
from mobilenets.tasks.attributes.architecture import NETWORKS
from mobilenets.tasks.attributes.architecture.several import Attributes
from mobilenets.tasks.attributes.read import LOGITS
from mobilenets.tasks.graft import for_labels, random_network


def build(name: str, labels: Sequence[str], arguments: dict[str, Any]) -> nn.Module:
    """A network of random weights for the attributes `labels`.

    Images are squashed, not cropped: an attribute may be at the edge, as a hat or shoes are.
    """
    model = random_network(NETWORKS[name], "attributes", labels, arguments, "squash")
    set_card(model, card_of(model).replace(outputs=LOGITS))
    return model


def adapt(
    name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> tuple[nn.Module, str]:
    """Keep the head where its attributes are the data's, else put a new one in its place.

    A network of another use gives its backbone, which gets a head of its own.
    """
    model, _, same = for_labels(NETWORKS[name], build, loaded, labels, arguments, _is_of_head)
    if same:
        set_card(model, card_of(model).replace(kept=card_of(loaded).kept))
        return model, ""
    assert isinstance(model, Attributes)
    initialise(model.classifier, sigma=0.01)  # small: the first steps leave the features be
    return model, f"a new head for {count(len(labels), 'attribute', 'attributes')}"


def deploy(model: nn.Module) -> nn.Module:
    """The network with its norms folded."""
    return fold_norms(model)


def _is_of_head(name: str) -> bool:
    return name.startswith("classifier.")
