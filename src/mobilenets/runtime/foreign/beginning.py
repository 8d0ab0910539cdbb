"""The arithmetic that a graph begins with, before its first layer: what it makes of a colour.

Each value is followed for an image of one pixel, as sums of red, green, blue and 1: an array whose
last axis has the four factors. Whatever an exporter writes for a subtraction, a division or
another order of channels comes out as the same numbers.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from mobilenets.runtime.foreign.parts import Links, attributes

Factors = NDArray[np.float64]
"""(channels, 4): of the input's three channels, in its own order, and of 1."""
_LARGEST = 16
"""Sides of constants from this on are those of an image: its mean is taken."""
_ASIDE = ("Shape", "Size", "ConstantOfShape", "Range")


def beginning(graph: onnx.GraphProto, name: str, channels_last: bool) -> Factors | None:
    """What the first layer gets of the input `name`; None where that is no sum of its channels."""
    links = Links(graph)
    shape = (1, 1, 1, 3, 1) if channels_last else (1, 3, 1, 1, 1)
    colours = np.broadcast_to(np.eye(3, 4).reshape(*(s if s == 3 else 1 for s in shape[:4]), 4),
                              (*shape[:4], 4))  # fmt: skip
    known: dict[str, NDArray[np.float64]] = {name: colours}
    for node in graph.node:
        used = [one for one in node.input if one in known]
        if not used or node.op_type in _ASIDE:
            continue
        try:
            made = _OPERATORS[node.op_type](_Call(links, node, known))
        except (KeyError, ValueError, IndexError, TypeError, OverflowError):
            return _channels(known[used[0]])
        known.update(zip(node.output, made if isinstance(made, list) else [made], strict=False))
    return None


def _channels(value: NDArray[np.float64]) -> Factors | None:
    """The factors by channel, where one axis has them."""
    sides = [axis for axis, size in enumerate(value.shape[:-1]) if size == 3]
    if len(sides) > 1 or (not sides and value.size != 4):
        return None
    if not sides:
        return value.reshape(1, 4)
    rows = np.moveaxis(value, sides[0], 0).reshape(3, -1, 4)
    return np.asarray(rows.mean(1))


class _Call:
    """A node with its inputs: values that depend on the image, and constants."""

    def __init__(
        self, links: Links, node: onnx.NodeProto, known: Mapping[str, NDArray[np.float64]]
    ) -> None:
        self.links, self.node, self.known = links, node, known
        self.fields = attributes(node)

    def value(self, index: int = 0) -> NDArray[np.float64]:
        """Input `index` as factors; ValueError for one that is not known."""
        name = self.node.input[index]
        if name in self.known:
            return self.known[name]
        return _constant_factors(self.constant(index))

    def constant(self, index: int) -> NDArray[Any]:
        """Input `index`, a constant; ValueError for another."""
        found = self.links.constant(self.node.input[index])
        if found is None:
            raise ValueError("not a constant")
        return found

    def listed(self, index: int, field: str) -> list[int]:
        """A list of whole numbers, an input or an attribute."""
        if len(self.node.input) > index and self.node.input[index]:
            return [int(one) for one in self.constant(index).ravel()]
        return [int(one) for one in self.fields[field]]

    def axis(self, default: int = 0) -> int:
        """The attribute `axis`, counted from the front."""
        rank = self.value().ndim - 1
        return int(self.fields.get("axis", default)) % rank


def _constant_factors(value: NDArray[Any]) -> NDArray[np.float64]:
    numbers = value.astype(np.float64)
    sides = tuple(axis for axis, size in enumerate(numbers.shape) if size >= _LARGEST)
    numbers = numbers.mean(sides, keepdims=True) if sides else numbers
    return np.stack([np.zeros_like(numbers)] * 3 + [numbers], -1)


def _same(call: _Call) -> NDArray[np.float64]:
    """Resized, padded, cut: as far as one pixel shows it, the same."""
    return call.value()


def _cast(call: _Call) -> NDArray[np.float64]:
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    if call.fields["to"] not in floats:
        raise ValueError("whole numbers")
    return call.value()


def _add(call: _Call) -> NDArray[np.float64]:
    return np.asarray(call.value(0) + call.value(1))


def _sub(call: _Call) -> NDArray[np.float64]:
    return np.asarray(call.value(0) - call.value(1))


def _factor(call: _Call, index: int) -> NDArray[np.float64]:
    """The plain numbers of an input that does not depend on the image."""
    if call.node.input[index] in call.known and call.value(index)[..., :3].any():
        raise ValueError("a product of two values")
    return call.value(index)[..., 3:]


