"""The numbers by which integers are computed, worked out as the runtimes do it.

Products and quotients of scales are float32, in XNNPACK's order; another order gives other bits.
"""

import math

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir.exact import limits
from mobilenets.engine.ir.graph import Activation
from mobilenets.engine.ir.integers import (
    FloatSum,
    Quantization,
    Requantize,
    ScaledProduct,
    TabledSoftmax,
    WeightedSum,
)
from mobilenets.engine.ir.types import ElementType
from mobilenets.errors import WeightsError

ACTIVATIONS = {
    "NONE": Activation(),
    "RELU": Activation("clip", 0.0),
    "RELU6": Activation("clip", 0.0, 6.0),
    "RELU_N1_TO_1": Activation("clip", -1.0, 1.0),
}
"""What an operator can end in."""
_SUM_BITS = 20
_RATIOS = (2.0**-10, 2.0**8)
"""Of an input's scale to the output's, in a sum: what XNNPACK takes."""
_MULTIPLIERS = 256.0
"""XNNPACK multiplies sums by less."""


def clip_of(activation: str, to: Quantization, dtype: ElementType) -> tuple[int, int]:
    """The smallest and the largest stored integer that an activation lets through."""
    low, high = limits(dtype)
    clip = activation_of(activation)
    if clip.kind == "clip":
        ends = np.array([clip.low, clip.high], np.float32) / np.float32(to.scale)
        places = np.clip(np.rint(ends) + np.float32(to.zero_point), low, high)
        low, high = int(places[0]), int(places[1])
    return low, high


def activation_of(name: str) -> Activation:
    """The activation that an operator ends in, of floats."""
    if name not in ACTIVATIONS:
        names = ", ".join(ACTIVATIONS)
        raise WeightsError(f"an operator can end in {names}, got {name}")
    return ACTIVATIONS[name]


def of_sums(
    x: Quantization, weights: NDArray[np.float64], to: Quantization, activation: str,
    dtype: ElementType,
) -> Requantize:  # fmt: skip
    """For sums of products with weights of these scales, one of them or one per channel."""
    scale = np.float32(x.scale) * weights.astype(np.float32) / np.float32(to.scale)
    return _requantize(scale, to, activation, dtype)


def _requantize(
    multiplier: NDArray[np.float32], to: Quantization, activation: str, dtype: ElementType
) -> Requantize:
    if not (multiplier < _MULTIPLIERS).all():
        raise WeightsError("its scales do not fit together: sums are multiplied by less than 256")
    low, high = clip_of(activation, to, dtype)
    return Requantize(np.asarray(multiplier), to.zero_point, low, high, dtype)


def of_mean(x: Quantization, count: int, to: Quantization, dtype: ElementType) -> Requantize:
    """For the sum of `count` values, the mean of which is wanted."""
    scale = np.float32(x.scale) / np.float32(to.scale) / np.float32(count)
    return _requantize(scale, to, "NONE", dtype)


def of_sum(
    a: Quantization, b: Quantization, to: Quantization, activation: str, dtype: ElementType,
    *, sign: int = 1,
) -> WeightedSum:  # fmt: skip
    """For a sum of two values, or with `sign` -1 their difference."""
    ratios = np.array([a.scale, b.scale], np.float32) / np.float32(to.scale)
    if not ((ratios >= _RATIOS[0]) & (ratios < _RATIOS[1])).all():
        raise WeightsError("its scales do not fit together: an input's is 2^-10 to 256 outputs'")
    shift = _SUM_BITS - (math.frexp(float(ratios.max()))[1] - 1)
    first, second = (int(np.rint(np.ldexp(np.float64(ratio), shift))) for ratio in ratios)
    low, high = clip_of(activation, to, dtype)
    zeros = (a.zero_point, b.zero_point)
    return WeightedSum(zeros, (first, sign * second), shift, to.zero_point, low, high, dtype)


def of_float_sum(
    a: Quantization, b: Quantization, to: Quantization, dtype: ElementType
) -> FloatSum:
    """For a sum of two values as ONNX Runtime has it."""
    first, second = (np.float32(x.scale) / np.float32(to.scale) for x in (a, b))
    offset = np.float64(second) * -b.zero_point + np.float64(first * np.float32(-a.zero_point))
    offset = np.float32(offset) + np.float32(to.zero_point)
    if not np.isfinite([first, second, offset]).all():
        raise WeightsError("its scales do not fit together: the output's is too small")
    low, high = limits(dtype)
    return FloatSum((float(first), float(second)), float(offset), low, high, dtype)


def of_product(
    a: Quantization, b: Quantization, to: Quantization, activation: str, dtype: ElementType
) -> ScaledProduct:
    """For a product of two values."""
    scale = np.float32(a.scale) * np.float32(b.scale) / np.float32(to.scale)
    how = _requantize(np.asarray(scale), to, activation, dtype)
    return ScaledProduct((a.zero_point, b.zero_point), how)


def of_softmax(x: Quantization, beta: float, to: Quantization, dtype: ElementType) -> TabledSoftmax:
    """Powers for 0 to -255 steps of x."""
    steps = -np.arange(256).astype(np.float32)
    powers = np.exp(np.float32(x.scale) * np.float32(beta) * steps)
    return TabledSoftmax(np.float32(powers), to.scale, to.zero_point, dtype)
