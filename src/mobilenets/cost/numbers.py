"""Numbers that a graph computes about shapes, worked out where shape inference does not."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx

    from mobilenets.models.costs import Shape

MOST = 64
"""Elements of such a tensor: a few for each dimension. Weights have more."""
WORKED_OUT = {
    *("Abs", "Add", "Cast", "Ceil", "Concat", "Constant", "ConstantOfShape", "Div", "Equal"),
    *("Floor", "Gather", "Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Not"),
    *("Reshape", "Slice", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"),
}
"""Operators whose results are about as small as their inputs. Others (Expand, Range, Tile) can make
gigabytes of a few numbers, which a damaged file may ask for."""


def fold_numbers(model: onnx.ModelProto, shapes: dict[str, Shape]) -> bool:
    """Write what follows from `shapes` into the graph, in place; whether anything did.

    An older exporter of torch works out paddings from the input's size, node by node (Shape,
    Gather, Sub, Div, Cast, ...). Such nodes become constants: by these, shape inference goes on.
    """
    from onnx import numpy_helper
    from onnx.reference import ReferenceEvaluator

    graph = model.graph
    opsets = {one.domain: one.version for one in model.opset_import}
    small = (one for one in graph.initializer if _size(one.dims) <= MOST)
    known: dict[str, NDArray[np.generic]] = {
        one.name: numpy_helper.to_array(one) for one in small if not one.external_data
    }
    left, found = [], []
    for node in graph.node:
        values: list[NDArray[np.generic]] = []
        if node.op_type == "Shape" and node.input and node.input[0] in shapes:
            start, end = (_attribute(node, name) for name in ("start", "end"))
            values = [np.array(shapes[node.input[0]][start or 0 : end], np.int64)]
        elif _can_be_worked_out(node, known):
            feed = {name: known[name] for name in node.input if name}
            try:
                results: Any = ReferenceEvaluator(node, opsets=opsets).run(None, feed)
                values = list(results)
            except Exception:  # an operator that it has not, or numbers that do not fit
                values = []
        if len(values) != len(node.output) or any(np.size(one) > MOST for one in values):
            left.append(node)
            continue
        for name, value in zip(node.output, values, strict=True):
            known[name] = np.asarray(value)
            found.append(numpy_helper.from_array(known[name], name))
    if not found:
        return False
    del graph.node[:]
    graph.node.extend(left)
    graph.initializer.extend(found)
    return True


def _can_be_worked_out(node: onnx.NodeProto, known: dict[str, NDArray[np.generic]]) -> bool:
    if node.domain or node.op_type not in WORKED_OUT:
        return False
    if not all(name in known for name in node.input if name):
        return False
    return node.op_type != "ConstantOfShape" or all(_size(known[n]) <= MOST for n in node.input)


def _size(dims: object) -> int:
    return math.prod(np.array(dims, np.int64).ravel().tolist())


def _attribute(node: onnx.NodeProto, name: str) -> int | None:
    return next((int(one.i) for one in node.attribute if one.name == name), None)
