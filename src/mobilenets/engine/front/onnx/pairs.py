"""Integers written as floats: what stands between a DequantizeLinear and a QuantizeLinear.

Programs that quantise write x -> DequantizeLinear -> Conv -> QuantizeLinear, and mean the operation
on integers. Such three become the one operator of integers that ONNX Runtime makes of them, too.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from mobilenets.engine.front.onnx.reader import OnnxModel, Op

_WEIGHTED = {"Conv": "QLinearConv", "Gemm": "com.microsoft.QGemm"}
_NO_PARTS = ("block_size",)


@dataclass(frozen=True)
class _Made:
    """What makes each value, and how often each is read."""

    by: Mapping[str, Op]
    reads: Counter[str]

    def dequantized(self, name: str) -> Op | None:
        """The DequantizeLinear that makes a value, of one scale and zero point."""
        op = self.by.get(name)
        whole = op is not None and op.kind == "DequantizeLinear" and _plain(op)
        return op if whole else None


def joined(model: OnnxModel) -> OnnxModel:
    """The model with such three operators as one; others stay as they are."""
    reads = Counter(name for op in model.ops for name in op.inputs)
    reads.update(model.outputs)
    made = _Made({name: op for op in model.ops for name in op.outputs}, reads)
    instead: dict[str, Op] = {}
    for op in model.ops:
        inner = made.by.get(op.inputs[0]) if op.kind == "QuantizeLinear" and op.inputs else None
        if inner is None or not _plain(op) or made.reads[inner.outputs[0]] != 1:
            continue
        one = _of_weights(inner, op, made, model) or _of_sum(inner, op, made)
        if one is not None:
            instead[op.outputs[0]] = one
    return replace(model, ops=tuple(instead.get(op.outputs[0], op) for op in model.ops))


def _plain(op: Op) -> bool:
    """Whether it has a scale and a zero point, and no blocks."""
    parts = any(op.attributes.get(name) for name in _NO_PARTS)
    return len(op.inputs) == 3 and all(op.inputs) and not parts


def _of_weights(op: Op, last: Op, made: _Made, model: OnnxModel) -> Op | None:
    """A convolution or a product with constant weights."""
    if op.kind not in _WEIGHTED or not 2 <= len(op.inputs) <= 3:
        return None
    parts = [made.dequantized(name) for name in op.inputs]
    x, weight, bias = (*parts, None)[:3]
    if x is None or weight is None or not _by_output(op, weight, model):
        return None
    if len(op.inputs) == 3 and op.inputs[2] and bias is None:
        return None
    added = [bias.inputs[0]] if bias is not None else []
    scaled = list(last.inputs[1:])
    if op.kind == "Gemm":
        return _one(op, last, [*x.inputs, *weight.inputs, *(added or [""]), *scaled])
    return _one(op, last, [*x.inputs, *weight.inputs, *scaled, *added])


def _by_output(op: Op, weight: Op, model: OnnxModel) -> bool:
    """Whether weights are constant, with one scale or one for each output."""
    stored, scale = (model.constants.get(name) for name in weight.inputs[:2])
    if stored is None or scale is None:
        return False
    along = 1 if op.kind == "Gemm" and not op.attributes.get("transB") else 0
    axis = weight.attributes.get("axis", 1)
    return scale.size == 1 or axis in (along, along - stored.ndim)


def _of_sum(op: Op, last: Op, made: _Made) -> Op | None:
    """A sum of two values."""
    if op.kind != "Add" or len(op.inputs) != 2:
        return None
    first, second = (made.dequantized(name) for name in op.inputs)
    if first is None or second is None:
        return None
    inputs = [*first.inputs, *second.inputs, *last.inputs[1:]]
    return replace(_one(op, last, inputs), kind="com.microsoft.QLinearAdd")


def _one(op: Op, last: Op, inputs: Sequence[str]) -> Op:
    """The operator of integers, under the name of what it computes."""
    kind = _WEIGHTED.get(op.kind, op.kind)
    return Op(op.name, kind, tuple(inputs), last.outputs, op.attributes)
