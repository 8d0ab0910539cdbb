"""The form that a deployed file has: logits of cells, which its card describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobilenets.card import ModelCard
from mobilenets.tasks.geolocate.cells import atlas_of
from mobilenets.tasks.geolocate.read import LOGITS

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks.forms import Form

OPTIONS: Mapping[str, str] = {}


def form(model: nn.Module, card: ModelCard) -> Form:
    """Logits; WeightsError for a network whose card has no map."""
    from mobilenets.tasks.forms import Form, relative_difference
    from mobilenets.tasks.geolocate.network import deploy

    atlas_of(card)
    return Form(deploy(model), model, card.replace(outputs=LOGITS), relative_difference)


def guess(shapes: Sequence[tuple[int | None, ...]], last: str) -> None:
    """None: without a card nobody knows where a file's cells are."""
