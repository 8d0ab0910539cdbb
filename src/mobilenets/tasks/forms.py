"""A form that a deployed file can have, and how the file is compared with its source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError
from mobilenets.tasks.values import Arrays

if TYPE_CHECKING:
    import onnx
    from torch import nn

TOLERANCE = 1e-4
"""Largest difference from the source that is accepted, relative to the largest output."""

Compare = Callable[[Sequence[Arrays], Sequence[Arrays]], float]
"""(found, expected), each batch by batch -> how far they are apart; WeightsError if too far."""


class Finish(NamedTuple):
    """What is done to a file when its network has been traced and compared."""

    change: Callable[[onnx.ModelProto], onnx.ModelProto]
    """Makes the changed file of the first one."""
    card: ModelCard
    """That of the changed file."""
    expected: Callable[[Arrays], Arrays]
    """What the changed file is to give where the first one gave these outputs."""
    compare: Compare
    """Says how far the changed file's outputs are from what is expected."""


@dataclass(frozen=True)
class Form:
    """What is written to a file, and what it must agree with."""

    network: nn.Module
    """As it is traced."""
    source: nn.Module
    """What its outputs are compared with: the model as it was loaded, read in the same way."""
    card: ModelCard
    """What is written into the file's metadata."""
    compare: Compare
    """Says how far the outputs of file and source are apart; WeightsError where too far."""
    finish: Finish | None = None
    """What is done to the file at the end; None for nothing."""


def relative_difference(
    found: Sequence[Arrays], expected: Sequence[Arrays], cuts: Sequence[int] = ()
) -> float:
    """The largest difference over the largest value; WeightsError where that is too far.

    `cuts` are places in the last axis that part numbers of different kinds: each part is compared
    by itself.
    """
    worst = 0.0
    for one, other in zip(found, expected, strict=True):
        for name, values in other.items():
            parts = [np.split(array, cuts, axis=-1) for array in (one[name], values)]
            for a, b in zip(*parts, strict=True):
                scale = max(float(np.abs(b).max(initial=0)), 1e-12)
                worst = max(worst, float(np.abs(a - b).max(initial=0)) / scale)
    if not worst <= TOLERANCE:
        raise WeightsError(
            f"the exported network differs from its source by {worst:.1e} of the largest output, "
            f"more than {TOLERANCE:.0e}; nothing was kept"
        )
    return worst
