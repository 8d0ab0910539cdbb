"""The slow, readable twin: what each node of the graph computes, in plain numpy.

Sums are float64, results float32; of integers they are exact (`exact.py`). Every fast kernel is
tested against this.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir import exact
from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.graph import Shape
from mobilenets.engine.ir.windows import AnyArray, convolve, coordinates, padded, taps


def run_graph(graph: g.Graph, x: g.Array, until: str | None = None) -> dict[str, AnyArray]:
    """Every value of the graph by name, for the input `x`; no further than the value `until`.

    ValueError where `x` has another shape than the graph's input.
    """
    wanted = graph.tensors[graph.input].shape
    if x.shape != wanted:
        raise ValueError(f"x must have shape {wanted}, got {x.shape}")
    kind = graph.tensors[graph.input].dtype.numpy
    values: dict[str, AnyArray] = {graph.input: np.asarray(x, kind)}
    for node in graph.nodes:
        if until in values:
            break
        inputs = [values[name] for name in node.inputs]
        values[node.output] = run_node(node, *inputs, shape=graph.tensors[node.output].shape)
    return values


def run_node(node: g.Node, *inputs: AnyArray, shape: Shape) -> AnyArray:
    """What one node computes; `shape` is its output's."""
    with np.errstate(all="ignore"):
        out = _TWINS[type(node)](node, inputs, shape)
        if out.dtype.kind == "f" and not isinstance(node, g.Dequantize | g.Lookup):
            out = np.asarray(out, inputs[0].dtype)
    if out.shape != shape:
        raise ValueError(f"{node.name}: shape must be {shape}, got {out.shape}")
    return out


def activate(activation: g.Activation, x: AnyArray) -> g.Array:
    """An activation of any array."""
    with np.errstate(all="ignore"):
        return np.asarray(_activated(activation, x.astype(np.float64)), np.float32)


def _activated(activation: g.Activation, x: NDArray[np.float64]) -> NDArray[np.float64]:
    kind = activation.kind
    if kind == "clip":
        return np.asarray(np.minimum(np.maximum(x, activation.low), activation.high))
    if kind == "exp":
        return np.exp(x)
    if kind == "hardsigmoid":
        return np.clip(activation.alpha * x + activation.beta, 0, 1)
    if kind == "hardswish":
        return x * np.clip(x / 6 + 0.5, 0, 1)
    if kind == "leaky":
        return np.where(x < 0, activation.alpha * x, x)
    if kind == "log":
        return np.log(x)
    if kind == "reciprocal":
        return 1 / x
    if kind == "sigmoid":
        return 1 / (1 + np.exp(-x))
    if kind == "silu":
        return x * (1 / (1 + np.exp(-x)))
    return np.sqrt(x) if kind == "sqrt" else x


