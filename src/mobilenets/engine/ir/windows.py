"""What twins of floats and of integers share: which pixels meet which weights."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir.graph import Conv, Shape

AnyArray = NDArray[Any]
"""float32, or integers."""


def taps(
    around: AnyArray, kernel: Shape, strides: Shape, dilations: Shape, size: Shape
) -> Iterator[tuple[int, int, AnyArray]]:
    """Row and column in the kernel, and the pixels (1, C, *size) that they meet."""
    for row in range(kernel[0]):
        for column in range(kernel[1]):
            top, left = row * dilations[0], column * dilations[1]
            bottom = top + (size[0] - 1) * strides[0] + 1
            right = left + (size[1] - 1) * strides[1] + 1
            yield row, column, around[:, :, top : bottom : strides[0], left : right : strides[1]]


def padded(x: AnyArray, pads: Shape, value: float) -> AnyArray:
    """(1, C, H, W) with `value` around it; `pads` are top, left, bottom, right."""
    top, left, bottom, right = pads
    return np.pad(x, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=value)


def convolve(
    node: Conv, x: NDArray[np.float64], weight: NDArray[np.float64], size: Shape
) -> NDArray[np.float64]:
    """The sums of a convolution, (1, O, *size), without its bias.

    x and weight take the place of the node's own. Sums of integers are exact: far below 2^53.
    """
    around = padded(x, node.pads, 0)
    channels, inner, *kernel = weight.shape
    weight = weight.reshape(node.groups, channels // node.groups, inner, *kernel)
    out = np.zeros((node.groups, channels // node.groups, *size))
    for row, column, seen in taps(around, tuple(kernel), node.strides, node.dilations, size):
        pixels = seen.reshape(node.groups, inner, *size)
        out += np.einsum("goi,gihw->gohw", weight[..., row, column], pixels)
    return out.reshape(1, channels, *size)


def coordinates(kind: str, old: int, new: int) -> NDArray[np.float64]:
    """Where in the old row each new pixel is taken from."""
    index = np.arange(new, dtype=np.float64)
    if kind == "align_corners":
        at = index * ((old - 1) / (new - 1)) if new > 1 else index * 0
    elif kind == "half_pixel":
        at = (index + 0.5) * (old / new) - 0.5
    else:
        at = index * (old / new)
    return np.clip(at, 0, old - 1)
