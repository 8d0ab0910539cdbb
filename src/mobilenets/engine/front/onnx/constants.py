"""Operators on constants alone, worked out with numpy: what exporters compute of shapes.

What a result will take is accounted for before it is made.
"""

import math
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import numpy as np

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import broadcast
from mobilenets.engine.front.onnx.builder import OpCall
from mobilenets.engine.front.onnx.stored import DTYPES, Constant
from mobilenets.engine.front.onnx.views import (
    concat_shape,
    flatten_shape,
    reshape_shape,
    slice_parts,
    split_sizes,
    squeeze_shape,
    transpose_order,
    unsqueeze_shape,
)
from mobilenets.engine.ir.graph import Shape, Tensor


def _divide(a: Constant, b: Constant) -> Constant:
    """ONNX's: whole numbers are rounded towards zero."""
    if a.dtype.kind != "i":
        return np.asarray(a / b, a.dtype)
    return np.asarray(np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b)), a.dtype)


def _power(a: Constant, b: Constant) -> Constant:
    """ONNX's: the result has the type of what is raised."""
    return np.asarray(np.power(a, b), a.dtype)


_UFUNCS: Mapping[str, Callable[..., Any]] = {
    "Abs": np.abs,
    "Add": np.add,
    "And": np.logical_and,
    "Ceil": np.ceil,
    "Div": _divide,
    "Equal": np.equal,
    "Exp": np.exp,
    "Floor": np.floor,
    "Greater": np.greater,
    "GreaterOrEqual": np.greater_equal,
    "Less": np.less,
    "LessOrEqual": np.less_equal,
    "Max": np.maximum,
    "Min": np.minimum,
    "Mod": np.mod,
    "Mul": np.multiply,
    "Neg": np.negative,
    "Not": np.logical_not,
    "Or": np.logical_or,
    "Pow": _power,
    "Reciprocal": np.reciprocal,
    "Round": np.rint,
    "Sqrt": np.sqrt,
    "Sub": np.subtract,
    "Where": np.where,
}


def _elementwise(call: OpCall) -> Operand:
    parts = _arrays(call)
    shape: Shape = ()
    for part in parts:
        shape = broadcast(shape, part.shape)
    call.builder.spend(shape, 8)
    function = _UFUNCS[call.op.kind]
    if call.op.kind == "Mod" and call.integer("fmod", 0):
        function = np.fmod
    with np.errstate(all="ignore"):
        if call.op.kind in ("Max", "Min"):  # of any number of inputs
            return np.asarray(reduce(function, parts))
        return np.asarray(function(*parts))


def _arrays(call: OpCall) -> list[Constant]:
    return [call.constant(index, "input") for index in range(len(call.inputs))]


def shape_of(call: OpCall) -> Operand:
    """Shape: the sizes of any value, which are always known here, from `start` to `end`."""
    shape = call.value(0).shape
    start, end = call.integer("start", 0), call.integer("end", len(shape))
    return np.array(shape[start:end], np.int64)


def size_of(call: OpCall) -> Operand:
    """Size: the number of elements of any value, as an int64."""
    return np.array(math.prod(call.value(0).shape), np.int64)


def constant(call: OpCall) -> Operand:
    """Constant: a tensor, or one of the attributes that give a number or a list of numbers."""
    given = call.op.attributes
    if isinstance(given.get("value"), np.ndarray):
        return np.asarray(given["value"])
    for name, dtype in (("value_int", np.int64), ("value_float", np.float32)):
        for key in (name, f"{name}s"):
            if given.get(key) is not None:
                return np.array(given[key], dtype)
    raise call.fail("its value must be a tensor of numbers")


def _constant_of_shape(call: OpCall) -> Operand:
    shape = call.indices(0, "shape")
    filler = call.op.attributes.get("value", np.zeros(1, np.float32))
    if not isinstance(filler, np.ndarray) or filler.size != 1:
        raise call.fail("its value must be a single number")
    call.builder.spend(shape, filler.itemsize)
    return np.full(shape, filler.ravel()[0], filler.dtype)


def _cast(call: OpCall) -> Operand:
    value, to = call.constant(0, "input"), call.integer("to")
    if to not in DTYPES:
        raise call.fail(f"a constant cannot be cast to type {to}")
    call.builder.spend(value.shape, np.dtype(DTYPES[to]).itemsize)
    with np.errstate(all="ignore"):
        return value.astype(DTYPES[to])