def _conv(node: g.Conv, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    if node.requantize is not None:
        return exact.conv(node, inputs, shape)
    out = convolve(node, inputs[0].astype(np.float64), node.weight.astype(np.float64), shape[2:])
    return _activated(node.activation, sum(inputs[1:], out + node.bias[:, None, None]))


def _dense(node: g.Dense, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    if node.requantize is not None:
        return exact.dense(node, inputs[0])
    out = inputs[0].astype(np.float64) @ node.weight.astype(np.float64) + node.bias
    return _activated(node.activation, out)


def _activate(node: g.Activate, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return activate(node.activation, inputs[0])


def _binary(node: g.Binary, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    first = inputs[0]
    second = inputs[1] if node.constant is None else node.constant
    if node.integers is not None:
        return exact.combine(node.integers, first, second)
    return first + second if node.kind == "add" else first * second


def _pool(node: g.Pool, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    largest = node.kind == "max"
    around = padded(inputs[0].astype(np.float64), node.pads, -np.inf if largest else 0)
    inside = padded(np.ones((1, 1, *inputs[0].shape[2:])), node.pads, node.count_pads)
    out = np.full(shape, -np.inf if largest else 0)
    count = np.zeros((1, 1, *shape[2:]))
    for _, _, seen in taps(around, node.kernel, node.strides, (1, 1), shape[2:]):
        out = np.maximum(out, seen) if largest else out + seen
    for _, _, seen in taps(inside, node.kernel, node.strides, (1, 1), shape[2:]):
        count += seen
    if largest:
        return out
    return exact.rounded_away(out / count) if inputs[0].dtype.kind in "iu" else out / count


def _reduce(node: g.Reduce, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    if node.requantize is not None:
        return exact.reduce(node, inputs[0])
    x = inputs[0].astype(np.float64)
    if node.kind == "l2":
        return np.asarray(np.sqrt((x * x).sum(node.axes, keepdims=node.keep)))
    function = np.mean if node.kind == "mean" else np.sum
    return np.asarray(function(x, node.axes, keepdims=node.keep))


def _expand(node: g.Expand, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return np.broadcast_to(inputs[0], shape)


def _reshape(node: g.Reshape, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return inputs[0].reshape(shape)


def _transpose(node: g.Transpose, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return np.asarray(inputs[0].transpose(node.order))


def _concat(node: g.Concat, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return np.concatenate(inputs, node.axis)


def _pad(node: g.Pad, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    widths = list(zip(node.before, node.after, strict=True))
    return np.pad(inputs[0], widths, constant_values=node.value)


def _resize(node: g.Resize, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    if node.fraction:
        return exact.resize(node, inputs[0], shape)
    out = inputs[0].astype(np.float64)
    for axis in (2, 3):
        old, new = out.shape[axis], shape[axis]
        if node.coordinates == "nearest":
            out = out.repeat(new // old, axis)
            continue
        at = coordinates(node.coordinates, old, new)
        low = np.floor(at).astype(np.int64)
        high = np.minimum(low + 1, old - 1)
        share = (at - low).reshape(-1, *(1,) * (3 - axis))
        # A pixel that does not count is left out, even where it is not finite.
        above = np.where(share > 0, out.take(high, axis) * share, 0)
        out = out.take(low, axis) * (1 - share) + above
    return out


def _softmax(node: g.Softmax, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    if node.integers is not None:
        return exact.softmax(node.integers, inputs[0], node.axis)
    x = inputs[0].astype(np.float64)
    powers = np.exp(x - x.max(node.axis, keepdims=True))
    return np.asarray(powers / powers.sum(node.axis, keepdims=True))


def _arg_max(node: g.ArgMax, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return np.asarray(inputs[0].argmax(node.axis, keepdims=node.keep), np.int64)


def _slice(node: g.Slice, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    parts = zip(node.starts, node.steps, shape, strict=True)
    return inputs[0][tuple(slice(at, at + step * (n - 1) + 1, step) for at, step, n in parts)]


def _lookup(node: g.Lookup, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return exact.lookup(node.table, inputs[0])


def _quantize(node: g.Quantize, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return exact.quantize(node, inputs[0])


def _dequantize(node: g.Dequantize, inputs: tuple[AnyArray, ...], shape: Shape) -> AnyArray:
    return exact.dequantize(node.quantization, inputs[0])


_TWINS: Mapping[type[g.Node], Callable[[Any, tuple[AnyArray, ...], Shape], AnyArray]] = {
    g.Activate: _activate,
    g.ArgMax: _arg_max,
    g.Binary: _binary,
    g.Concat: _concat,
    g.Conv: _conv,
    g.Dense: _dense,
    g.Dequantize: _dequantize,
    g.Expand: _expand,
    g.Lookup: _lookup,
    g.Pad: _pad,
    g.Pool: _pool,
    g.Quantize: _quantize,
    g.Reduce: _reduce,
    g.Reshape: _reshape,
    g.Resize: _resize,
    g.Slice: _slice,
    g.Softmax: _softmax,
    g.Transpose: _transpose,
}
