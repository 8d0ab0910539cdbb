"""Whether each image of a batch is answered for itself, as a network that runs one by one does.

The file is translated twice, for one image and for several, by the same rules. Shapes then show
along which axis the images of every value lie: the one that grows. Nodes that differ in anything
else depend on how many images there are; and a few kinds can mix images without showing it in a
shape. What fails here has another answer in ONNX Runtime for a batch than for its images alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from mobilenets.engine.front.assembly import Assembly
from mobilenets.engine.front.limits import quote
from mobilenets.engine.ir.graph import (
    Activate,
    ArgMax,
    Binary,
    Concat,
    Conv,
    Dense,
    Dequantize,
    Expand,
    Lookup,
    Node,
    Pad,
    Pool,
    Quantize,
    Reduce,
    Reshape,
    Resize,
    Shape,
    Slice,
    Softmax,
    Transpose,
)
from mobilenets.errors import WeightsError


def check_apart(one: Assembly, several: Assembly, outputs: Sequence[str]) -> None:
    """WeightsError, naming the node, unless the images of a batch are independent."""
    for index, node in enumerate(several.nodes):
        if index >= len(one.nodes) or not _same(one.nodes[index], node):
            raise _mixed(node)
        places = [_axis(one, several, name) for name in (*node.inputs, node.output)]
        known = [place for place in places if place is not None]
        shapes = [one.tensors[name].shape for name in (*node.inputs, node.output)]
        if len(known) != len(places) or not _RULES[type(node)](node, known, shapes):
            raise _mixed(node)
    for name in outputs:
        if _axis(one, several, name) != 0:
            raise WeightsError(
                f"output {quote(name)} does not have its images along the first axis"
            )


def _mixed(node: Node) -> WeightsError:
    return WeightsError(
        f"node {quote(node.name)}: it mixes the images of a batch, which run one by one here"
    )


def _same(first: Node, second: Node) -> bool:
    """Whether two nodes are alike in all but their shapes."""
    if type(first) is not type(second):
        return False
    return _alike(first, second)


def _alike(first: Any, second: Any) -> bool:
    pairs = ((getattr(first, f.name), getattr(second, f.name)) for f in fields(first))
    return all(_equal(a, b) for a, b in pairs)


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) and isinstance(b, np.ndarray):
        # The same memory is most often behind both, and need not be read.
        shared = a.ctypes.data == b.ctypes.data and a.strides == b.strides
        return a.shape == b.shape and (shared or np.array_equal(a, b, equal_nan=True))
    if is_dataclass(a) and type(a) is type(b):
        return _alike(a, b)
    return bool(a == b)


def _axis(one: Assembly, several: Assembly, name: str) -> int | None:
    """The axis along which a value has its images; None where it has not all of them.

    The batch is the outermost part of that axis.
    """
    if name not in one.tensors or name not in several.tensors:
        return None
    alone, all_ = one.tensors[name].shape, several.tensors[name].shape
    if len(alone) != len(all_):
        return None
    grown = [axis for axis, size in enumerate(alone) if size != all_[axis]]
    if len(grown) != 1 or all_[grown[0]] != several.images * alone[grown[0]]:
        return None
    return grown[0]


def _aligned(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    """Element by element: axes are counted from the last one."""
    return len({axis - len(shape) for axis, shape in zip(axes, shapes, strict=True)}) == 1


def _image(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    return not any(axes)


def _dense(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    return axes[0] == axes[1] < len(shapes[0]) - 1


def _reduce(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    assert isinstance(node, Reduce)
    gone = 0 if node.keep else sum(axis < axes[0] for axis in node.axes)
    return axes[0] not in node.axes and axes[1] == axes[0] - gone


def _arg_max(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    assert isinstance(node, ArgMax)
    gone = 0 if node.keep or node.axis > axes[0] else 1
    return axes[0] != node.axis and axes[1] == axes[0] - gone


def _softmax(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    assert isinstance(node, Softmax)
    return axes[0] != node.axis


def _reshape(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    """As many elements lie before an image's first one as did before."""
    before, after = (math.prod(s[:axis]) for axis, s in zip(axes, shapes, strict=True))
    return before == after


def _transpose(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    assert isinstance(node, Transpose)
    return node.order[axes[1]] == axes[0]


def _concat(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    assert isinstance(node, Concat)
    return len(set(axes)) == 1 and axes[0] != node.axis


def _pad(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    assert isinstance(node, Pad)
    return axes[0] == axes[1] and not node.before[axes[0]] and not node.after[axes[0]]


def _slice(node: Node, axes: list[int], shapes: list[Shape]) -> bool:
    assert isinstance(node, Slice)
    whole = node.starts[axes[0]] == 0 and node.steps[axes[0]] == 1
    return axes[0] == axes[1] and whole


_RULES: Mapping[type[Node], Callable[[Any, list[int], list[Shape]], bool]] = {
    Activate: _aligned,
    ArgMax: _arg_max,
    Binary: _aligned,
    Concat: _concat,
    Conv: _image,
    Dense: _dense,
    Dequantize: _aligned,
    Expand: _aligned,
    Lookup: _aligned,
    Pad: _pad,
    Pool: _image,
    Quantize: _aligned,
    Reduce: _reduce,
    Reshape: _reshape,
    Resize: _image,
    Slice: _slice,
    Softmax: _softmax,
    Transpose: _transpose,
}
"""For each kind: whether images stay apart that lie along these axes of inputs and output."""
