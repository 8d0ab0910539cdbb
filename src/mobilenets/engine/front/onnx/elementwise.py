"""Operators on each element by itself, or on pairs of elements."""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import broadcast
from mobilenets.engine.front.onnx.builder import OpCall
from mobilenets.engine.ir.graph import Activate, Activation, Array, Binary, Tensor
from mobilenets.engine.ir.reference import activate
from mobilenets.engine.ir.types import FLOAT32, INT64

_CAST_TO = {FLOAT32: (1,), INT64: (6, 7)}
"""Type of a running value -> ONNX's numbers of types it may be cast to: itself, or int32."""


def _activated(call: OpCall, activation: Activation) -> Operand:
    x = call.value(0)
    if isinstance(x, Tensor):
        x = call.tensor()
        return call.emit(Activate, [x], x.shape, activation=activation)
    call.builder.spend(x.shape, 4)
    return activate(activation, call.floats(0, "input"))


def relu(call: OpCall) -> Operand:
    """Relu: a clip from 0 on."""
    return _activated(call, Activation("clip", 0.0))


def clip(call: OpCall) -> Operand:
    """Clip, with its limits as attributes (opset 6) or inputs (11)."""
    if call.opset < 11:
        low, high = call.number("min", -np.inf), call.number("max", np.inf)
    else:
        low, high = _limit(call, 1, -np.inf), _limit(call, 2, np.inf)
    return _activated(call, Activation("clip", low, high))


def leaky_relu(call: OpCall) -> Operand:
    """LeakyRelu: x, and `alpha` x below 0; 0.01 where the file is silent."""
    return _activated(call, Activation("leaky", alpha=call.number("alpha", 0.01)))


def maximum(call: OpCall) -> Operand:
    """Max of a value and a constant number."""
    tensor, number = _with_number(call)
    return call.emit(Activate, [tensor], tensor.shape, activation=Activation("clip", low=number))


def minimum(call: OpCall) -> Operand:
    """Min of a value and a constant number."""
    tensor, number = _with_number(call)
    return call.emit(Activate, [tensor], tensor.shape, activation=Activation("clip", high=number))


def _with_number(call: OpCall) -> tuple[Tensor, float]:
    if len(call.inputs) != 2:
        raise call.fail("a value and a constant number are supported")
    index = 0 if isinstance(call.value(0), Tensor) else 1
    return call.tensor(index), _limit(call, 1 - index, np.nan)


def _limit(call: OpCall, index: int, default: float) -> float:
    if not call.has(index):
        return default
    value = call.floats(index, "limit")
    if value.size != 1 or np.isnan(value).any():
        raise call.fail(f"its limits must be single numbers, got shape {value.shape}")
    return float(value.ravel()[0])


def sigmoid(call: OpCall) -> Operand:
    """Sigmoid: 1 / (1 + exp(-x))."""
    return _activated(call, Activation("sigmoid"))


def exp(call: OpCall) -> Operand:
    """Exp: e to the x."""
    return _activated(call, Activation("exp"))


def reciprocal(call: OpCall) -> Operand:
    """Reciprocal: 1 / x."""
    return _activated(call, Activation("reciprocal"))


def sqrt(call: OpCall) -> Operand:
    """Sqrt: the square root; NaN below 0."""
    return _activated(call, Activation("sqrt"))


def log(call: OpCall) -> Operand:
    """Log: the natural logarithm; NaN below 0."""
    return _activated(call, Activation("log"))


def power(call: OpCall) -> Operand:
    """Pow with one constant exponent above 0: 2 is x times x, 0.5 the square root.

    Other whole ones up to 8 are products too; all else is e to the exponent times log x, which as
    in ONNX is NaN below 0.
    """
    exponent, x = call.constant(1, "exponent"), call.tensor()
    if exponent.size != 1 or exponent.ndim > len(x.shape) or not 0 < exponent.flat[0] < np.inf:
        raise call.fail("its exponent must be one number above 0")
    value = float(exponent.flat[0])
    if value == 0.5:
        return sqrt(call)
    if value in range(1, 9):
        found = x
        for _ in range(int(value) - 1):
            found = _both(call, "mul", found, x)
        return found
    logarithm = call.emit(Activate, [x], x.shape, activation=Activation("log"))
    scaled = scale_by(call, logarithm, np.float64(value))
    return call.emit(Activate, [scaled], x.shape, activation=Activation("exp"))


def hard_sigmoid(call: OpCall) -> Operand:
    """HardSigmoid: clip(alpha x + beta, 0, 1); `alpha` is 0.2 where the file is silent."""
    alpha, beta = call.number("alpha", 0.2), call.number("beta", 0.5)
    return _activated(call, Activation("hardsigmoid", alpha=alpha, beta=beta))


