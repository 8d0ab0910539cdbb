"""Operators of integers, of ONNX and of ONNX Runtime."""

from typing import Any

import numpy as np

from mobilenets.engine.front.assembly import Constant, Operand
from mobilenets.engine.front.limits import broadcast
from mobilenets.engine.front.onnx.builder import OpCall
from mobilenets.engine.front.onnx.layers import convolution
from mobilenets.engine.front.scales import of_float_sum, of_sums
from mobilenets.engine.ir.graph import Binary, Conv, Dense, Dequantize, Node, Quantize, Tensor
from mobilenets.engine.ir.integers import Quantization, Requantize
from mobilenets.engine.ir.types import FLOAT32, INT8, UINT8, ElementType

_TYPES = {np.dtype(np.int8): INT8, np.dtype(np.uint8): UINT8}


def quantize(call: OpCall) -> Operand:
    """QuantizeLinear: x / scale rounded, halves to even, for all elements alike."""
    x = call.tensor()
    _check_parts(call)
    to, kind = _quantization(call, 1)
    fields = {"quantization": to, "dtype": kind}
    return _put(call, Quantize, [x], Tensor("", x.shape, kind, to), fields)


def dequantize(call: OpCall) -> Operand:
    """DequantizeLinear: of a constant now, of a value when the network runs."""
    _check_parts(call)
    x = call.value(0)
    if not isinstance(x, Tensor):
        return _real(call, x)
    found, kind = _quantization(call, 1)
    if x.dtype != kind:
        raise call.fail(f"its input must be {kind} as its zero point is, got {x.dtype}")
    return call.emit(Dequantize, [x], x.shape, FLOAT32, quantization=found)


def _check_parts(call: OpCall) -> None:
    call.only({"block_size": 0, "saturate": 1, "output_dtype": 0})


def _real(call: OpCall, x: Constant) -> Constant:
    """A constant as float32, with a scale for all or for each place along an axis."""
    if x.dtype.kind not in "iu" or not x.ndim <= 8:
        raise call.fail(f"its input must be integers, got {x.dtype}")
    scale = call.floats(1, "scale")
    zero = call.constant(2, "zero point") if call.has(2) else np.zeros(scale.shape, x.dtype)
    along = [1] * x.ndim
    if scale.size > 1:
        axis = call.axis(call.integer("axis", 1), x.ndim)
        if scale.shape != (x.shape[axis],):
            raise call.fail(f"{scale.shape} scales do not fit {x.shape} along axis {axis}")
        along[axis] = -1
    if zero.dtype != x.dtype or zero.shape != scale.shape or not scale.size:
        raise call.fail(f"its zero points must be {x.dtype} {scale.shape}")
    call.builder.spend(x.shape, 16)
    with np.errstate(all="ignore"):
        whole = x.astype(np.float64) - zero.reshape(along)
        return np.asarray(whole.astype(np.float32) * scale.reshape(along), np.float32)


def _quantization(call: OpCall, index: int) -> tuple[Quantization, ElementType]:
    """One scale and zero point, inputs `index` and the next; the type is the zero point's."""
    scale = call.floats(index, "scale")
    kind, zero = UINT8, 0
    if call.has(index + 1):
        given = call.constant(index + 1, "zero point")
        if given.dtype not in _TYPES or given.size != 1:
            raise call.fail(f"its zero point must be one int8 or uint8, got {given.dtype}")
        kind, zero = _TYPES[given.dtype], int(given.ravel()[0])
    if scale.size != 1 or not 0 < float(scale.ravel()[0]) < np.inf:
        raise call.fail(f"its scale must be one number above 0, got shape {scale.shape}")
    return Quantization(float(scale.ravel()[0]), zero), kind


def _whole(call: OpCall, index: int, at: int) -> tuple[Tensor, Quantization]:
    """Input `index`, a value of integers, whose scale and zero point are the next two."""
    x = call.any_tensor(index)
    found, kind = _quantization(call, at)
    if x.dtype != kind:
        raise call.fail(f"its input must be {kind} as its zero point is, got {x.dtype}")
    return x, found


def _put(
    call: OpCall, kind: type[Node], inputs: list[Tensor], like: Tensor, fields: dict[str, Any]
) -> Tensor:
    """A node whose output stands for real numbers."""
    named = call.described(like.shape, like.dtype)
    made = Tensor(named.name, like.shape, like.dtype, like.quantization)
    return call.builder.put(kind, call.title, inputs, made, fields)


