"""From a network's outputs to vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, Output
from mobilenets.errors import WeightsError
from mobilenets.tasks.values import Arrays, Size, first_output

VECTORS = (Output("embedding", "embedding", "(N, dimensions)"),)
"""One vector of unit length for an image: the cosine of two is their product."""


@dataclass(frozen=True)
class Embedded:
    """The vector of an image."""

    vector: NDArray[np.float32]
    """(dimensions,), of length 1."""
    shown: int
    """How many of its numbers a person is shown."""


def decode(
    outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
) -> list[Embedded]:
    """The vector of each image; `top` is how many of its numbers are shown."""
    return [Embedded(vector, top) for vector in vectors_of(outputs, card)]


def vectors_of(outputs: Arrays, card: ModelCard) -> NDArray[np.float32]:
    """(N, dimensions) of the first output. WeightsError for vectors that are not finite."""
    found = first_output(outputs, card)
    found = found.reshape(len(found), -1)
    bad = np.flatnonzero(~np.isfinite(found).all(axis=1))
    if len(bad):
        raise WeightsError(
            f"the vectors of {len(bad)} of {len(found)} images are not finite (the first is number "
            f"{bad[0]} of its batch): the weights are damaged or overflow"
        )
    return found
