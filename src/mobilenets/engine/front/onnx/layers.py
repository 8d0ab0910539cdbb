"""Operators with weights or windows: convolution, products, pooling, norms."""

from typing import Any

import numpy as np

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import broadcast
from mobilenets.engine.front.onnx.builder import OpCall
from mobilenets.engine.front.onnx.elementwise import scale_by, shift_by
from mobilenets.engine.front.windows import count_windows, same_pads
from mobilenets.engine.ir.graph import (
    Array,
    Binary,
    Conv,
    Dense,
    Pads,
    Pool,
    Reduce,
    Shape,
    Stored,
    Tensor,
    Transpose,
)

_AUTO_PADS = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def conv(call: OpCall) -> Operand:
    """Conv of (1, C, H, W), with a constant weight and bias; `auto_pad` becomes pads."""
    x, weight = call.image(), call.floats(1, "weight")
    shape, fields = convolution(call, x, weight)
    bias = call.floats(2, "bias") if call.has(2) else np.zeros(shape[1], np.float32)
    if bias.shape != (shape[1],):
        raise call.fail(f"its bias must have shape {(shape[1],)}, got {bias.shape}")
    return call.emit(Conv, [x], shape, weight=weight, bias=bias, **fields)


def convolution(call: OpCall, x: Tensor, weight: Stored) -> tuple[Shape, dict[str, Any]]:
    """The output's shape of a convolution of (1, C, H, W), and where its windows lie."""
    if weight.ndim != 4 or 0 in weight.shape:
        raise call.fail(f"its weight must be (O, I, height, width), got {weight.shape}")
    channels, inner, *kernel = weight.shape
    groups = call.integer("group", 1)
    if groups < 1 or channels % groups or inner * groups != x.shape[1]:
        raise call.fail(
            f"{x.shape[1]} channels do not fit a weight {weight.shape} in {groups} groups"
        )
    if call.ints("kernel_shape", tuple(kernel), 2) != tuple(kernel):
        raise call.fail(f"kernel_shape must be the weight's, {tuple(kernel)}")
    strides = call.steps("strides", 2, 1)
    dilations = call.steps("dilations", 2, 1)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = _pads(call, x.shape, extents, strides)
    size = count_windows(x.shape[2:], extents, strides, pads)
    fields: dict[str, Any] = {
        "strides": strides,
        "dilations": dilations,
        "pads": pads,
        "groups": groups,
    }
    return (x.shape[0], channels, *size), fields


def _pads(call: OpCall, shape: Shape, extents: list[int], strides: tuple[int, ...]) -> Pads:
    """Top, left, bottom, right, worked out where the file leaves it to a rule."""
    mode = call.choice("auto_pad", "NOTSET", _AUTO_PADS)
    if mode == "NOTSET":
        top, left, bottom, right = call.steps("pads", 4, 0)
        return top, left, bottom, right
    if mode == "VALID":
        return 0, 0, 0, 0
    return same_pads(shape[2:], extents, strides, upper=mode == "SAME_UPPER")


def average_pool(call: OpCall) -> Operand:
    """AveragePool of (1, C, H, W); ceil_mode becomes larger pads."""
    return _pool(call, "average")


def max_pool(call: OpCall) -> Operand:
    """MaxPool of (1, C, H, W); its second output, the indices, is not supported."""
    call.only({"storage_order": 0})
    return _pool(call, "max")


def _pool(call: OpCall, kind: str) -> Operand:
    x = call.image()
    kernel = call.ints("kernel_shape", None, 2)
    if kernel is None or min(kernel) < 1:
        raise call.fail(f"kernel_shape must be two positive integers, got {kernel}")
    if call.steps("dilations", 2, 1) != (1, 1):
        raise call.fail("dilations must be 1")
    strides = call.steps("strides", 2, 1)
    pads = _pads(call, x.shape, list(kernel), strides)
    if any(pad >= kernel[i % 2] for i, pad in enumerate(pads)):
        raise call.fail(f"pads must be smaller than the kernel {kernel}, got {pads}")
    count_pads = kind == "average" and call.integer("count_include_pad", 0) != 0
    if call.integer("ceil_mode", 0):
        grown = _ceil_pads(x.shape, kernel, strides, pads)
        if count_pads and grown != pads:
            raise call.fail("ceil_mode with count_include_pad is not supported")
        pads = grown
    size = count_windows(x.shape[2:], kernel, strides, pads)
    shape = (*x.shape[:2], *size)
    fields: dict[str, Any] = {
        "kernel": kernel,
        "strides": strides,
        "pads": pads,
        "count_pads": count_pads,
    }
    return call.emit(Pool, [x], shape, kind=kind, **fields)


