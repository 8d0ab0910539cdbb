"""Rules that recognise activations, and that fold norms, pads and activations into layers."""

import math
from dataclasses import replace

import numpy as np

from mobilenets.engine.ir import graph as g
from mobilenets.engine.passes.rewriter import Rewriter

_SIXTH = 1e-5
"""How exactly files write 1/6, relatively."""


def gate(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """X sigmoid(x) is silu, and x hardsigmoid(x) with slope 1/6 is hardswish."""
    if not isinstance(node, g.Binary) or node.kind != "mul" or node.constant is not None:
        return None
    for x, other in (node.inputs, node.inputs[::-1]):
        made = graph.only(other, g.Activate)
        if made is None or made.inputs != (x,):
            continue
        if made.activation.kind == "sigmoid":
            return [g.Activate(node.name, (x,), node.output, g.Activation("silu"))]
        if _is_sixth_sigmoid(made.activation):
            return [g.Activate(node.name, (x,), node.output, g.Activation("hardswish"))]
    return None


def hard_gate(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """clip(x + 3, 0, 6) / 6 is hardsigmoid, and x times it is hardswish, whichever is divided."""
    if not isinstance(node, g.Binary) or not _is_number(node, "mul", 1 / 6):
        return None
    x = _clipped(graph, node.inputs[0])
    if x is not None:
        return [g.Activate(node.name, (x,), node.output, g.Activation("hardsigmoid"))]
    product = graph.only(node.inputs[0], g.Binary)
    if product is None or product.kind != "mul" or product.constant is not None:
        return None
    for x, other in (product.inputs, product.inputs[::-1]):
        if _clipped(graph, other) == x:
            return [g.Activate(node.name, (x,), node.output, g.Activation("hardswish"))]
    return None


def _clipped(graph: Rewriter, name: str) -> str | None:
    """What x is, where the value is clip(x + 3, 0, 6)."""
    clip = graph.only(name, g.Activate)
    if clip is None or clip.activation != g.Activation("clip", 0.0, 6.0):
        return None
    shifted = graph.only(clip.inputs[0], g.Binary)
    if shifted is None or not _is_number(shifted, "add", 3.0):
        return None
    return shifted.inputs[0]


def _is_number(node: g.Binary, kind: str, value: float) -> bool:
    constant = node.constant
    if node.kind != kind or constant is None or constant.ndim:
        return False
    return math.isclose(float(constant), value, rel_tol=_SIXTH)


def _is_sixth_sigmoid(activation: g.Activation) -> bool:
    fits = math.isclose(activation.alpha, 1 / 6, rel_tol=_SIXTH) and activation.beta == 0.5
    return activation.kind == "hardsigmoid" and fits


def no_change(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """What changes nothing goes: times 1, plus 0, and a clip without limits."""
    if isinstance(node, g.Activate):
        same = node.activation in (g.LINEAR, g.Activation("clip"))
    elif isinstance(node, g.Binary) and node.constant is not None and node.integers is None:
        same = bool(np.all(node.constant == (node.kind == "mul")))
    else:
        return None
    return [] if same and graph.shape(node.output) == graph.shape(node.inputs[0]) else None


def two_clips(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A clip of a clip is one clip, with the tighter limits."""
    if not isinstance(node, g.Activate):
        return None
    first = graph.only(node.inputs[0], g.Activate)
    both = None if first is None else _joined(first.activation, node.activation)
    if first is None or both is None:
        return None
    return [replace(first, output=node.output, activation=both)]


def activation(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A layer whose only reader is an activation ends in it."""
    if not isinstance(node, g.Activate):
        return None
    layer = graph.only(node.inputs[0], g.Conv) or graph.only(node.inputs[0], g.Dense)
    if layer is None:
        return None
    both = _joined(layer.activation, node.activation)
    return None if both is None else [replace(layer, output=node.output, activation=both)]


def _joined(first: g.Activation, then: g.Activation) -> g.Activation | None:
    """One activation for two, where there is one."""
    if first == g.LINEAR:
        return then
    clips = first.kind == then.kind == "clip"
    if not clips or first.low > first.high or then.low > then.high:
        return None
    low, high = (min(max(limit, then.low), then.high) for limit in (first.low, first.high))
    return g.Activation("clip", low, high)


def scale_and_shift(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A layer without activation takes in a product or a sum with a number per channel."""
    if not isinstance(node, g.Binary) or node.constant is None or node.integers is not None:
        return None
    layer = _layer(graph, node.inputs[0])
    if layer is None or graph.shape(node.output) != graph.shape(layer.output):
        return None
    row = _per_channel(node.constant, layer)
    if row is None:
        return None
    wide = row.astype(np.float64)
    weight, bias = layer.weight, layer.bias
    with np.errstate(all="ignore"):
        if node.kind == "add":
            bias = (bias + wide).astype(np.float32)
        else:
            factor = wide[:, None, None, None] if isinstance(layer, g.Conv) else wide
            weight = np.ascontiguousarray(weight * factor, np.float32)
            bias = (bias * wide).astype(np.float32)
    return [replace(layer, output=node.output, weight=weight, bias=bias)]


def _layer(graph: Rewriter, name: str) -> g.Conv | g.Dense | None:
    """The layer without activation whose output nothing else uses."""
    layer = graph.only(name, g.Conv) or graph.only(name, g.Dense)
    return layer if layer is not None and layer.activation == g.LINEAR else None


def _per_channel(constant: g.Array, layer: g.Conv | g.Dense) -> g.Array | None:
    """The constant as (channels,), if it is the same everywhere else."""
    axis = 1 if isinstance(layer, g.Conv) else -1
    rank = 4 if isinstance(layer, g.Conv) else max(constant.ndim, 1)
    shape = (1,) * (rank - constant.ndim) + constant.shape
    if constant.size != shape[axis]:
        return None
    return np.broadcast_to(constant.reshape(-1), layer.bias.shape)


def pad(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A convolution or a pool takes in what a Pad puts around its input: what stands for 0."""
    if not isinstance(node, g.Conv | g.Pool):
        return None
    made = graph.maker(node.inputs[0], g.Pad)
    if made is None or any(made.before[:2]) or any(made.after[:2]):
        return None
    around = (*made.before[2:], *made.after[2:])
    if isinstance(node, g.Conv) and made.value == node.zero_point:
        top, left, bottom, right = (a + b for a, b in zip(node.pads, around, strict=True))
        return [replace(node, inputs=made.inputs, pads=(top, left, bottom, right))]
    if isinstance(node, g.Conv) or any(node.pads):
        return None
    if any(size >= node.kernel[i % 2] for i, size in enumerate(around)):
        return None
    if made.value != (-np.inf if node.kind == "max" else 0) or not graph.floats(node.output):
        return None
    top, left, bottom, right = around
    pads, count = (top, left, bottom, right), node.kind == "average"
    return [replace(node, inputs=made.inputs, pads=pads, count_pads=count)]


def reduced_without_axes(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A mean or sum that keeps its axes, then a reshape without them: it drops them itself."""
    if not isinstance(node, g.Reshape):
        return None
    made = graph.only(node.inputs[0], g.Reduce)
    if made is None or not made.keep:
        return None
    old = graph.shape(made.inputs[0])
    if graph.shape(node.output) != tuple(s for a, s in enumerate(old) if a not in made.axes):
        return None
    return [replace(made, output=node.output, keep=False)]


def side_by_side(graph: Rewriter, node: g.Node) -> list[g.Node] | None:
    """A 1x1 convolution of a Concat that has a repeated pixel among its parts, as a sum.

    Nothing is joined then. The repeated pixel is convolved once and becomes part of the bias.
    """
    if not isinstance(node, g.Conv) or not node.pointwise or len(node.inputs) > 1:
        return None
    if node.requantize is not None:
        return None  # its parts would be rounded one by one
    joint = graph.only(node.inputs[0], g.Concat)
    if joint is None or joint.axis != 1:
        return None
    ends = np.cumsum([graph.shape(name)[1] for name in joint.inputs])
    parts = list(zip(joint.inputs, np.split(node.weight, ends[:-1], axis=1), strict=True))
    small = [_repeated(graph, name) for name in joint.inputs]
    vectors = [(one, weight) for one, (_, weight) in zip(small, parts, strict=True) if one]
    maps = [part for one, part in zip(small, parts, strict=True) if not one]
    if not vectors or not maps:
        return None
    made: list[g.Conv] = []
    bias: g.Array = node.bias
    added: tuple[str, ...] = ()
    for source, weight in (*vectors, *maps):
        output = graph.fresh(node.output, (1, len(weight), *graph.shape(source)[2:]))
        weight = np.ascontiguousarray(weight)
        made.append(g.Conv(node.name, (source, *added), output, weight, bias))
        bias, added = np.zeros_like(bias), (output,)
    return [*made[:-1], replace(made[-1], output=node.output, activation=node.activation)]


def _repeated(graph: Rewriter, name: str) -> str:
    """The one pixel (1, C, 1, 1) that a map consists of, or ''."""
    made = graph.maker(name, g.Expand)
    if made is None or graph.shape(made.inputs[0]) != (*graph.shape(name)[:2], 1, 1):
        return ""
    return made.inputs[0]


PATTERNS = (gate, hard_gate)
LAST = (side_by_side,)
FOLDS = (no_change, two_clips, scale_and_shift, activation, pad, reduced_without_axes)
