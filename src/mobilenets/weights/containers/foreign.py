"""What every reader of other people's weights returns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, Preprocessing

Infer = Callable[[Mapping[str, NDArray[np.float32]]], tuple[str, dict[str, Any]]]
"""`weights.infer.infer`, handed to readers that lie in the rooms of uses."""

SOME = 4
"""Names that a message has of things of which there may be hundreds."""


@dataclass(frozen=True)
class Foreign:
    """Weights in our names and torch's layouts, and the card that was read off them.

    `tensors` maps the state-dict names of `mobilenets.models` to float32 arrays: convolutions as
    (out, in / groups, kernel, kernel), the classifier as (classes, channels).
    """

    card: ModelCard
    tensors: dict[str, NDArray[np.float32]]
    unread: str = ""
    """Why the backbone alone could be read, in words: what stands on it, or what is not there.
    Empty where the network is whole. If not, `tensors` are those of the backbone, and the card
    has the body's name and arguments, and how images are prepared."""
    left_out: tuple[str, ...] = ()
    """The file's own names of weights that are in it, but not in `tensors`."""
    remarks: tuple[str, ...] = ()
    """What else a person should know: which of two readings was taken, and the like."""
    scores: str = ""
    """What the file says is done with its outputs: `sigmoid`, `softmax`; empty where it does not.
    The use of the network makes of it what the card says of the outputs."""

    @property
    def notes(self) -> list[str]:
        """What a person should know of what was not read; for `unread` where it is asked for."""
        if not self.left_out:
            return [*self.remarks]
        one = len(self.left_out) == 1
        left_out = f"left out of the file {'is' if one else 'are'} {some(self.left_out)}"
        return [*self.remarks, left_out]


def backbone_alone(
    tensors: Mapping[str, NDArray[np.float32]],
    infer: Infer,
    unread: str,
    *,
    arguments: Mapping[str, Any],
    preprocessing: Preprocessing,
    source: str,
    left_out: Iterable[str] = (),
) -> Foreign:
    """A file of which the backbone is understood and what stands on it is not.

    Of `tensors`, in our names, those of the backbone are taken. `unread` says in words what the
    head is, such as `its head has 2 dense layers`, or why there is none. `arguments` are those
    of the body that no shape tells. WeightsError where it is no body of ours.
    """
    found = {name: value for name, value in tensors.items() if name.startswith("backbone.")}
    body, inferred = infer(found)
    card = ModelCard(body, {**inferred, **arguments}, preprocessing=preprocessing, source=source)
    return Foreign(card, found, unread, tuple(left_out))


def some(names: Iterable[str]) -> str:
    """The first of many names, and how many there are more."""
    names = list(names)
    shown = ", ".join(names[:SOME])
    return f"{shown} and {len(names) - SOME} more" if len(names) > SOME else shown