def _gather(call: OpCall) -> Operand:
    data, index = call.constant(0, "input"), call.constant(1, "index")
    axis = call.axis(call.integer("axis", 0), data.ndim)
    if index.dtype.kind not in "iu":
        raise call.fail(f"its indices must be integers, got {index.dtype}")
    size = data.shape[axis]
    if index.size and not (-size <= index.min() and index.max() < size):
        raise call.fail(f"its indices must be {-size} to {size - 1}")
    shape = (*data.shape[:axis], *index.shape, *data.shape[axis + 1 :])
    call.builder.spend(shape, data.itemsize)
    return np.asarray(np.take(data, index, axis))


def _concat(call: OpCall) -> Operand:
    parts = _arrays(call)
    axis, shape = concat_shape(call, [part.shape for part in parts])
    call.builder.spend(shape, 8)
    return np.concatenate(parts, axis)


def _expand(call: OpCall) -> Operand:
    value = call.constant(0, "input")
    shape = broadcast(value.shape, call.indices(1, "shape"))
    call.builder.spend(shape, value.itemsize)
    return np.array(np.broadcast_to(value, shape))


def _tile(call: OpCall) -> Operand:
    value, repeats = call.constant(0, "input"), call.indices(1, "repeats")
    if len(repeats) != value.ndim:
        raise call.fail(f"repeats must have {value.ndim} values, got {len(repeats)}")
    call.builder.spend([a * b for a, b in zip(value.shape, repeats, strict=True)], value.itemsize)
    return np.tile(value, repeats)


def _range(call: OpCall) -> Operand:
    parts = _arrays(call)
    if len(parts) != 3 or any(part.size != 1 for part in parts):
        raise call.fail("it needs three numbers")
    start, limit, delta = (part.ravel()[0].item() for part in parts)
    count = (limit - start) / delta if delta else math.inf
    if not count < 2**31:
        raise call.fail(f"{start} to {limit} by {delta} is not supported")
    call.builder.spend((max(math.ceil(count), 0),), 8)
    return np.arange(start, limit, delta).astype(parts[0].dtype)


def _reduced(function: Callable[..., Any], since: int) -> Callable[[OpCall], Operand]:
    def reduced(call: OpCall) -> Operand:
        value = call.constant(0, "input")
        listed = call.listed("axes", 1, since)
        if not listed and call.integer("noop_with_empty_axes", 0):
            return value
        axes = call.axes(listed or range(value.ndim), value.ndim)
        keep = call.integer("keepdims", 1) != 0
        call.builder.spend(value.shape, value.itemsize)
        with np.errstate(all="ignore"):
            return np.asarray(function(value, axis=axes, keepdims=keep), value.dtype)

    return reduced


def _split(call: OpCall) -> list[Operand]:
    value = call.constant(0, "input")
    axis = call.axis(call.integer("axis", 0), value.ndim)
    ends = np.cumsum(split_sizes(call, value.shape[axis]))[:-1]
    return list(np.split(value, ends, axis))


def _view(shape_of_it: Callable[[OpCall, Shape], Shape]) -> Callable[[OpCall], Operand]:
    """A constant under another shape."""

    def view(call: OpCall) -> Operand:
        value = call.constant(0, "input")
        shape = shape_of_it(call, value.shape)
        call.builder.spend(shape, value.itemsize)
        return value.reshape(shape)

    return view


def _reshape(call: OpCall, old: Shape) -> Shape:
    return reshape_shape(call, old, call.indices(1, "shape"))


def _transpose(call: OpCall) -> Operand:
    value = call.constant(0, "input")
    return np.asarray(value.transpose(transpose_order(call, value.ndim)))


def _slice(call: OpCall) -> Operand:
    value = call.constant(0, "input")
    parts = slice_parts(call, value.shape)
    ends = [part.stop if part.stop >= 0 else None for part in parts]  # backwards to the first
    where = (slice(p.start, end, p.step) for p, end in zip(parts, ends, strict=True))
    return np.asarray(value[tuple(where)])


EVALUATORS: Mapping[str, Callable[[OpCall], Operand | list[Operand]]] = {
    **dict.fromkeys(_UFUNCS, _elementwise),
    "Cast": _cast,
    "Concat": _concat,
    "Constant": constant,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _view(flatten_shape),
    "Gather": _gather,
    "Range": _range,
    "ReduceMax": _reduced(np.max, 18),
    "ReduceMean": _reduced(np.mean, 18),
    "ReduceMin": _reduced(np.min, 18),
    "ReduceProd": _reduced(np.prod, 18),
    "ReduceSum": _reduced(np.sum, 13),
    "Reshape": _view(_reshape),
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _view(squeeze_shape),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _view(unsqueeze_shape),
}
"""What can be worked out when every input is a constant."""


def all_constant(call: OpCall) -> bool:
    """Whether no input has to wait for the network to run."""
    return not any(isinstance(value, Tensor) for value in call.inputs)
