"""Which types a kernel of sums of products reads, adds up in, and writes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir.graph import Conv, Dense
from mobilenets.engine.ir.integers import Requantize
from mobilenets.engine.ir.types import FLOAT32, INT16, INT32, ElementType


@dataclass(frozen=True)
class Types:
    """Of the inputs, the weights, the sums (and the bias they begin with), and the outputs.

    `group`: how many neighbouring inputs one multiplication takes in, each with a weight of its
    own, and adds to the same sum.
    """

    source: ElementType
    weight: ElementType
    sums: ElementType
    target: ElementType
    group: int

    def whole(self, count: int) -> int:
        """The least number of inputs, not below `count`, that multiplications take in."""
        return -(-count // self.group) * self.group


FLOATS = Types(FLOAT32, FLOAT32, FLOAT32, FLOAT32, 1)
"""All of it in float32, one input at a time."""


@dataclass(frozen=True)
class Ending:
    """What becomes of sums of integers, each times a float32 of its channel.

    Rounded to the nearest (of two to the even one), held between `low` and `high`; `offset` is
    added.
    """

    low: int
    high: int
    offset: int


def types_of(layer: Conv | Dense, target: ElementType) -> Types:
    """What a layer computes with; its integers are made int16 before, less what stands for 0."""
    if layer.requantize is None:
        return FLOATS
    return Types(INT16, INT16, INT32, target, 2)


def ending_of(layer: Conv | Dense, target: ElementType) -> Ending | None:
    """How a layer's sums end; as int16, within a stage, 0 stands for itself. None for floats."""
    return None if layer.requantize is None else ending(layer.requantize, target)


def ending(how: Requantize, target: ElementType) -> Ending:
    """The same of any requantized sums."""
    zero = how.zero_point
    return Ending(how.low - zero, how.high - zero, 0 if target == INT16 else zero)


def weights_of(layer: Conv | Dense) -> NDArray[Any]:
    """A layer's weights as they are multiplied: int16 for integers, less their zero point."""
    if layer.requantize is None:
        return layer.weight
    return (layer.weight.astype(np.int16) - layer.weight_zero).astype(np.int16)


def scales_of(layer: Conv | Dense) -> NDArray[np.float32]:
    """What the sums of each channel are multiplied by, (O,); empty for floats."""
    if layer.requantize is None:
        return np.zeros(0, np.float32)
    return np.broadcast_to(layer.requantize.multiplier, layer.bias.shape)
