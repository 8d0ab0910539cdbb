"""The forms that a detector's file can have: decoded boxes, or what suppression leaves of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mobilenets.card import ModelCard
from mobilenets.tasks.detect.read import BOXES, DETECTIONS
from mobilenets.tasks.values import Arrays

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks.forms import Form

DEPLOYED = BOXES
"""What comes out of weights that are run, which their card does not say."""
OPTIONS: Mapping[str, str] = {"nms": "for detectors"}


def form(model: nn.Module, card: ModelCard, *, nms: bool = False) -> Form:
    """Decoded boxes, without the background where nobody needs it; with `nms` suppressed."""
    from mobilenets.tasks.detect.architecture.ssd import SSD, Decoded, without_background
    from mobilenets.tasks.detect.network import deploy
    from mobilenets.tasks.detect.suppression import add_suppression, suppressed
    from mobilenets.tasks.forms import Finish, Form, relative_difference

    assert isinstance(model, SSD)
    decoded = deploy(model)
    assert isinstance(decoded, Decoded)
    source = Decoded(model, decoded.anchors)

    def left(outputs: Arrays) -> Arrays:
        return {DETECTIONS[0].name: suppressed(outputs[BOXES[0].name])}

    finish = Finish(
        add_suppression,
        card.replace(outputs=DETECTIONS),
        left,
        partial(relative_difference, cuts=(4, 5)),
    )
    return Form(
        without_background(decoded),
        source,
        card.replace(outputs=BOXES),
        partial(relative_difference, cuts=(4,)),
        finish if nms else None,
    )


def guess(shapes: Sequence[tuple[int | None, ...]], last: str) -> ModelCard | None:
    """None: the same shapes are had by other things than detectors."""
    return None
