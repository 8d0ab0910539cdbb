"""The forms that a segmentation network's file can have: logits, or the best class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError
from mobilenets.tasks.segment.read import CLASSES, LOGITS
from mobilenets.tasks.values import Arrays

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks.forms import Form

ALIKE = 1e-3
"""Share of pixels whose best two classes may be so near that rounding decides."""

OPTIONS: Mapping[str, str] = {"argmax": "to segment"}


def form(model: nn.Module, card: ModelCard, *, argmax: bool = False) -> Form:
    """Logits at the input's size, or with `argmax` the best class of each pixel."""
    from mobilenets.tasks.forms import Form, relative_difference
    from mobilenets.tasks.segment.architecture.deeplab import Labelled
    from mobilenets.tasks.segment.network import deploy

    network = deploy(model)
    if not argmax:
        return Form(network, model, card.replace(outputs=LOGITS), relative_difference)
    made = card.replace(outputs=CLASSES)
    return Form(Labelled(network), Labelled(model), made, differing_pixels)


def differing_pixels(found: Sequence[Arrays], expected: Sequence[Arrays]) -> float:
    """The share of pixels with another class; WeightsError where that is too large."""
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        for name, classes in other.items():
            worst = max(worst, float((one[name] != classes).mean()))
    if worst > ALIKE:
        raise WeightsError(
            f"the exported network gives {worst:.1%} of the pixels another class than its source, "
            f"more than {ALIKE:.1%}; nothing was kept"
        )
    return worst


def guess(shapes: Sequence[tuple[int | None, ...]], last: str) -> ModelCard | None:
    """None: the same shapes are had by other things than segmentation networks."""
    return None
