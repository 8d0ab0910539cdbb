"""The forms that a classifier's file can have: logits or probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobilenets.card import ModelCard
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.tasks.classify.read import LOGITS, PROBABILITIES

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks.forms import Form

OPTIONS: Mapping[str, str] = {"softmax": "for classifiers"}


def form(model: nn.Module, card: ModelCard, *, softmax: bool = False) -> Form:
    """Logits, or with `softmax` probabilities."""
    from mobilenets.tasks.classify.architecture.classifier import Probabilities
    from mobilenets.tasks.classify.network import deploy
    from mobilenets.tasks.forms import Form, relative_difference

    network, source = deploy(model), model
    if not softmax:
        return Form(network, source, card.replace(outputs=LOGITS), relative_difference)
    made = card.replace(outputs=PROBABILITIES)
    return Form(Probabilities(network), Probabilities(source), made, relative_difference)


def guess(shapes: Sequence[tuple[int | None, ...]], softmax: bool) -> ModelCard | None:
    """A classifier, where there is one output with one row of numbers for an image."""
    sizes = [size for size in shapes[0][1:] if size is not None and size > 1]
    if len(sizes) > 1:
        return None
    labels = imagenet_labels(sizes[0] if sizes else 1)
    return ModelCard("", {}, "classify", labels, outputs=PROBABILITIES if softmax else LOGITS)
