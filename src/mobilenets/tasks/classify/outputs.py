"""The forms that a classifier's file can have: logits or probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobilenets.card import ModelCard
from mobilenets.runtime.foreign.endings import NO_SCORES
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.tasks.classify.read import (
    INDEPENDENT_LOGITS,
    INDEPENDENT_PROBABILITIES,
    LOGITS,
    PROBABILITIES,
    are_independent,
)

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks.forms import Form

OPTIONS: Mapping[str, str] = {"softmax": "for classifiers"}


def form(model: nn.Module, card: ModelCard, *, softmax: bool = False) -> Form:
    """Logits, or with `softmax` probabilities: by a sigmoid where the outputs are independent.

    Of a network that tells unknown images also its second output, the likeness to each class.
    """
    from mobilenets.tasks.classify.architecture.classifier import Probabilities
    from mobilenets.tasks.classify.network import deploy
    from mobilenets.tasks.forms import Form, relative_difference

    network, source = deploy(model), model
    alone = are_independent(card)
    others = card.outputs[1:]
    if not softmax:
        made = card.replace(outputs=(*(INDEPENDENT_LOGITS if alone else LOGITS), *others))
        return Form(network, source, made, relative_difference)
    scores = INDEPENDENT_PROBABILITIES if alone else PROBABILITIES
    made = card.replace(outputs=(*scores, *others))
    twins = Probabilities(network, independent=alone), Probabilities(source, independent=alone)
    return Form(*twins, made, relative_difference)


_OUTPUTS_OF = {"softmax": PROBABILITIES, "sigmoid": INDEPENDENT_PROBABILITIES}
"""What comes out of an operator; of others it is logits."""


def guess(shapes: Sequence[tuple[int | None, ...]], last: str) -> ModelCard | None:
    """A classifier, where there is one output with one row of numbers for an image.

    One number alone is a score of its own: a softmax over it would be 1 whatever is seen.
    """
    sizes = [size for size in shapes[0][1:] if size is not None and size > 1]
    if len(sizes) > 1 or last in NO_SCORES:
        return None
    count = sizes[0] if sizes else 1
    outputs = _OUTPUTS_OF.get(last, LOGITS)
    if count == 1 and outputs is LOGITS:
        outputs = INDEPENDENT_LOGITS
    return ModelCard("", {}, "classify", imagenet_labels(count), outputs=outputs)