def _ceil_pads(shape: Shape, kernel: Shape, strides: tuple[int, ...], pads: Pads) -> Pads:
    """Pads that make room for the last window of ceil_mode: one that starts before the end pad."""
    after = []
    for axis in (0, 1):
        size, start, end = shape[2 + axis], pads[axis], pads[axis + 2]
        room = size + start + end - kernel[axis]
        count = -(-room // strides[axis]) + 1
        if (count - 1) * strides[axis] >= size + start:
            count -= 1
        after.append(max(end, (count - 1) * strides[axis] + kernel[axis] - size - start))
    return pads[0], pads[1], after[0], after[1]


def global_average_pool(call: OpCall) -> Operand:
    """GlobalAveragePool: a mean over height and width, which stay as axes of size 1."""
    x = call.image()
    return call.emit(Reduce, [x], (*x.shape[:2], 1, 1), kind="mean", axes=(2, 3), keep=True)


def global_max_pool(call: OpCall) -> Operand:
    """GlobalMaxPool: a maximum over one window as large as the image."""
    x = call.image()
    size = x.shape[2:]
    return call.emit(Pool, [x], (*x.shape[:2], 1, 1), kind="max", kernel=size, strides=(1, 1))


def reduce_mean(call: OpCall) -> Operand:
    """ReduceMean over any axes; without axes over all of them."""
    return _reduced(call, "mean", since=18)


def reduce_sum(call: OpCall) -> Operand:
    """ReduceSum over any axes; without axes over all of them."""
    return _reduced(call, "sum", since=13)


def reduce_l2(call: OpCall) -> Operand:
    """ReduceL2, the square root of the sum of squares, over any axes."""
    return _reduced(call, "l2", since=18)


def _reduced(call: OpCall, kind: str, since: int) -> Operand:
    """`since`: the opset from which on the axes are an input."""
    x = call.tensor()
    listed = call.listed("axes", 1, since)
    if not listed and call.integer("noop_with_empty_axes", 0):
        if kind == "l2":
            raise call.fail("noop_with_empty_axes must be 0, or there must be axes")
        return x
    rank = len(x.shape)
    axes = call.axes(listed or range(rank), rank)
    keep = call.integer("keepdims", 1) != 0
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    shape = kept if keep else tuple(s for axis, s in enumerate(x.shape) if axis not in axes)
    return call.emit(Reduce, [x], shape, kind=kind, axes=axes, keep=keep)


def batch_norm(call: OpCall) -> Operand:
    """BatchNormalization with known statistics: a product and a sum, folded later."""
    call.only({"training_mode": 0, "spatial": 1})
    x = call.tensor()
    if len(x.shape) < 2:
        raise call.fail(f"its input must have channels, got shape {x.shape}")
    parts = [call.floats(i, what) for i, what in enumerate(("scale", "bias", "mean", "var"), 1)]
    if any(part.shape != (x.shape[1],) for part in parts):
        raise call.fail(f"scale, bias, mean and var must have shape {(x.shape[1],)}")
    scale, bias, mean, var = (part.astype(np.float64) for part in parts)
    with np.errstate(all="ignore"):
        factor = scale / np.sqrt(var + call.number("epsilon", 1e-5))
        shift = bias - mean * factor
    ones = (1,) * (len(x.shape) - 2)
    return shift_by(call, scale_by(call, x, factor.reshape(-1, *ones)), shift.reshape(-1, *ones))


def gemm(call: OpCall) -> Operand:
    """Gemm: x times a constant matrix, plus a constant or another tensor."""
    x, weight = call.tensor(rank=2), call.floats(1, "right side")
    if call.integer("transA", 0):
        x = call.emit(Transpose, [x], x.shape[::-1], order=(1, 0))
    weight = weight.T if call.integer("transB", 0) else weight
    alpha, beta = call.number("alpha", 1.0), call.number("beta", 1.0)
    with np.errstate(all="ignore"):
        weight = weight if alpha == 1 else np.float32(alpha) * weight
    out = _dense(call, x, weight)
    if not call.has(2):
        return out
    added = call.value(2)
    rows, columns = out.shape
    if broadcast(added.shape, (rows, columns)) != (rows, columns):
        raise call.fail(f"its third input must fit {(rows, columns)}, got {added.shape}")
    if isinstance(added, Tensor):
        added = scale_by(call, added, np.float64(beta)) if beta != 1 else added
        return call.emit(Binary, [out, added], out.shape, kind="add")
    return shift_by(call, out, np.float64(beta) * call.floats(2, "third input"))


def matmul(call: OpCall) -> Operand:
    """MatMul with a constant matrix on the right; x may have any number of axes before the last."""
    x, weight = call.tensor(), call.floats(1, "right side")
    while weight.ndim > 2 and weight.shape[0] == 1 and weight.ndim <= len(x.shape):
        weight = weight[0]
    return _dense(call, x, weight)


def _dense(call: OpCall, x: Tensor, weight: Array) -> Tensor:
    if weight.ndim != 2 or 0 in weight.shape or weight.shape[0] != x.shape[-1]:
        raise call.fail(f"{x.shape} times {weight.shape} is not supported")
    bias = np.zeros(weight.shape[1], np.float32)
    matrix = np.ascontiguousarray(weight, np.float32)
    return call.emit(Dense, [x], (*x.shape[:-1], weight.shape[1]), weight=matrix, bias=bias)
