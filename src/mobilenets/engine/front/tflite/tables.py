"""Functions of a byte, as the kernels that LiteRT runs work them out: one value for each byte."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.front.scales import clip_of
from mobilenets.engine.ir.exact import clipped, limits, rounded_away
from mobilenets.engine.ir.graph import Stored
from mobilenets.engine.ir.integers import Quantization
from mobilenets.engine.ir.types import ElementType
from mobilenets.errors import WeightsError

Integers = NDArray[np.int64]

_SHORT = (-(2**15), 2**15 - 1)
_CONVERSION_BITS = 8
"""XNNPACK converts between scales by a multiplier with so many bits behind the point."""
_LARGEST_MULTIPLIER = 2**15
"""A byte times it, in steps of 2^-31, is an int64."""
_LARGEST_RATIO = 128
"""Of two scales between which XNNPACK converts."""


def each_byte(source: ElementType, zero_point: int) -> Integers:
    """All values of a type, the smallest first, from its zero point on."""
    low, high = limits(source)
    return np.arange(low, high + 1, dtype=np.int64) - zero_point


def of_function(
    function: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    x: Quantization, to: Quantization, dtype: ElementType,
) -> Stored:  # fmt: skip
    """A function of real numbers, worked out in float32 and rounded, halves to even."""
    real = each_byte(dtype, x.zero_point).astype(np.float32) * np.float32(x.scale)
    with np.errstate(all="ignore"):
        steps = np.rint(function(real) * (np.float32(1) / np.float32(to.scale)))
    return clipped(steps + to.zero_point, *limits(dtype), dtype)


def converted(
    x: Quantization, source: ElementType, to: Quantization, target: ElementType, slope: float = 1
) -> Stored:
    """Another scale, as XNNPACK converts; what is below 0 is multiplied by `slope` too."""
    ratio = np.float32(x.scale) / np.float32(to.scale)
    if not max(1, abs(slope)) * ratio < _LARGEST_RATIO:
        raise WeightsError("its scales do not fit together: the input's is too large")
    one = np.float32(1 << _CONVERSION_BITS)
    steps = each_byte(source, x.zero_point)
    above, below = (int(np.rint(one * scale)) for scale in (ratio, ratio * np.float32(slope)))
    half = 1 << _CONVERSION_BITS - 1
    values = np.where(steps < 0, steps * below, steps * above) + half >> _CONVERSION_BITS
    return clipped(values + to.zero_point, *limits(target), target)


def joined(x: Quantization, to: Quantization, dtype: ElementType) -> Stored:
    """Another scale as LiteRT gives it to what it joins: in float32, halves away from 0."""
    scale = np.float32(x.scale) * (np.float32(1) / np.float32(to.scale))
    stored = each_byte(dtype, 0).astype(np.float32)
    steps = rounded_away(stored * scale + np.float32(-x.zero_point) * scale)
    return clipped(steps + to.zero_point, *limits(dtype), dtype)


def activated(activation: str, x: Quantization, to: Quantization, dtype: ElementType) -> Stored:
    """An activation that clips: exact between equal scales, else by LiteRT's multiplier."""
    ends = clip_of(activation, to, dtype)
    if x == to:
        return clipped(each_byte(dtype, 0), *ends, dtype)
    ratio = float(np.float32(x.scale) / np.float32(to.scale))
    steps = _multiplied(each_byte(dtype, x.zero_point), ratio)
    return clipped(steps + to.zero_point, *ends, dtype)


def _fixed(multiplier: float) -> tuple[int, int]:
    """A multiplier as a fraction of 2^31 and an exponent of 2."""
    if not 0 < multiplier < _LARGEST_MULTIPLIER:
        raise WeightsError("its scales do not fit together: the output's is too small")
    share, exponent = math.frexp(multiplier)
    whole = math.floor(share * 2**31 + 0.5)
    return (whole // 2, exponent + 1) if whole == 2**31 else (whole, exponent)


def _multiplied(x: Integers, multiplier: float) -> Integers:
    """Rounded twice, as gemmlowp does: the product's high half, then what is shifted out."""
    whole, exponent = _fixed(multiplier)
    high = _high_half(x << max(exponent, 0), whole, 31)
    return _divided(high, max(-exponent, 0))


def _high_half(a: Integers, b: int, bits: int) -> Integers:
    """The product of a and b over 2^bits, rounded, halves away from 0."""
    product = a * b
    nudge = np.where(product >= 0, 1 << bits - 1, 1 - (1 << bits - 1))
    return _towards_zero(product + nudge, bits)


def _towards_zero(x: Integers, bits: int) -> Integers:
    return np.where(x >= 0, x >> bits, -(-x >> bits))


def _divided(x: Integers, bits: int) -> Integers:
    """Over 2^bits, rounded, halves away from 0."""
    rest = x & (1 << bits) - 1
    return np.asarray((x >> bits) + (rest > ((1 << bits) - 1 >> 1) + (x < 0)))


def hard_swish(x: Quantization, to: Quantization, dtype: ElementType) -> Stored:
    """HARD_SWISH, x clip(x / 6 + 1/2, 0, 1), as LiteRT has it: in integers of 16 bits."""
    fine = np.float32(1 / 128) * np.float32(x.scale)
    scale, shift = _fixed(float(fine / np.float32(to.scale)))
    slope, rise = _fixed(float(fine / np.float32(3 / 32768)))
    if shift > 0 or rise > 15:
        raise WeightsError("its scales do not fit together: the input's is too large")
    steps = each_byte(dtype, x.zero_point) << 7
    factor = steps
    if rise > 0:
        factor = np.clip(factor << rise - 1, *_SHORT)
    factor = _high_half(factor, _short(slope), 15)
    factor = np.clip(factor << 1, *_SHORT) if rise > 0 else _divided(factor, -rise)
    factor = factor + 2**15 >> 1
    product = _towards_zero(factor * _high_half(steps, _short(scale), 15), 15)
    return clipped(_divided(product, -shift) + to.zero_point, *limits(dtype), dtype)


def _short(whole: int) -> int:
    return min(whole + 2**15 >> 16, _SHORT[1])
