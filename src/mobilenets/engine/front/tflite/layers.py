"""Operators with weights or windows: convolutions, products, pools, means."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.scales import activation_of, of_mean, of_sums
from mobilenets.engine.front.tflite.builder import BYTES, LARGEST_STEP, TfliteCall
from mobilenets.engine.front.tflite.elementwise import ended
from mobilenets.engine.front.windows import count_windows, same_pads
from mobilenets.engine.ir.graph import Conv, Dense, Pads, Pool, Reduce, Stored, Tensor
from mobilenets.engine.ir.types import FLOAT32

_BIAS = np.dtype(np.int32)


def conv_2d(call: TfliteCall) -> Operand:
    """CONV_2D: weights (O, height, width, I); in groups where I is a part of the channels."""
    return _convolution(call, depthwise=False)


def depthwise_conv_2d(call: TfliteCall) -> Operand:
    """DEPTHWISE_CONV_2D: weights (1, height, width, O), O a multiple of the channels."""
    return _convolution(call, depthwise=True)


def _convolution(call: TfliteCall, *, depthwise: bool) -> Operand:
    x = call.tensor(rank=4)
    weight, fields = _weighted(call, x, 3 if depthwise else 0)
    if weight.ndim != 4 or 0 in weight.shape:
        raise call.fail(f"its weights must have 4 dimensions, got shape {weight.shape}")
    channels = x.shape[3]
    if depthwise:
        if weight.shape[0] != 1:
            raise call.fail(f"its weights must be (1, height, width, O), got {weight.shape}")
        weight, groups = weight.transpose(3, 0, 1, 2), channels
    else:
        weight = weight.transpose(0, 3, 1, 2)
        groups = channels // weight.shape[1]
    outputs, inner, *kernel = weight.shape
    if inner * groups != channels or outputs % groups:
        raise call.fail(f"weights {weight.shape} do not fit {channels} channels")
    fields |= _bias(call, outputs, x)
    op = call.op
    strides = _steps(call, "strides", op.stride)
    dilations = _steps(call, "dilations", op.dilation)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = _pads(call, x.shape[1:3], extents, strides)
    size = count_windows(x.shape[1:3], extents, strides, pads)
    fields |= {"strides": strides, "dilations": dilations, "pads": pads, "groups": groups}
    stored = np.ascontiguousarray(weight)
    shape = (x.shape[0], outputs, *size)
    return call.pixels(call.emit(Conv, [call.planes(x)], shape, weight=stored, **fields))


def fully_connected(call: TfliteCall) -> Operand:
    """FULLY_CONNECTED: weights (outputs, inputs); the input is seen as rows of `inputs`."""
    x = call.tensor()
    weight, fields = _weighted(call, x, 0)
    if weight.ndim != 2 or 0 in weight.shape or not call.op.plain:
        raise call.fail(f"its weights must be (outputs, inputs) as they are, got {weight.shape}")
    outputs, inputs = weight.shape
    kept = call.op.keep and x.shape[-1:] == (inputs,)
    if math.prod(x.shape) % inputs or (call.op.keep and not kept):
        raise call.fail(f"{x.shape} is no rows of {inputs}")
    rows = x.shape[:-1] if kept else (math.prod(x.shape) // inputs,)
    x = call.reshaped(x, (*rows, inputs))
    fields |= _bias(call, outputs, x)
    matrix = np.ascontiguousarray(weight.T)
    return call.emit(Dense, [x], (*rows, outputs), weight=matrix, **fields)


def _weighted(call: TfliteCall, x: Tensor, axis: int) -> tuple[Stored, dict[str, Any]]:
    """The weights as they are computed with, outputs along `axis`, and how sums become outputs."""
    activation = call.op.activation
    if x.dtype == FLOAT32:
        if call.declared[0] != FLOAT32:
            raise call.fail(f"its output must be float32, got {call.declared[0]}")
        return call.real(1, "weights"), {"activation": activation_of(activation)}
    source, to = call.scale(x), call.result(x)
    weight = call.constant(1, "weights")
    found = call.builder.stored(call.op.inputs[1]).quantization
    if weight.dtype != x.dtype.numpy or found is None:
        raise call.fail(f"its weights must be {x.dtype} with scales, got {weight.dtype}")
    if found.scale.size > 1 and found.axis != axis:
        raise call.fail(f"its weights must have a scale for each output, got axis {found.axis}")
    zero = int(found.zero_point[0])
    info = np.iinfo(weight.dtype)
    if (found.zero_point != zero).any() or not info.min <= zero <= info.max:
        raise call.fail("its weights must have one zero point, within their type")
    call.builder.spend(weight.shape, 2)
    scales = found.scale if found.scale.size > 1 else found.scale[0]
    return weight, {
        "zero_point": source.zero_point,
        "weight_zero": zero,
        "requantize": of_sums(source, np.asarray(scales), to, activation, x.dtype),
    }


def _bias(call: TfliteCall, outputs: int, x: Tensor) -> dict[str, Any]:
    """The bias (outputs,), int32 for integers; 0 where there is none."""
    floats = x.dtype == FLOAT32
    if not call.has(2):
        return {"bias": np.zeros(outputs, np.float32 if floats else _BIAS)}
    bias = call.real(2, "bias") if floats else call.constant(2, "bias")
    if bias.shape != (outputs,) or (not floats and bias.dtype != _BIAS):
        raise call.fail(f"its bias must be ({outputs},), got {bias.dtype} {bias.shape}")
    return {"bias": bias}


def _steps(call: TfliteCall, what: str, values: Sequence[int]) -> tuple[int, int]:
    if any(not 1 <= value <= LARGEST_STEP for value in values):
        raise call.fail(f"{what} must be 1 to {LARGEST_STEP}, got {tuple(values)}")
    return values[0], values[1]


def _pads(
    call: TfliteCall, sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int]
) -> Pads:
    return same_pads(sizes, extents, strides) if call.op.padding == "SAME" else (0, 0, 0, 0)


def average_pool(call: TfliteCall) -> Operand:
    """AVERAGE_POOL_2D: the mean of each window's pixels inside the image."""
    return _pool(call, "average")


