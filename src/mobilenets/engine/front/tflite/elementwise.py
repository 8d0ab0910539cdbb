"""Operators on each element by itself, or on pairs of elements."""

from collections.abc import Callable
from typing import Literal

import numpy as np

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import broadcast
from mobilenets.engine.front.scales import (
    activation_of,
    of_product,
    of_softmax,
    of_sum,
)
from mobilenets.engine.front.tflite import tables
from mobilenets.engine.front.tflite.builder import BYTES, TYPES, TfliteCall
from mobilenets.engine.ir.graph import (
    LINEAR,
    Activate,
    Activation,
    Binary,
    Dequantize,
    Lookup,
    Quantize,
    Reduce,
    Softmax,
    Stored,
    Tensor,
)
from mobilenets.engine.ir.integers import ScaledProduct, WeightedSum
from mobilenets.engine.ir.reference import activate
from mobilenets.engine.ir.types import FLOAT32, ElementType

_SHORTEST = 1e-6
"""The length by which L2_NORMALIZATION divides what is shorter."""

Handler = Callable[[TfliteCall], Operand]


def ended(call: TfliteCall, y: Tensor) -> Tensor:
    """The value with the activation that the operator ends in, as a node of its own."""
    if y.dtype == FLOAT32:
        last = activation_of(call.op.activation)
        return y if last == LINEAR else call.emit(Activate, [y], y.shape, activation=last)
    if call.op.activation == "NONE":
        return y
    scale = call.scale(y)
    return _looked_up(call, y, tables.activated(call.op.activation, scale, scale, y.dtype))


def _looked_up(
    call: TfliteCall, x: Tensor, table: Stored, dtype: ElementType | None = None
) -> Tensor:
    return call.emit(Lookup, [x], x.shape, dtype, table=table)


def clip(activation: str) -> Handler:
    """What translates an activation of `ACTIVATIONS` that is an operator by itself."""

    def translate(call: TfliteCall) -> Operand:
        x = call.tensor()
        if x.dtype == FLOAT32:
            return call.emit(Activate, [x], x.shape, activation=activation_of(activation))
        table = tables.activated(activation, call.scale(x), call.result(x), x.dtype)
        return _looked_up(call, x, table)

    return translate


def logistic(call: TfliteCall) -> Operand:
    """LOGISTIC: 1 / (1 + exp(-x))."""
    x, kind = call.tensor(), Activation("sigmoid")
    if x.dtype == FLOAT32:
        return call.emit(Activate, [x], x.shape, activation=kind)
    source, to = call.scale(x), call.result(x)
    table = tables.of_function(lambda real: activate(kind, real), source, to, x.dtype)
    return _looked_up(call, x, table)


def hard_swish(call: TfliteCall) -> Operand:
    """HARD_SWISH: x clip(x / 6 + 1/2, 0, 1)."""
    x = call.tensor()
    if x.dtype == FLOAT32:
        return call.emit(Activate, [x], x.shape, activation=Activation("hardswish"))
    return _looked_up(call, x, tables.hard_swish(call.scale(x), call.result(x), x.dtype))


def leaky_relu(call: TfliteCall) -> Operand:
    """LEAKY_RELU: x, and a part of it below 0."""
    x, slope = call.tensor(), call.op.slope
    if not abs(slope) < np.inf:
        raise call.fail(f"its slope must be a number, got {slope}")
    if x.dtype == FLOAT32:
        kind = Activation("leaky", alpha=slope)
        return call.emit(Activate, [x], x.shape, activation=kind)
    source, to = call.scale(x), call.result(x)
    return _looked_up(call, x, tables.converted(source, x.dtype, to, x.dtype, slope))


def prelu(call: TfliteCall) -> Operand:
    """PRELU: x, and below 0 x times a constant for each channel."""
    x, slope = call.tensor(), call.real(1, "slope") if call.has(1) else None
    if x.dtype != FLOAT32 or slope is None or broadcast(x.shape, slope.shape) != x.shape:
        raise call.fail("it is supported for float32, with slopes that fit its input")
    above = call.emit(Activate, [x], x.shape, activation=Activation("clip", low=0.0))
    below = call.emit(Activate, [x], x.shape, activation=Activation("clip", high=0.0))
    sloped = call.emit(Binary, [below], x.shape, kind="mul", constant=slope)
    return call.emit(Binary, [above, sloped], x.shape, kind="add")


def add(call: TfliteCall) -> Operand:
    """ADD, with numpy's broadcasting."""
    return _combined(call, "add")


def sub(call: TfliteCall) -> Operand:
    """SUB, as a sum with the second value's weight below 0."""
    return _combined(call, "add", sign=-1)


def mul(call: TfliteCall) -> Operand:
    """MUL, with numpy's broadcasting."""
    return _combined(call, "mul")


def div(call: TfliteCall) -> Operand:
    """DIV by a constant, as a product with its reciprocal."""
    x = call.tensor()
    with np.errstate(all="ignore"):
        inverse = np.asarray(1 / call.real(1, "divisor").astype(np.float64), np.float32)
    if x.dtype != FLOAT32:
        raise call.fail(f"it is supported for float32 only, got {x.dtype}")
    shape = broadcast(x.shape, inverse.shape)
    return ended(call, call.emit(Binary, [x], shape, kind="mul", constant=inverse))


