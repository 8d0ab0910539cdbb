"""Networks of any use: with random weights, or on the backbone of another's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobilenets.card import ModelCard, Preprocessing, ResizeRule, card_of, set_card
from mobilenets.errors import WeightsError
from mobilenets.models.bodies import knobs_of
from mobilenets.models.network import Network

if TYPE_CHECKING:
    from torch import nn

    Build = Callable[[str, Sequence[str], dict[str, Any]], nn.Module]
    """A use's `network.build`."""

LAST = "backbone.last."
Arguments = dict[str, Any]


def random_network(
    network: Network, task: str, labels: Sequence[str], arguments: dict[str, Any], rule: ResizeRule
) -> nn.Module:
    """`network` with random weights and a head for `labels`, its card set.

    Images are brought to its paper's size by `rule`.
    """
    arguments = {**arguments, "classes": len(labels)}
    model = network.build(**arguments)
    preprocessing = Preprocessing((network.size, network.size), rule)
    set_card(model, ModelCard(network.name, arguments, task, tuple(labels), preprocessing))
    return model


def on_backbone(
    network: Network, build: Build, loaded: nn.Module, labels: Sequence[str], arguments: Arguments
) -> nn.Module:
    """`network`, by its use's `build`: all new but its backbone, with the weights of `loaded`.

    What both constructors know (width, padding, norms) is as in `loaded`, and so is how an image
    is prepared, but for its size and shape. WeightsError where the backbone does not fit.
    """
    theirs, name, allowed = card_of(loaded), network.name, network.knobs
    body = getattr(getattr(loaded, "backbone", None), "name", "")
    for key, default in knobs_of(body).items():
        value = theirs.arguments.get(key, default)
        if key not in allowed and _plain(value) != _plain(default):
            raise WeightsError(f"{name} has no backbone with {key}={value!r}, as the weights have")
    shared = {k: v for k, v in theirs.arguments.items() if k in allowed and k != "classes"}
    model = build(name, labels, {**shared, **arguments})
    own = card_of(model)
    state = {k: v for k, v in loaded.state_dict().items() if k.startswith("backbone.")}
    wanted = {k: v for k, v in model.state_dict().items() if k.startswith("backbone.")}
    if not any(k.startswith(LAST) for k in wanted):  # as segmentation has it
        state = {k: v for k, v in state.items() if not k.startswith(LAST)}
    for key in state.keys() | wanted.keys():
        if key not in state or key not in wanted or state[key].shape != wanted[key].shape:
            raise WeightsError(f"the weights' backbone is not that of {name}: {key} does not fit")
    model.load_state_dict(state, strict=False)
    preprocessing = replace(
        theirs.preprocessing,
        size=own.preprocessing.size,
        resize=own.preprocessing.resize,
        crop_fraction=own.preprocessing.crop_fraction,
    )
    set_card(model, own.replace(preprocessing=preprocessing, source=theirs.source))
    return model


def for_labels(
    network: Network,
    build: Build,
    loaded: nn.Module,
    labels: Sequence[str],
    arguments: Arguments,
    of_classes: Callable[[str], bool],
) -> tuple[nn.Module, bool, bool]:
    """`network` for `labels`, with all weights of `loaded` that fit: (model, same network, labels).

    Of the same network all but the tensors that `of_classes` names, or all where the labels are
    the same too; of another, the backbone alone (`on_backbone`). The card tells of no results.
    """
    card = card_of(loaded)
    if card.architecture != network.name:
        return on_backbone(network, build, loaded, labels, arguments), False, False
    model = build(network.name, labels, {**card.arguments, **arguments})
    same = card.labels == tuple(labels)
    kept = {k: v for k, v in loaded.state_dict().items() if same or not of_classes(k)}
    model.load_state_dict(kept, strict=same)
    arguments = card_of(model).arguments
    set_card(model, card.replace(labels=tuple(labels), arguments=arguments, results={}, kept={}))
    return model, True, same


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
