"""A network of one task on the backbone of another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobilenets.card import card_of, set_card
from mobilenets.errors import WeightsError
from mobilenets.models.zoo import arguments_of
from mobilenets.tasks.base import Task

if TYPE_CHECKING:
    from torch import nn


def on_backbone(
    task: Task, name: str, loaded: nn.Module, labels: Sequence[str], arguments: dict[str, Any]
) -> nn.Module:
    """The network called `name`, all new but its backbone, which has the weights of `loaded`.

    What both constructors know (width, padding, norms) is as in `loaded`, and so is how an image
    is prepared, but for its size and shape. WeightsError where the backbone does not fit.
    """
    theirs = card_of(loaded)
    allowed = arguments_of(name)
    shared = {k: v for k, v in theirs.arguments.items() if k in allowed and k != "classes"}
    model = task.build(name, labels, {**shared, **arguments})
    own = card_of(model)
    state = {
        key: value for key, value in loaded.state_dict().items() if key.startswith("backbone.")
    }
    missing = model.load_state_dict(state, strict=False)
    lost = [key for key in missing.missing_keys if key.startswith("backbone.")]
    if missing.unexpected_keys or lost or not state:
        first = [*missing.unexpected_keys, *lost, "backbone"][0]
        raise WeightsError(f"the weights' backbone is not that of {name}: {first} does not fit")
    preprocessing = replace(
        theirs.preprocessing,
        size=own.preprocessing.size,
        resize=own.preprocessing.resize,
        crop_fraction=own.preprocessing.crop_fraction,
    )
    set_card(model, own.replace(preprocessing=preprocessing, source=theirs.source))
    return model