def _combined(call: TfliteCall, kind: Literal["add", "mul"], sign: int = 1) -> Operand:
    first, second = call.value(0), call.value(1)
    x = first if isinstance(first, Tensor) else call.tensor(1)
    shape = broadcast(first.shape, second.shape)
    if x.dtype != FLOAT32:
        return _of_bytes(call, kind, sign, shape)
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if first.dtype != second.dtype:
            raise call.fail(f"its inputs must be of one type, got {first.dtype}, {second.dtype}")
        if sign < 0:
            minus = np.float32(-1)
            second = call.emit(Binary, [second], second.shape, kind="mul", constant=minus)
        return ended(call, call.emit(Binary, [first, second], shape, kind=kind))
    constant = call.real(0 if second is x else 1, "constant")
    if sign < 0 and second is x:
        x = call.emit(Binary, [x], x.shape, kind="mul", constant=np.float32(-1))
    elif sign < 0:
        constant = -constant
    while constant.ndim and constant.shape[0] == 1 and constant.ndim <= len(x.shape):
        constant = constant[0]
    return ended(call, call.emit(Binary, [x], shape, kind=kind, constant=np.asarray(constant)))


def _of_bytes(
    call: TfliteCall, kind: Literal["add", "mul"], sign: int, shape: tuple[int, ...]
) -> Operand:
    """A sum, difference or product of integers, one of which may be a constant."""
    values = [call.value(0), call.value(1)]
    types = {v.dtype.numpy if isinstance(v, Tensor) else v.dtype for v in values}
    x = next(value for value in values if isinstance(value, Tensor))
    if len(types) != 1:
        raise call.fail(f"its inputs must be of one type, got {sorted(map(str, types))}")
    scales = [call.builder.declared(index)[1] for index in call.op.inputs[:2]]
    if scales[0] is None or scales[1] is None:
        raise call.fail("its inputs must have a scale each")
    rest = (call.result(x), call.op.activation, x.dtype)
    if kind == "mul":
        product = of_product(scales[0], scales[1], *rest)
        how: ScaledProduct | WeightedSum = product if x is values[0] else product.swapped()
    else:
        total = of_sum(scales[0], scales[1], *rest, sign=sign)
        how = total if x is values[0] else total.swapped()
    tensors = [value for value in values if isinstance(value, Tensor)]
    constant = next((value for value in values if not isinstance(value, Tensor)), None)
    return call.emit(Binary, tensors, shape, kind=kind, constant=constant, integers=how)


def softmax(call: TfliteCall) -> Operand:
    """SOFTMAX along the last axis, of `beta` times the input."""
    x, beta = call.tensor(), call.op.beta
    if not x.shape or not 0 < beta < np.inf:
        raise call.fail(f"beta must be a number above 0, got {beta}")
    axis = len(x.shape) - 1
    if x.dtype != FLOAT32:
        how = of_softmax(call.scale(x), beta, call.result(x), x.dtype)
        return call.emit(Softmax, [x], x.shape, axis=axis, integers=how)
    if beta != 1:
        x = call.emit(Binary, [x], x.shape, kind="mul", constant=np.float32(beta))
    return call.emit(Softmax, [x], x.shape, axis=axis)


def l2_normalization(call: TfliteCall) -> Operand:
    """L2_NORMALIZATION: along the last axis, divided by the length."""
    x = call.tensor()
    if x.dtype != FLOAT32 or not x.shape:
        raise call.fail(f"it is supported for float32 only, got {x.dtype} {x.shape}")
    shape, last = (*x.shape[:-1], 1), len(x.shape) - 1
    length = call.emit(Reduce, [x], shape, kind="l2", axes=(last,), keep=True)
    above = call.emit(Activate, [length], shape, activation=Activation("clip", low=_SHORTEST))
    inverse = call.emit(Activate, [above], shape, activation=Activation("reciprocal"))
    return ended(call, call.emit(Binary, [x, inverse], x.shape, kind="mul"))


def quantize(call: TfliteCall) -> Operand:
    """QUANTIZE: from float32 to integers, or from integers to others."""
    x = call.tensor()
    kind, to = call.declared
    if kind not in BYTES or to is None:
        raise call.fail(f"its output must be int8 or uint8 with a scale, got {kind}")
    if x.dtype == FLOAT32:
        return call.emit(Quantize, [x], x.shape, kind, quantization=to, dtype=kind, inverse=True)
    return _looked_up(call, x, tables.converted(call.scale(x), x.dtype, to, kind), kind)


def dequantize(call: TfliteCall) -> Operand:
    """DEQUANTIZE: of constants now, of values when the network runs."""
    x = call.value(0)
    if not isinstance(x, Tensor):
        return call.real(0, "input")
    return call.emit(Dequantize, [x], x.shape, FLOAT32, quantization=call.scale(x))


def cast(call: TfliteCall) -> Operand:
    """CAST of a constant, or of a value to what it is already."""
    x, kind = call.value(0), call.declared[0]
    if isinstance(x, Tensor):
        if x.dtype != kind:
            raise call.fail(f"{x.dtype} cannot be cast to {kind}")
        return x
    if kind not in TYPES.values() or x.dtype.kind not in "iuf":
        raise call.fail(f"{x.dtype} cannot be cast to {kind}")
    call.builder.spend(x.shape, kind.size)
    with np.errstate(all="ignore"):
        return x.astype(kind.numpy)
