"""Nodes that are no convolution, one function each: the step that does its work, or none."""

from collections.abc import Callable, Sequence
from typing import Any

from mobilenets.engine.ir import graph as g
from mobilenets.engine.kernels.nest import Nest, strides
from mobilenets.engine.kernels.rows import shape_of
from mobilenets.engine.plan.layouts import CHANNELS_LAST, Layouts, Place
from mobilenets.engine.steps.elementwise import CopyStep, MapStep
from mobilenets.engine.steps.reduce import ArgMaxStep, PoolStep, ReduceStep
from mobilenets.engine.steps.resize import PlanesStep, ResizeStep
from mobilenets.engine.steps.softmax import SoftmaxStep, SpreadSoftmaxStep
from mobilenets.engine.steps.stored import (
    LookupStep,
    StoredResizeStep,
    StoredSoftmaxStep,
    StoredStep,
)


def _activate(low: Layouts, node: g.Activate) -> None:
    place, shape = low.places[node.inputs[0]], low.tensor(node.output).shape
    nest = low.nest(shape, place.order, strides(shape, place.order))
    step = MapStep(
        low.next_name(), (place.buffer,), node.output, low.threads, nest, node.activation
    )
    low.simple(step, node, order=place.order)


def _binary(low: Layouts, node: g.Binary) -> None:
    shape = low.tensor(node.output).shape
    whole = [name for name in node.inputs if low.tensor(name).shape == shape]
    order = low.places[whole[0]].order if whole else tuple(range(len(shape)))
    steps = [_spread(low, name, shape) for name in node.inputs]
    if node.constant is not None:
        steps.append(
            spread(
                strides(node.constant.shape, range(node.constant.ndim)),
                node.constant.shape,
                shape,
            )
        )
    buffers = tuple(low.places[name].buffer for name in node.inputs)
    nest = low.nest(shape, order, *steps)
    if node.integers is not None:
        stored = StoredStep(
            low.next_name(), buffers, node.output, low.threads, nest, node.integers, node.constant
        )
        low.simple(stored, node, order=order)
        return
    step = MapStep(
        low.next_name(), buffers, node.output, low.threads, nest, node.kind, node.constant
    )
    low.simple(step, node, order=order)


