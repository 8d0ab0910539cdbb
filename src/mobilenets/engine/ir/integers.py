"""How integers stand for real numbers, and how sums of them become stored integers again.

A node of integers carries one of these: with it, it says all that its arithmetic needs. The numbers
are worked out by the front end, in the order of operations of the runtime whose bits they give.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir.types import ElementType


@dataclass(frozen=True)
class Quantization:
    """real = scale (stored - zero_point), for every element of a value alike."""

    scale: float
    """A step between two stored numbers; exactly a float32."""
    zero_point: int
    """The stored number that stands for 0."""


@dataclass(frozen=True, eq=False)
class Requantize:
    """What a sum of products is stored as: clip(round(sum * multiplier) + zero_point, low, high).

    The sum is an int32; it is made a float32, and the product is one. The product is rounded to
    the nearest integer, of two to the even one.
    """

    multiplier: NDArray[np.float32]
    """(O,), one for each channel of the output, or () for all."""
    zero_point: int
    low: int
    high: int
    dtype: ElementType


@dataclass(frozen=True)
class WeightedSum:
    """A sum of values of different scales, by integers alone.

    clip(((a - zero_a) weight_a + (b - zero_b) weight_b + half >> shift) + zero_point, low, high),
    half being 2 ** (shift - 1): halves are rounded up.
    """

    zeros: tuple[int, int]
    weights: tuple[int, int]
    shift: int
    zero_point: int
    low: int
    high: int
    dtype: ElementType

    def swapped(self) -> "WeightedSum":
        """The same sum of b and a."""
        return replace(self, zeros=self.zeros[::-1], weights=self.weights[::-1])


@dataclass(frozen=True)
class FloatSum:
    """A sum of values of different scales, in float32.

    round(b ratio_b + (a ratio_a + offset)), both products fused with their sums, halves to even,
    between low and high. The zero points are in `offset`.
    """

    ratios: tuple[float, float]
    offset: float
    low: int
    high: int
    dtype: ElementType


@dataclass(frozen=True, eq=False)
class ScaledProduct:
    """A product of values: (a - zero_a) (b - zero_b), requantized."""

    zeros: tuple[int, int]
    requantize: Requantize

    def swapped(self) -> "ScaledProduct":
        """The same product of b and a."""
        return replace(self, zeros=self.zeros[::-1])


@dataclass(frozen=True, eq=False)
class TabledSoftmax:
    """A softmax by a table of powers, in float32.

    power(x) is powers[largest - x]; power(x) * (1 / (sum of powers * scale)) is rounded, halves
    away from 0, and zero_point added. The sum is taken in the elements' order.
    """

    powers: NDArray[np.float32]
    """(256,): of 0 to -255 steps of the input."""
    scale: float
    """The output's."""
    zero_point: int
    dtype: ElementType