def hard_swish(call: OpCall) -> Operand:
    """HardSwish: x clip(x / 6 + 1/2, 0, 1)."""
    return _activated(call, Activation("hardswish"))


def swish(call: OpCall) -> Operand:
    """Swish with alpha 1, which is SiLU: x sigmoid(x)."""
    if call.number("alpha", 1.0) != 1:
        raise call.fail("alpha must be 1")
    return _activated(call, Activation("silu"))


def add(call: OpCall) -> Operand:
    """Add, with numpy's broadcasting."""
    return _combined(call, "add")


def mul(call: OpCall) -> Operand:
    """Mul, with numpy's broadcasting."""
    return _combined(call, "mul")


def sub(call: OpCall) -> Operand:
    """Sub, as a sum: a constant changes its sign here, a tensor is multiplied by -1."""
    first, second = call.value(0), _aligned(call)
    if not isinstance(second, Tensor):
        return shift_by(call, call.tensor(0), -_exact(call, second))
    negated = scale_by(call, call.tensor(1), np.float64(-1))
    if not isinstance(first, Tensor):
        return shift_by(call, negated, _exact(call, first))
    return _both(call, "add", call.tensor(0), negated)


def div(call: OpCall) -> Operand:
    """Div, as a product with the reciprocal of the divisor."""
    first, divisor = call.value(0), _aligned(call)
    if isinstance(divisor, Tensor):
        x = call.tensor(1)
        inverse = call.emit(Activate, [x], x.shape, activation=Activation("reciprocal"))
        if isinstance(first, Tensor):
            return _both(call, "mul", call.tensor(0), inverse)
        return scale_by(call, inverse, _exact(call, first))
    with np.errstate(all="ignore"):
        return scale_by(call, call.tensor(0), 1 / _exact(call, divisor))


def scale_by(call: OpCall, x: Tensor, factor: NDArray[np.float64] | np.float64) -> Tensor:
    """The product of x and a constant."""
    return _with_constant(call, "mul", x, np.asarray(factor))


def shift_by(call: OpCall, x: Tensor, shift: NDArray[np.float64] | np.float64) -> Tensor:
    """The sum of x and a constant."""
    return _with_constant(call, "add", x, np.asarray(shift))


def _combined(call: OpCall, kind: Literal["add", "mul"]) -> Operand:
    first, second = call.value(0), _aligned(call)
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        return _both(call, kind, call.tensor(0), call.tensor(1))
    if isinstance(first, Tensor):
        assert not isinstance(second, Tensor)
        return _with_constant(call, kind, call.tensor(0), _exact(call, second))
    return _with_constant(call, kind, call.tensor(1), _exact(call, first))


def _both(call: OpCall, kind: str, first: Tensor, second: Tensor) -> Tensor:
    shape = broadcast(first.shape, second.shape)
    return call.emit(Binary, [first, second], shape, kind=kind)


def _with_constant(call: OpCall, kind: str, x: Tensor, constant: NDArray[np.float64]) -> Tensor:
    shape = broadcast(x.shape, constant.shape)
    while constant.ndim and constant.shape[0] == 1 and constant.ndim <= len(x.shape):
        constant = constant[0]
    if shape == x.shape and constant.size and (constant == constant.flat[0]).all():
        constant = constant.flat[0]  # as a number it needs no loop of its own
    with np.errstate(all="ignore"):
        stored: Array = np.asarray(constant, np.float32)
    return call.emit(Binary, [x], shape, kind=kind, constant=stored)


def _exact(call: OpCall, value: NDArray[Any]) -> NDArray[np.float64]:
    if value.dtype.kind != "f":
        raise call.fail(f"its inputs must be float32, got {value.dtype}")
    call.builder.spend(value.shape, 12)
    return value.astype(np.float64)


def _aligned(call: OpCall) -> Operand:
    """The second input; before opset 7 an attribute says where a constant's axes belong."""
    second = call.value(1)
    if call.opset >= 7 or isinstance(second, Tensor) or "axis" not in call.op.attributes:
        return second
    rank = len(call.value(0).shape)
    after = rank - call.axis(call.integer("axis"), rank) - second.ndim
    if after < 0:
        raise call.fail(f"its second input {second.shape} does not fit")
    return second.reshape(*second.shape, *(1,) * after)


def cast(call: OpCall) -> Operand:
    """Cast to what the value is already, or of an ArgMax's indices to int32."""
    x = call.any_tensor()
    if call.integer("to") not in _CAST_TO.get(x.dtype, ()):
        raise call.fail(f"a {x.dtype} value cannot be cast to type {call.integer('to')}")
    return x
