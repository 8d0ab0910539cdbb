"""Rules about transposes and reshapes: they move towards the outputs, meet there and vanish."""

from dataclasses import replace

import numpy as np

from mobilenets.engine.ir import graph as g
from mobilenets.engine.passes.rewriter import Rewriter

Axes = tuple[int, ...]

_MOVABLE = (
    *(g.Activate, g.ArgMax, g.Binary, g.Concat, g.Dequantize, g.Lookup, g.Quantize),
    *(g.Reduce, g.Softmax),
)
"""What can be done before a transpose instead of after it."""


def two_transposes(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """Two transposes in a row are one; a transpose that changes nothing goes."""
    if not isinstance(node, g.Transpose):
        return None
    if node.order == tuple(range(len(node.order))):
        return []
    first = graph.maker(node.inputs[0], g.Transpose)
    if first is None:
        return None
    order = tuple(first.order[axis] for axis in node.order)
    return [replace(node, inputs=first.inputs, order=order)]


def transpose_later(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """An operation on transposed values is done before the transpose, which so moves on."""
    if not isinstance(node, _MOVABLE):
        return None
    sources = [graph.maker(name, g.Transpose) for name in node.inputs]
    first = sources[0]
    if first is None or any(source is None or source.order != first.order for source in sources):
        return None
    if not any(graph.only(name, g.Transpose) for name in node.inputs):
        return None  # the transpose would be done twice
    moved = _on_original(graph, node, first.order)
    if moved is None:
        return None
    inputs = tuple(source.inputs[0] for source in sources if source)
    order = first.order
    if isinstance(node, g.Reduce) and not node.keep:
        order = _without(order, node.axes)
    if isinstance(node, g.ArgMax) and not node.keep:
        order = _without(order, (node.axis,))
    shape = graph.shape(node.output)
    original = tuple(shape[order.index(axis)] for axis in range(len(order)))
    between = graph.fresh(node.output, original)
    moved = replace(moved, inputs=inputs, output=between)
    return [moved, g.Transpose(node.name, (between,), node.output, order)]


def pad_later(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A pad before a transpose goes behind it, towards the layer that may take it in."""
    if not isinstance(node, g.Transpose):
        return None
    pad = graph.only(node.inputs[0], g.Pad)
    if pad is None:
        return None
    shape = graph.shape(pad.inputs[0])
    between = graph.fresh(pad.output, [shape[axis] for axis in node.order])
    before, after = (tuple(sizes[a] for a in node.order) for sizes in (pad.before, pad.after))
    padded = g.Pad(pad.name, (between,), node.output, before, after, pad.value)
    return [replace(node, inputs=pad.inputs, output=between), padded]


def expand_later(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """Activations go before an Expand; sums and products need none, for they broadcast."""
    if isinstance(node, g.Activate | g.Lookup):
        made = graph.only(node.inputs[0], g.Expand)
        if made is None:
            return None
        between = graph.fresh(node.output, graph.shape(made.inputs[0]))
        less = replace(node, inputs=made.inputs, output=between)
        return [less, g.Expand(made.name, (between,), node.output)]
    if not isinstance(node, g.Binary):
        return None
    for name in node.inputs:
        made = graph.maker(name, g.Expand)
        if made is None:
            continue
        inputs = tuple(made.inputs[0] if other == name else other for other in node.inputs)
        shapes = [graph.shape(other) for other in inputs]
        shapes += [] if node.constant is None else [node.constant.shape]
        if np.broadcast_shapes(*shapes) == graph.shape(node.output):
            return [replace(node, inputs=inputs)]
    return None


def activate_earlier(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """An activation goes before reshapes and joints, to the layers that may end in it."""
    if not isinstance(node, g.Activate) or not _ends_layers(graph, node.inputs[0]):
        return None
    view = graph.only(node.inputs[0], g.Reshape) or graph.only(node.inputs[0], g.Concat)
    if view is None:
        return None
    made: list[g.Node] = []
    for name in view.inputs:
        between = graph.fresh(node.output, graph.shape(name))
        made.append(replace(node, inputs=(name,), output=between))
    inputs = tuple(one.output for one in made)
    return [*made, replace(view, inputs=inputs, output=node.output)]


def _ends_layers(graph: Rewriter, name: str) -> bool:
    """Whether a value is made of what layers without activation make, and is all that reads it."""
    layer = graph.only(name, g.Conv) or graph.only(name, g.Dense)
    if layer is not None:
        return layer.activation == g.LINEAR
    view = (
        graph.only(name, g.Reshape) or graph.only(name, g.Transpose) or graph.only(name, g.Concat)
    )
    return view is not None and all(_ends_layers(graph, source) for source in view.inputs)


def _on_original(graph: Rewriter, node: g.Node, order: Axes) -> g.Node | None:
    """The node for values whose axes are not yet in `order`."""
    if isinstance(node, g.ArgMax | g.Concat | g.Softmax):
        return replace(node, axis=order[node.axis])
    if isinstance(node, g.Reduce):
        return replace(node, axes=tuple(sorted(order[axis] for axis in node.axes)))
    if isinstance(node, g.Binary):
        return _binary(graph, node, order)
    return node


def _binary(graph: Rewriter, node: g.Binary, order: Axes) -> g.Binary | None:
    if any(len(graph.shape(name)) != len(order) for name in (*node.inputs, node.output)):
        return None
    if node.constant is None or not node.constant.ndim:
        return node
    shape = (1,) * (len(order) - node.constant.ndim) + node.constant.shape
    back = [order.index(axis) for axis in range(len(order))]
    constant = np.ascontiguousarray(node.constant.reshape(shape).transpose(back))
    return replace(node, constant=constant)


def _without(order: Axes, axes: Axes) -> Axes:
    """The order of the axes that stay once the output's `axes` are gone."""
    stay = [axis for place, axis in enumerate(order) if place not in axes]
    return tuple(sorted(stay).index(axis) for axis in stay)


def unit_transpose(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A transpose that only moves axes of size 1 is a reshape."""
    if not isinstance(node, g.Transpose):
        return None
    shape = graph.shape(node.inputs[0])
    moved = [axis for axis in node.order if shape[axis] != 1]
    return [g.Reshape(node.name, node.inputs, node.output)] if moved == sorted(moved) else None


def reshapes(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """Two reshapes in a row are one; a reshape to the same shape goes."""
    if not isinstance(node, g.Reshape):
        return None
    if graph.shape(node.output) == graph.shape(node.inputs[0]):
        return []
    first = graph.maker(node.inputs[0], g.Reshape)
    return None if first is None else [replace(node, inputs=first.inputs)]


MOVES = (two_transposes, transpose_later, pad_later, expand_later, activate_earlier)
TIDY = (two_transposes, unit_transpose, reshapes)