def max_pool(call: TfliteCall) -> Operand:
    """MAX_POOL_2D: the largest of each window's pixels inside the image."""
    return _pool(call, "max")


def _pool(call: TfliteCall, kind: str) -> Operand:
    x = call.tensor(rank=4)
    kernel = _steps(call, "its window", call.op.window)
    strides = _steps(call, "strides", call.op.stride)
    pads = _pads(call, x.shape[1:3], kernel, strides)
    size = count_windows(x.shape[1:3], kernel, strides, pads)
    fields: dict[str, Any] = {"kind": kind, "kernel": kernel, "strides": strides, "pads": pads}
    y = call.emit(Pool, [call.planes(x)], (x.shape[0], x.shape[3], *size), **fields)
    return ended(call, call.pixels(y))


def mean(call: TfliteCall) -> Operand:
    """MEAN over any axes."""
    return _reduced(call, "mean")


def total(call: TfliteCall) -> Operand:
    """SUM over any axes."""
    return _reduced(call, "sum")


def _reduced(call: TfliteCall, kind: str) -> Operand:
    x = call.tensor()
    rank = len(x.shape)
    axes = tuple(sorted({call.axis(axis, rank) for axis in call.indices(1, "axes")}))
    keep = call.op.keep
    kept = tuple(1 if axis in axes else size for axis, size in enumerate(x.shape))
    shape = kept if keep else tuple(s for axis, s in enumerate(x.shape) if axis not in axes)
    fields: dict[str, Any] = {"kind": kind, "axes": axes, "keep": keep}
    if x.dtype in BYTES:
        source, to = call.scale(x), call.result(x)
        count = math.prod(x.shape[axis] for axis in axes) if kind == "mean" else 1
        fields |= {
            "zero_point": source.zero_point,
            "requantize": of_mean(source, count, to, x.dtype),
        }
    return call.emit(Reduce, [x], shape, **fields)