def _spread(low: Layouts, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    own = low.tensor(name).shape
    return spread(strides(own, low.places[name].order), own, shape)


def _stored(low: Layouts, node: g.Quantize | g.Dequantize | g.Lookup) -> None:
    place, shape = low.places[node.inputs[0]], low.tensor(node.output).shape
    nest = low.nest(shape, place.order, strides(shape, place.order))
    given = low.next_name(), (place.buffer,), node.output, low.threads, nest
    table = node.table if isinstance(node, g.Lookup) else None
    step = LookupStep(*given, table) if table is not None else StoredStep(*given, node)  # type: ignore[arg-type]
    low.simple(step, node, order=place.order)


def _pool(low: Layouts, node: g.Pool) -> None:
    buffer = low.image(node.inputs[0])
    source = shape_of(low.tensor(node.inputs[0]))
    target = shape_of(low.tensor(node.output))
    step = PoolStep(low.next_name(), node, (buffer,), source, target, low.threads)
    low.simple(step, node, order=CHANNELS_LAST)


def _reduce(low: Layouts, node: g.Reduce) -> None:
    name = node.inputs[0]
    place, shape = low.places[name], low.tensor(name).shape
    own = strides(shape, place.order)
    kept = tuple(axis for axis in range(len(shape)) if axis not in node.axes)
    sizes = tuple(shape[axis] for axis in kept)
    made = strides(sizes, range(len(sizes)))
    nest = Nest(sizes, (made, tuple(own[axis] for axis in kept)))
    axes = [(shape[axis], own[axis]) for axis in node.axes]
    step = ReduceStep(low.next_name(), (place.buffer,), node.output, low.threads, nest, axes, node)
    low.simple(step, node)


def _reshape(low: Layouts, node: g.Reshape) -> None:
    buffer = low.plain(node.inputs[0])
    low.places[node.output] = Place(buffer, tuple(range(len(low.tensor(node.output).shape))))


def _transpose(low: Layouts, node: g.Transpose) -> None:
    place = low.places[node.inputs[0]]
    order = tuple(node.order.index(axis) for axis in place.order)
    low.places[node.output] = Place(place.buffer, order)


def _copy(
    low: Layouts, node: g.Node, parts: Sequence[tuple[int, Nest, int, int]], order: tuple[int, ...],
    filled: tuple[int, float] | None = None,
) -> None:  # fmt: skip
    buffers = tuple(low.places[name].buffer for name in node.inputs)
    step = CopyStep(low.next_name(), buffers, node.output, low.threads, parts, filled)
    low.simple(step, node, order=order)


def _concat(low: Layouts, node: g.Concat) -> None:
    shape = low.tensor(node.output).shape
    order = low.places[node.inputs[0]].order
    if _joins(low, node, order):
        return
    made, at, parts = strides(shape, order), 0, []
    for index, name in enumerate(node.inputs):
        own = low.tensor(name).shape
        nest = nest_of(own, order, made, strides(own, low.places[name].order))
        parts.append((index, nest, at * made[node.axis], 0))
        at += own[node.axis]
    _copy(low, node, parts, order)


def _joins(low: Layouts, node: g.Concat, order: tuple[int, ...]) -> bool:
    """Have the inputs made where the output is, if they lie there one after the other."""
    before = order[: order.index(node.axis)]
    buffers = [low.places[name].buffer for name in node.inputs]
    free = [b for b in buffers if b not in (*low.within, *low.graph.outputs, low.graph.input)]
    one_by_one = all(low.tensor(node.output).shape[axis] == 1 for axis in before)
    whole = [
        low.sizes[b] == low.tensor(n).nbytes for n, b in zip(node.inputs, buffers, strict=True)
    ]
    in_order = all(low.lies(name, order) for name in node.inputs)
    if not (one_by_one and in_order and all(whole) and len(set(free)) == len(buffers)):
        return False
    at = 0
    for buffer in buffers:
        low.within[buffer] = (node.output, at)
        at += low.sizes[buffer]
    low.sizes[node.output] = at
    low.types[node.output] = low.tensor(node.output).dtype
    low.made(node.output, order)
    return True


def _expand(low: Layouts, node: g.Expand) -> None:
    shape, order = low.tensor(node.output).shape, low.places[node.inputs[0]].order
    nest = nest_of(shape, order, strides(shape, order), _spread(low, node.inputs[0], shape))
    _copy(low, node, [(0, nest, 0, 0)], order)


def _slice(low: Layouts, node: g.Slice) -> None:
    shape, place = low.tensor(node.output).shape, low.places[node.inputs[0]]
    own = strides(low.tensor(node.inputs[0]).shape, place.order)
    start = sum(s * first for s, first in zip(own, node.starts, strict=True))
    steps = tuple(s * step for s, step in zip(own, node.steps, strict=True))
    nest = nest_of(shape, place.order, strides(shape, place.order), steps)
    _copy(low, node, [(0, nest, 0, start)], place.order)


def _pad(low: Layouts, node: g.Pad) -> None:
    inner, place = low.tensor(node.inputs[0]).shape, low.places[node.inputs[0]]
    output = low.tensor(node.output)
    made = strides(output.shape, place.order)
    at = sum(s * before for s, before in zip(made, node.before, strict=True))
    nest = nest_of(inner, place.order, made, strides(inner, place.order))
    _copy(low, node, [(0, nest, at, 0)], place.order, (output.size, node.value))


def _repeat(low: Layouts, node: g.Resize) -> None:
    """Nearest: each pixel several times."""
    shape, wide = low.tensor(node.inputs[0]).shape, low.tensor(node.output).shape
    order = low.places[node.inputs[0]].order
    own, made = strides(shape, order), strides(wide, order)
    sizes: list[int] = []
    steps: list[tuple[int, int]] = []
    for axis in order:
        times = wide[axis] // shape[axis]
        sizes += [shape[axis], times]
        steps += [(made[axis] * times, own[axis]), (made[axis], 0)]
    to, of = zip(*steps, strict=True)
    _copy(low, node, [(0, Nest(tuple(sizes), (to, of)), 0, 0)], order)


def _resize(low: Layouts, node: g.Resize) -> None:
    if node.coordinates == "nearest":
        _repeat(low, node)
        return
    buffer = low.image(node.inputs[0])
    source = shape_of(low.tensor(node.inputs[0]))
    target = shape_of(low.tensor(node.output))
    if node.fraction:
        stored = StoredResizeStep(low.next_name(), node, (buffer,), low.threads, source, target)
        low.simple(stored, node, order=CHANNELS_LAST)
        return
    planes = _goes_out(low, node)
    kind = PlanesStep if planes else ResizeStep
    step = kind(
        low.next_name(), (buffer,), node.output, low.threads, source, target, node.coordinates
    )
    low.simple(step, node, order=(0, 1, 2, 3) if planes else CHANNELS_LAST)


def _goes_out(low: Layouts, node: g.Node) -> bool:
    """Whether all a value is for is an output, or a softmax of its channels that is one."""
    readers = low.graph.consumers(node.output)
    return all(
        isinstance(one, g.Softmax) and one.axis == 1 and _goes_out(low, one) for one in readers
    )


def _softmax(low: Layouts, node: g.Softmax) -> None:
    name = node.inputs[0]
    shape, place = low.tensor(node.output).shape, low.places[name]
    rest = tuple(axis for axis in place.order if axis != node.axis)
    count, own = shape[node.axis], strides(shape, place.order)
    if node.integers is not None:
        tabled = StoredSoftmaxStep(
            low.next_name(), (place.buffer,), node.output, low.threads,
            nest_of(shape, rest, own, own), (count, own[node.axis]), node.integers,
        )  # fmt: skip
        low.simple(tabled, node, order=place.order)
        return
    if own[node.axis] > 1 and count > 1:
        nest, axis = nest_of(shape, rest, own, own), (count, own[node.axis])
        across = SpreadSoftmaxStep(
            low.next_name(), (place.buffer,), node.output, low.threads, nest, axis
        )
        low.simple(across, node, order=place.order)
        return
    buffer = low.as_order(name, (*rest, node.axis))
    rows = low.tensor(node.output).size // count
    step = SoftmaxStep(low.next_name(), (buffer,), node.output, low.threads, rows, count)
    low.simple(step, node, order=(*rest, node.axis))


def _argmax(low: Layouts, node: g.ArgMax) -> None:
    name = node.inputs[0]
    place, shape = low.places[name], low.tensor(name).shape
    own = strides(shape, place.order)
    kept = tuple(axis for axis in range(len(shape)) if axis != node.axis)
    sizes = tuple(shape[axis] for axis in kept)
    made = strides(sizes, range(len(sizes)))
    nest = Nest(sizes, (made, tuple(own[axis] for axis in kept)))
    step = ArgMaxStep(
        low.next_name(), (place.buffer,), node.output, low.threads, nest,
        (shape[node.axis], own[node.axis]),
    )  # fmt: skip
    low.simple(step, node)


def nest_of(shape: Sequence[int], order: Sequence[int], *steps: Sequence[int]) -> Nest:
    """Loops over a shape in an order, with each operand's steps by axis."""
    return Nest(
        tuple(shape[axis] for axis in order),
        tuple(tuple(step[axis] for axis in order) for step in steps),
    )


def spread(steps: Sequence[int], own: Sequence[int], shape: Sequence[int]) -> tuple[int, ...]:
    """Steps of an operand under numpy's broadcasting: 0 where it repeats."""
    missing = len(shape) - len(own)
    found = [0 if size == 1 else step for step, size in zip(steps, own, strict=True)]
    return (0,) * missing + tuple(found)


NODES: dict[type[g.Node], Callable[[Layouts, Any], None]] = {
    g.Activate: _activate, g.ArgMax: _argmax, g.Binary: _binary, g.Concat: _concat,
    g.Expand: _expand, g.Pad: _pad, g.Pool: _pool, g.Reduce: _reduce, g.Reshape: _reshape,
    g.Resize: _resize, g.Slice: _slice, g.Softmax: _softmax, g.Transpose: _transpose,
    g.Quantize: _stored, g.Dequantize: _stored, g.Lookup: _stored,
}  # fmt: skip
"""A node's kind -> what adds its steps."""
