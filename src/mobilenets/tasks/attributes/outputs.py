"""The form of a deployed file: scores from 0 to 1, whatever the loss was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobilenets.card import ModelCard
from mobilenets.tasks.attributes.read import SCORES, groups_of

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks.forms import Form

OPTIONS: Mapping[str, str] = {}


def form(model: nn.Module, card: ModelCard) -> Form:
    """The network with a sigmoid behind it, of groups that exclude each other a softmax."""
    from mobilenets.tasks.attributes.architecture.several import Scored
    from mobilenets.tasks.attributes.network import deploy
    from mobilenets.tasks.forms import Form, relative_difference

    groups = groups_of(card, card.labels)
    network, source = Scored(deploy(model), groups), Scored(model, groups)
    return Form(network, source, card.replace(outputs=SCORES), relative_difference)


def guess(shapes: Sequence[tuple[int | None, ...]], last: str) -> None:
    """None: a file that says nothing of itself is taken for a classifier, its scores by sigmoid."""
