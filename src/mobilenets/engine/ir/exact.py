"""The slow, readable twin of arithmetic with integers: bit for bit what compiled code must give.

The rules are those of XNNPACK's kernels, which LiteRT runs, and of LiteRT's own where it has none.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.graph import Shape
from mobilenets.engine.ir.integers import (
    FloatSum,
    Quantization,
    Requantize,
    ScaledProduct,
    TabledSoftmax,
    WeightedSum,
)
from mobilenets.engine.ir.types import ElementType
from mobilenets.engine.ir.windows import AnyArray, convolve, coordinates


def conv(node: g.Conv, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    """A convolution of integers, requantized."""
    assert node.requantize is not None
    x = inputs[0].astype(np.float64) - node.zero_point
    sums = convolve(node, x, node.weight.astype(np.float64) - node.weight_zero, shape[2:])
    return requantized(node.requantize, wrapped(sums + node.bias[:, None, None]), (-1, 1, 1))


def dense(node: g.Dense, x: AnyArray) -> AnyArray:
    """A product with a matrix of integers, requantized."""
    assert node.requantize is not None
    weight = node.weight.astype(np.float64) - node.weight_zero
    sums = (x.astype(np.float64) - node.zero_point) @ weight + node.bias
    return requantized(node.requantize, wrapped(sums), (-1,))


def requantized(how: Requantize, sums: NDArray[Any], along: Shape) -> AnyArray:
    """Sums as stored integers; `along` is the shape in which a multiplier lies along its axis."""
    multiplier = how.multiplier.reshape(along) if how.multiplier.ndim else how.multiplier
    scaled = sums.astype(np.float32) * multiplier
    return clipped(np.rint(scaled) + how.zero_point, how.low, how.high, how.dtype)


def clipped(values: NDArray[Any], low: int, high: int, dtype: ElementType) -> AnyArray:
    """Whole numbers between two limits, as stored."""
    return np.asarray(np.clip(values, low, high), dtype.numpy)


def limits(dtype: ElementType) -> tuple[int, int]:
    """The smallest and the largest integer of a type."""
    info = np.iinfo(dtype.name)
    return int(info.min), int(info.max)


def rounded_away(values: NDArray[Any]) -> NDArray[Any]:
    """The nearest whole numbers; of two the one further from 0."""
    return np.asarray(np.trunc(values + np.copysign(0.5, values)))


def combine(
    how: WeightedSum | FloatSum | ScaledProduct, first: AnyArray, second: AnyArray
) -> AnyArray:
    """A sum or a product of integers, with numpy's broadcasting."""
    if isinstance(how, FloatSum):
        return _float_sum(how, first, second)
    a, b = (x.astype(np.int64) - zero for x, zero in zip((first, second), how.zeros, strict=True))
    if isinstance(how, ScaledProduct):
        return requantized(how.requantize, a * b, ())
    sums = a * how.weights[0] + b * how.weights[1] + (1 << how.shift - 1) >> how.shift
    return clipped(sums + how.zero_point, how.low, how.high, how.dtype)


def _float_sum(how: FloatSum, first: AnyArray, second: AnyArray) -> AnyArray:
    # A product of a byte and a float32 is exact in float64: one rounding, as of a fused sum.
    wide = first.astype(np.float64) * how.ratios[0] + how.offset
    wide = second.astype(np.float64) * how.ratios[1] + wide.astype(np.float32)
    return clipped(np.rint(wide.astype(np.float32)), how.low, how.high, how.dtype)


def reduce(node: g.Reduce, x: AnyArray) -> AnyArray:
    """A mean or a sum over axes, requantized."""
    assert node.requantize is not None
    sums = (x.astype(np.int64) - node.zero_point).sum(node.axes, keepdims=node.keep)
    return requantized(node.requantize, wrapped(sums), ())


def resize(node: g.Resize, x: AnyArray, shape: Shape) -> AnyArray:
    """Blended by integers: two rows of two pixels each, rounded once."""
    one = 1 << node.fraction
    places = [blends(node, x.shape[axis], shape[axis]) for axis in (2, 3)]
    (top, bottom, down), (left, right, along) = places
    wide = x.astype(np.int64)
    rows = []
    for row in (top, bottom):
        line = wide.take(row, 2)
        rows.append(line.take(left, 3) * (one - along) + line.take(right, 3) * along)
    down = down[:, None]
    half = 1 << 2 * node.fraction - 1
    sums = rows[0] * (one - down) + rows[1] * down + half
    return np.asarray(np.right_shift(sums, 2 * node.fraction), x.dtype)


def blends(node: g.Resize, old: int, new: int) -> tuple[NDArray[np.int64], ...]:
    """Along an axis, for each new pixel: the one before, the one after, and its share in bits."""
    at = coordinates(node.coordinates, old, new).astype(np.float32)
    low = np.floor(at).astype(np.int64)
    share = np.rint((at - low) * np.float32(1 << node.fraction)).astype(np.int64)
    return low, np.minimum(low + 1, old - 1), share


def wrapped(sums: NDArray[Any]) -> NDArray[np.int32]:
    """Sums as 32 bits hold them, of networks whose sums may be larger."""
    return sums.astype(np.int64).astype(np.int32)


def softmax(how: TabledSoftmax, x: AnyArray, axis: int) -> AnyArray:
    """Shares of 1, from a table of powers; sums in order, in float32."""
    wide = x.astype(np.int64)
    powers = how.powers[wide.max(axis, keepdims=True) - wide]
    total = np.add.accumulate(powers, axis, np.float32).take([-1], axis)
    inverse = np.float32(1) / (total * np.float32(how.scale))
    low, high = limits(how.dtype)
    return clipped(rounded_away(powers * inverse) + how.zero_point, low, high, how.dtype)


def lookup(table: g.Stored, x: AnyArray) -> AnyArray:
    """The table's entry for each byte."""
    return np.asarray(table[x.astype(np.int64) - np.iinfo(x.dtype).min])


def quantize(node: g.Quantize, x: AnyArray) -> AnyArray:
    """Floats as stored integers; NaN as the smallest."""
    scale = np.float32(node.quantization.scale)
    scaled = x * (np.float32(1) / scale) if node.inverse else x / scale
    low, high = limits(node.dtype)
    whole = np.rint(np.nan_to_num(scaled, nan=-np.inf)) + np.float32(node.quantization.zero_point)
    return clipped(whole, low, high, node.dtype)


def dequantize(how: Quantization, x: AnyArray) -> AnyArray:
    """Stored integers as floats."""
    return np.asarray((x.astype(np.float32) - how.zero_point) * np.float32(how.scale), np.float32)
