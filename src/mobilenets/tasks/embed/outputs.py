"""The form of an embedding network's file: vectors of unit length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobilenets.card import ModelCard

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks.forms import Form

OPTIONS: Mapping[str, str] = {}


def form(model: nn.Module, card: ModelCard) -> Form:
    """Vectors; what is for training alone stays behind."""
    from mobilenets.card import card_of
    from mobilenets.tasks.embed.network import deploy
    from mobilenets.tasks.forms import Form, relative_difference

    network = deploy(model)
    return Form(network, model, card_of(network), relative_difference)


def guess(shapes: Sequence[tuple[int | None, ...]], last: str) -> ModelCard | None:
    """None: a row of numbers could be scores as well."""
    return None