def _mul(call: _Call) -> NDArray[np.float64]:
    first = call.node.input[0] in call.known
    return np.asarray(call.value(0 if first else 1) * _factor(call, 1 if first else 0))


def _div(call: _Call) -> NDArray[np.float64]:
    with np.errstate(all="ignore"):
        return np.asarray(call.value(0) / _factor(call, 1))


def _neg(call: _Call) -> NDArray[np.float64]:
    return -call.value()


def _norm(call: _Call) -> NDArray[np.float64]:
    scale, bias, mean, var = (call.constant(i).astype(np.float64) for i in range(1, 5))
    factor = scale / np.sqrt(var + call.fields.get("epsilon", 1e-5))
    shape = (-1, *(1,) * (call.value().ndim - 3))
    made = call.value() * factor.reshape(*shape, 1)
    made[..., 3] += (bias - mean * factor).reshape(shape)
    return np.asarray(made)


def _transpose(call: _Call) -> NDArray[np.float64]:
    rank = call.value().ndim - 1
    order = call.fields.get("perm", list(range(rank))[::-1])
    return np.asarray(call.value().transpose(*order, rank))


def _reshape(call: _Call) -> NDArray[np.float64]:
    """Of an image to an image: the channels must stay where they are."""
    wanted = [int(one) for one in call.constant(1).ravel()]
    places = [axis for axis, size in enumerate(call.value().shape[:-1]) if size == 3]
    if len(wanted) != call.value().ndim - 1 or [wanted[axis] for axis in places] != [3]:
        raise ValueError("another shape")
    return call.value()


def _squeeze(call: _Call) -> NDArray[np.float64]:
    rank = call.value().ndim - 1
    axes = tuple(axis % rank for axis in call.listed(1, "axes"))
    return call.value().squeeze(axes)


def _unsqueeze(call: _Call) -> NDArray[np.float64]:
    axes = call.listed(1, "axes")
    rank = call.value().ndim - 1 + len(axes)
    return np.expand_dims(call.value(), tuple(axis % rank for axis in axes))


def _gather(call: _Call) -> NDArray[np.float64]:
    axis = call.axis()
    if call.value().shape[axis] == 1 and call.constant(1).ndim:
        return call.value()  # some of the pixels
    return np.take(call.value(), call.constant(1).astype(np.int64), axis)


def _slice(call: _Call) -> NDArray[np.float64]:
    value = call.value()
    starts, ends = call.listed(1, "starts"), call.listed(2, "ends")
    given = len(call.node.input) > 3 or "axes" in call.fields
    axes = call.listed(3, "axes") if given else list(range(len(starts)))
    steps = call.listed(4, "steps") if len(call.node.input) > 4 else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        axis %= value.ndim - 1
        if value.shape[axis] > 1:  # else some of the pixels
            taken = list(range(value.shape[axis]))[start:end:step]
            value = value.take(taken, axis)
    return value


def _split(call: _Call) -> list[NDArray[np.float64]]:
    axis, count = call.axis(), len(call.node.output)
    if "split" in call.fields or len(call.node.input) > 1:
        ends = np.cumsum(call.listed(1, "split"))[:-1]
        return list(np.split(call.value(), ends, axis))
    return list(np.split(call.value(), count, axis))


def _concat(call: _Call) -> NDArray[np.float64]:
    return np.concatenate([call.value(i) for i in range(len(call.node.input))], call.axis())


def _conv(call: _Call) -> NDArray[np.float64]:
    """A 1x1 convolution that leaves three channels three: a product and a sum in another dress."""
    weight = call.constant(1).astype(np.float64)
    groups = call.fields.get("group", 1)
    if weight.shape not in ((3, 3, 1, 1), (3, 1, 1, 1)) or call.value().shape[:-1] != (1, 3, 1, 1):
        raise ValueError("a layer")
    weight = weight[:, :, 0, 0]
    matrix = np.diag(weight[:, 0]) if groups == 3 else weight
    made = matrix @ call.value().reshape(3, 4)
    if len(call.node.input) > 2:
        made[:, 3] += call.constant(2)
    return np.asarray(made.reshape(1, 3, 1, 1, 4))


_OPERATORS: Mapping[str, Callable[[_Call], Any]] = {
    "Add": _add,
    "BatchNormalization": _norm,
    "Cast": _cast,
    "Clip": _same,
    "Concat": _concat,
    "Conv": _conv,
    "DequantizeLinear": _same,
    "Div": _div,
    "Dropout": _same,
    "Gather": _gather,
    "Identity": _same,
    "Mul": _mul,
    "Neg": _neg,
    "Pad": _same,
    "QuantizeLinear": _same,
    "Reshape": _reshape,
    "Resize": _same,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Sub": _sub,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Upsample": _same,
}
