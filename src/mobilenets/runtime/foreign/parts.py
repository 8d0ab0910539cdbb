"""Finding one's way in an ONNX graph: who gives a value, who reads it, what a constant is."""

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

_MOST = 4 * 1024 * 1024
"""Elements of a constant that is worth reading here: a mean image, not a layer's weights."""

_DEEPEST = 16
"""Nodes between a constant and who reads it."""


class Links:
    """A graph's nodes by what they give and read."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.graph = graph
        self._stored = {tensor.name: tensor for tensor in graph.initializer}
        self._givers = {name: node for node in graph.node for name in node.output if name}

    def giver(self, name: str) -> onnx.NodeProto | None:
        """The node that gives a value; None for inputs and constants."""
        return self._givers.get(name)

    def readers(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that read a value, in the file's order."""
        return [node for node in self.graph.node if name in node.input]

    def constant(self, name: str) -> NDArray[Any] | None:
        """A constant of the file itself; None for others, and for what cannot be read here."""
        for _ in range(_DEEPEST):
            if name in self._stored:
                return _array(self._stored[name])
            node = self._givers.get(name)
            if node is None or not (node.input or node.op_type == "Constant"):
                return None
            if node.op_type == "Constant":
                return _given(node)
            if node.op_type not in ("Identity", "Cast"):
                return None
            name = node.input[0]
        return None

    def number(self, name: str) -> float | None:
        """A constant that is one number."""
        value = self.constant(name)
        if value is None or value.size != 1 or value.dtype.kind not in "fiu":
            return None
        return float(value.ravel()[0])


def _given(node: onnx.NodeProto) -> NDArray[Any] | None:
    """What a Constant holds."""
    values = attributes(node)
    if isinstance(values.get("value"), onnx.TensorProto):
        return _array(values["value"])
    for key in ("value_float", "value_floats", "value_int", "value_ints"):
        if key in values:
            return np.asarray(values[key])
    return None


def _array(tensor: onnx.TensorProto) -> NDArray[Any] | None:
    outside = tensor.data_location == onnx.TensorProto.EXTERNAL
    if outside or np.prod(tensor.dims, dtype=float) > _MOST:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError):  # damaged: whoever runs the file says so
        return None


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """A node's attributes by name, as Python's, without those of no known kind."""
    known = [one for one in node.attribute if one.type in range(1, 9)]
    return {one.name: onnx.helper.get_attribute_value(one) for one in known}
