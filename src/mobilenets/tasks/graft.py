"""A network of one task on the backbone of another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobilenets.card import card_of, set_card
from mobilenets.errors import WeightsError
from mobilenets.models.zoo import arguments_of, backbone_arguments
from mobilenets.tasks.base import Task

if TYPE_CHECKING:
    from torch import nn

LAST = "backbone.last."


def on_backbone(
    task: Task, name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> nn.Module:
    """The network called `name`, all new but its backbone, which has the weights of `loaded`.

    What both constructors know (width, padding, norms) is as in `loaded`, and so is how an image
    is prepared, but for its size and shape. WeightsError where the backbone does not fit.
    """
    theirs = card_of(loaded)
    allowed = arguments_of(name)
    for key, default in backbone_arguments(theirs.architecture).items():
        value = theirs.arguments.get(key, default)
        if key not in allowed and _plain(value) != _plain(default):
            raise WeightsError(f"{name} has no backbone with {key}={value!r}, as the weights have")
    shared = {k: v for k, v in theirs.arguments.items() if k in allowed and k != "classes"}
    model = task.build(name, labels, {**shared, **arguments})
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


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