def _weights(call: OpCall, index: int) -> tuple[Constant, np.ndarray[Any, Any], int]:
    """Integers, their scales (float64: one, or one for each output) and their zero point."""
    weight = call.constant(index, "weight")
    scale = call.floats(index + 1, "scale of its weights").ravel()
    zeros = np.zeros(1, weight.dtype)
    if call.has(index + 2):
        zeros = call.constant(index + 2, "zero point of its weights").ravel()
    if weight.dtype not in _TYPES or zeros.dtype != weight.dtype or not zeros.size:
        raise call.fail(f"its weights must be int8 or uint8, got {weight.dtype}")
    if not scale.size or not (np.isfinite(scale).all() and (scale > 0).all()):
        raise call.fail("the scales of its weights must be numbers above 0")
    if (zeros != zeros[0]).any():
        raise call.fail("its weights must have one zero point")
    return weight, scale.astype(np.float64), int(zeros[0])


def _requantized(
    call: OpCall, source: Quantization, scales: Any, outputs: int, at: int
) -> tuple[Requantize, Quantization, ElementType]:
    to, kind = _quantization(call, at)
    if scales.size not in (1, outputs):
        raise call.fail(f"its weights must have 1 or {outputs} scales, got {scales.size}")
    scales = scales if scales.size > 1 else scales[0]
    return of_sums(source, np.asarray(scales), to, "NONE", kind), to, kind


def _bias(call: OpCall, index: int, outputs: int) -> Constant:
    if not call.has(index):
        return np.zeros(outputs, np.int32)
    bias = call.constant(index, "bias")
    if bias.dtype != np.int32 or bias.size != outputs:
        raise call.fail(f"its bias must be {outputs} int32, got {bias.dtype} {bias.shape}")
    return bias.reshape(outputs)


def qlinear_conv(call: OpCall) -> Operand:
    """QLinearConv: x, weights and output with a scale and a zero point each, and a bias."""
    x, source = _whole(call, 0, 1)
    weight, scales, zero = _weights(call, 3)
    shape, fields = convolution(call, x, weight)
    how, to, kind = _requantized(call, source, scales, shape[1], 6)
    fields |= {"weight": weight, "bias": _bias(call, 8, shape[1]), "requantize": how}
    fields |= {"zero_point": source.zero_point, "weight_zero": zero}
    return _put(call, Conv, [x], Tensor("", shape, kind, to), fields)


def qgemm(call: OpCall) -> Operand:
    """QGemm: rows of x times constant weights, as Gemm has them."""
    x, source = _whole(call, 0, 1)
    weight, scales, zero = _weights(call, 3)
    if len(x.shape) != 2 or weight.ndim != 2 or call.number("alpha", 1.0) != 1:
        raise call.fail(f"{x.shape} times {weight.shape} is not supported")
    if call.integer("transA", 0) or call.number("beta", 1.0) != 1:
        raise call.fail("transA must be 0 and beta 1")
    call.builder.spend(weight.shape, 1)
    matrix = np.ascontiguousarray(weight.T if call.integer("transB", 0) else weight)
    if matrix.shape[0] != x.shape[1] or 0 in matrix.shape:
        raise call.fail(f"{x.shape} times {matrix.shape} is not supported")
    outputs = matrix.shape[1]
    how, to, kind = _requantized(call, source, scales, outputs, 7)
    fields = {"weight": matrix, "bias": _bias(call, 6, outputs), "requantize": how}
    fields |= {"zero_point": source.zero_point, "weight_zero": zero}
    return _put(call, Dense, [x], Tensor("", (x.shape[0], outputs), kind, to), fields)


def qlinear_add(call: OpCall) -> Operand:
    """QLinearAdd of two values, with numpy's broadcasting."""
    (first, a), (second, b) = _whole(call, 0, 1), _whole(call, 3, 4)
    to, kind = _quantization(call, 6)
    if not first.dtype == second.dtype == kind:
        raise call.fail(f"its inputs and output must be of one type, got {first.dtype}, {kind}")
    shape = broadcast(first.shape, second.shape)
    fields = {"kind": "add", "integers": of_float_sum(a, b, to, kind)}
    return _put(call, Binary, [first, second], Tensor("", shape, kind, to), fields)
