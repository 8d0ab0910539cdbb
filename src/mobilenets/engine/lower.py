"""From fused units to steps: layouts, schedules, chains. What a copy is needed for shows here."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mobilenets.engine.codegen.convolution import ConvStage
from mobilenets.engine.codegen.nest import Nest, strides
from mobilenets.engine.codegen.simple import (
    ArgMaxStep,
    CopyStep,
    MapStep,
    PoolStep,
    ReduceStep,
    ResizeStep,
    SoftmaxStep,
)
from mobilenets.engine.codegen.single import DepthwiseStep, PointwiseStep
from mobilenets.engine.codegen.stages import BlockStage
from mobilenets.engine.codegen.steps import ChainStep, GroupsStep, Step, shape_of
from mobilenets.engine.fuse import Block, PooledConv, Unit, fuse, inputs_of, multiply_adds
from mobilenets.engine.graph import (
    Activate,
    ArgMax,
    Binary,
    Concat,
    Conv,
    Dense,
    Graph,
    Mean,
    Node,
    Pad,
    Pool,
    Reshape,
    Resize,
    Slice,
    Softmax,
    Tensor,
    Transpose,
)
from mobilenets.engine.schedule import BlockShape, Choice, Schedule, choose
from mobilenets.engine.target import Target

_CHANNELS_LAST = (0, 2, 3, 1)
_MOST_PLANES = 4


@dataclass(frozen=True)
class Place:
    """Where a value is: the buffer that holds it, and its axes from slowest to fastest."""

    buffer: str
    order: tuple[int, ...]


@dataclass(frozen=True)
class Entry:
    """A step with what the report says of it."""

    step: Step
    names: tuple[str, ...]
    schedule: str
    madds: int
    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True)
class Lowered:
    """Steps in order, the size of every buffer in floats, and where the outputs end up."""

    entries: tuple[Entry, ...]
    sizes: dict[str, int]
    outputs: tuple[str, ...]


@dataclass
class _Pending:
    """Stages that may yet be streamed with those that follow."""

    units: list[Unit]
    stages: list[BlockStage | ConvStage]
    strips: list[int]


class Lowering:
    """Turns one graph into steps for one target and a number of threads."""

    def __init__(self, graph: Graph, target: Target, threads: int, schedule: Schedule) -> None:
        self.graph, self.target, self.threads, self.schedule = graph, target, threads, schedule
        self.entries: list[Entry] = []
        shape = graph.tensors[graph.input].shape
        self.places = {graph.input: Place(graph.input, tuple(range(len(shape))))}
        self.sizes = {graph.input: graph.tensors[graph.input].size}
        self.readers: dict[str, int] = {}
        self._pending: _Pending | None = None

    def run(self) -> Lowered:
        """Lower every unit, then bring outputs into the order that the file promises."""
        units = fuse(self.graph)
        for unit in units:
            for name in inputs_of(unit):
                self.readers[name] = self.readers.get(name, 0) + 1
        for unit in units:
            if not self._stage(unit):
                self._flush()
                self._lower(unit)
        self._flush()
        held: list[str] = []
        for name in self.graph.outputs:
            buffer = self.plain(name)
            if buffer in held or buffer == self.graph.input:
                buffer = self._copied(name, self.places[name].order, fresh=True)
            held.append(buffer)
        return Lowered(tuple(self.entries), self.sizes, tuple(held))

    def tensor(self, name: str) -> Tensor:
        """A value's shape and type."""
        return self.graph.tensors[name]

    # Layouts

    def _lies(self, name: str, order: tuple[int, ...]) -> bool:
        """Whether a value already lies in an order; axes of size 1 don't count."""
        shape, place = self.tensor(name).shape, self.places[name]
        have, want = strides(shape, place.order), strides(shape, order)
        return all(h == w for h, w, size in zip(have, want, shape, strict=True) if size > 1)

    def _as(self, name: str, order: tuple[int, ...]) -> str:
        """The buffer of a value in an order, copied there if need be."""
        if self._lies(name, order):
            return self.places[name].buffer
        return self._copied(name, order)

    def plain(self, name: str) -> str:
        """The buffer of a value in row-major order."""
        return self._as(name, tuple(range(len(self.tensor(name).shape))))

    def image(self, name: str) -> str:
        """The buffer of an image with its channels last."""
        return self._as(name, _CHANNELS_LAST)

    def _copied(self, name: str, order: tuple[int, ...], *, fresh: bool = False) -> str:
        shape = self.tensor(name).shape
        source = self.places[name]
        buffer = f"{name}:{''.join(map(str, order))}{'+' * fresh}"
        if buffer not in self.sizes:
            nest = self._nest(shape, order, strides(shape, source.order))
            if self.tensor(name).dtype == "int64":
                nest = nest.doubled()
            step = CopyStep(self._next(), (source.buffer,), buffer, self.threads, [(0, nest, 0, 0)])
            self._add(step, (name,), self.tensor(name), shape, shape)
        if not fresh:
            self.places[name] = Place(buffer, order)
        return buffer

    def _nest(self, shape: Sequence[int], order: Sequence[int], *others: Sequence[int]) -> Nest:
        """Loops in the output's order, the output first among the operands."""
        own = strides(shape, order)
        steps = [tuple(s[axis] for axis in order) for s in (own, *others)]
        return Nest(tuple(shape[axis] for axis in order), tuple(steps))

    def _next(self) -> str:
        return f"step{len(self.entries)}"

    def _made(self, name: str, order: tuple[int, ...]) -> str:
        """Note that a value is made in a buffer of its own."""
        self.places[name] = Place(name, order)
        return name

    def _add(
        self, step: Step, names: tuple[str, ...], result: Tensor,
        source: tuple[int, ...], target: tuple[int, ...], schedule: str = "", madds: int = 0,
    ) -> None:  # fmt: skip
        self.sizes[step.output] = result.size * (2 if result.dtype == "int64" else 1)
        self.entries.append(Entry(step, names, schedule, madds, source, target))

    # Stages that can be streamed

    def _stage(self, unit: Unit) -> bool:
        """Take a unit as a stage of a chain; False where it is none."""
        if isinstance(unit, Block):
            choice = self._choice(unit)
            if choice.kind == "groups":
                return False
            self._join(unit, lambda: self._block(unit, choice), choice.strip)
            return True
        if isinstance(unit, Conv) and not unit.pointwise and not unit.depthwise:
            self._join(unit, lambda: self._conv(unit), 1)
            return True
        return False

    def _join(self, unit: Unit, stage: Callable[[], BlockStage | ConvStage], strip: int) -> None:
        source = inputs_of(unit)[0]
        pending = self._pending
        if pending is not None and self._streams(pending.units[-1].output, source):
            self.places[source] = Place(source, _CHANNELS_LAST)
            pending.units.append(unit)
            pending.stages.append(stage())
            pending.strips.append(strip)
            return
        self._flush()
        self._pending = _Pending([unit], [stage()], [strip])

    def _streams(self, made: str, wanted: str) -> bool:
        limit, tensor = self.schedule.stream, self.tensor(made)
        alone = self.readers.get(made) == 1 and made not in self.graph.outputs
        return made == wanted and alone and limit >= 0 and tensor.size > limit

    def _flush(self) -> None:
        """Make the step of the stages that have gathered."""
        pending, self._pending = self._pending, None
        if pending is None:
            return
        first, last = pending.units[0], pending.units[-1]
        source, output = inputs_of(first)[0], last.output
        stage = pending.stages[0]
        planar = isinstance(stage, ConvStage) and stage.planar
        buffer = self.places[source].buffer if planar else self.image(source)
        step = ChainStep(
            self._next(), pending.stages, pending.strips, (buffer,),
            self._made(output, _CHANNELS_LAST), self.threads,
        )  # fmt: skip
        names = tuple(unit.name for unit in pending.units)
        madds = sum(multiply_adds(unit, self.graph.tensors) for unit in pending.units)
        shapes = self.tensor(source).shape, self.tensor(output).shape
        self._add(step, names, self.tensor(output), *shapes, step.describe(), madds)

    def _choice(self, block: Block) -> Choice:
        if block.name in self.schedule.blocks:
            return self.schedule.blocks[block.name]
        height, width = self.tensor(block.source).shape[2:]
        middle, outputs = block.depthwise.weight.shape[0], self.tensor(block.output).shape[2]
        shape = BlockShape(height, width, middle, outputs, block.expand is not None)
        return choose(shape, self.target.lanes, self.threads)

    def _block(self, block: Block, choice: Choice) -> BlockStage:
        return BlockStage(
            shape_of(self.tensor(block.source).shape), shape_of(self.tensor(block.output).shape),
            block.expand, block.depthwise, block.project, block.shortcut, choice.group,
        )  # fmt: skip

    def _conv(self, conv: Conv) -> ConvStage:
        source = self.tensor(conv.inputs[0]).shape
        whole = self.places.get(conv.inputs[0])
        planar = (
            conv.groups == 1 and source[1] <= _MOST_PLANES and whole is not None
            and self._lies(conv.inputs[0], (0, 1, 2, 3))
        )  # fmt: skip
        return ConvStage(shape_of(source), shape_of(self.tensor(conv.output).shape), conv, planar)

    # Everything else

    def _lower(self, unit: Unit) -> None:
        handler = getattr(self, f"_{type(unit).__name__.lower()}_step")
        handler(unit)

    def _simple(
        self, step: Step, unit: Unit, schedule: str = "", order: tuple[int, ...] | None = None
    ) -> None:
        """Add a unit's step; its output lies row-major unless an order is given."""
        output = self.tensor(unit.output)
        self._made(unit.output, order or tuple(range(len(output.shape))))
        source = self.tensor(inputs_of(unit)[0]).shape
        madds = multiply_adds(unit, self.graph.tensors)
        self._add(step, (unit.name,), output, source, output.shape, schedule, madds)

    def _block_step(self, block: Block) -> None:
        choice = self._choice(block)
        stage = self._block(block, choice)
        buffer = self.image(block.source)
        step = GroupsStep(self._next(), stage, (buffer,), block.output, self.threads)
        self._simple(step, block, step.describe(self.target), _CHANNELS_LAST)

    def _conv_step(self, conv: Conv) -> None:
        buffer = self.image(conv.inputs[0])
        source = shape_of(self.tensor(conv.inputs[0]).shape)
        target = shape_of(self.tensor(conv.output).shape)
        step: Step
        if conv.pointwise:
            weight = np.ascontiguousarray(conv.weight[:, :, 0, 0].T)
            step = PointwiseStep(
                self._next(), source.height * source.width, weight, conv.bias, conv.activation,
                (buffer,), conv.output, self.threads,
            )  # fmt: skip
        else:
            step = DepthwiseStep(
                self._next(), conv, source, target, (buffer,), conv.output, self.threads
            )
        self._simple(step, conv, order=_CHANNELS_LAST)

    def _pooledconv_step(self, unit: PooledConv) -> None:
        conv, shape = unit.conv, self.tensor(unit.source).shape
        step = PointwiseStep(
            self._next(), shape[2] * shape[3], np.ascontiguousarray(conv.weight[:, :, 0, 0].T),
            conv.bias, conv.activation, (self.image(unit.source),), unit.output, self.threads,
            pool=True,
        )  # fmt: skip
        self._simple(step, unit, "averaged as it is made")

    def _dense_step(self, node: Dense) -> None:
        buffer = self.plain(node.inputs[0])
        rows = self.tensor(node.output).size // node.weight.shape[1]
        step = PointwiseStep(
            self._next(), rows, node.weight, node.bias, node.activation,
            (buffer,), node.output, self.threads,
        )  # fmt: skip
        self._simple(step, node)

    def _activate_step(self, node: Activate) -> None:
        place, shape = self.places[node.inputs[0]], self.tensor(node.output).shape
        nest = self._nest(shape, place.order, strides(shape, place.order))
        step = MapStep(
            self._next(), (place.buffer,), node.output, self.threads, nest, node.activation
        )
        self._simple(step, node, order=place.order)

    def _binary_step(self, node: Binary) -> None:
        shape = self.tensor(node.output).shape
        whole = [name for name in node.inputs if self.tensor(name).shape == shape]
        order = self.places[whole[0]].order if whole else tuple(range(len(shape)))
        steps = [self._spread(name, shape) for name in node.inputs]
        if node.constant is not None:
            steps.append(
                spread(
                    strides(node.constant.shape, range(node.constant.ndim)),
                    node.constant.shape,
                    shape,
                )
            )
        buffers = tuple(self.places[name].buffer for name in node.inputs)
        nest = self._nest(shape, order, *steps)
        step = MapStep(
            self._next(), buffers, node.output, self.threads, nest, node.kind, node.constant
        )
        self._simple(step, node, order=order)

    def _spread(self, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
        own = self.tensor(name).shape
        return spread(strides(own, self.places[name].order), own, shape)

    def _pool_step(self, node: Pool) -> None:
        buffer = self.image(node.inputs[0])
        source = shape_of(self.tensor(node.inputs[0]).shape)
        target = shape_of(self.tensor(node.output).shape)
        step = PoolStep(self._next(), node, (buffer,), source, target, self.threads)
        self._simple(step, node, order=_CHANNELS_LAST)

    def _mean_step(self, node: Mean) -> None:
        name = node.inputs[0]
        place, shape = self.places[name], self.tensor(name).shape
        own = strides(shape, place.order)
        kept = tuple(axis for axis in range(len(shape)) if axis not in node.axes)
        sizes = tuple(shape[axis] for axis in kept)
        made = strides(sizes, range(len(sizes)))
        nest = Nest(sizes, (made, tuple(own[axis] for axis in kept)))
        axes = [(shape[axis], own[axis]) for axis in node.axes]
        step = ReduceStep(self._next(), (place.buffer,), node.output, self.threads, nest, axes)
        self._simple(step, node)

    def _reshape_step(self, node: Reshape) -> None:
        buffer = self.plain(node.inputs[0])
        self.places[node.output] = Place(buffer, tuple(range(len(self.tensor(node.output).shape))))

    def _transpose_step(self, node: Transpose) -> None:
        place = self.places[node.inputs[0]]
        order = tuple(node.order.index(axis) for axis in place.order)
        self.places[node.output] = Place(place.buffer, order)

    def _copy(
        self, node: Node, parts: Sequence[tuple[int, Nest, int, int]], order: tuple[int, ...],
        filled: tuple[int, float] | None = None,
    ) -> None:  # fmt: skip
        buffers = tuple(self.places[name].buffer for name in node.inputs)
        step = CopyStep(self._next(), buffers, node.output, self.threads, parts, filled)
        self._simple(step, node, order=order)

    def _concat_step(self, node: Concat) -> None:
        shape = self.tensor(node.output).shape
        order = self.places[node.inputs[0]].order
        made, at, parts = strides(shape, order), 0, []
        for index, name in enumerate(node.inputs):
            own = self.tensor(name).shape
            nest = nest_of(own, order, made, strides(own, self.places[name].order))
            parts.append((index, nest, at * made[node.axis], 0))
            at += own[node.axis]
        self._copy(node, parts, order)

    def _slice_step(self, node: Slice) -> None:
        shape, place = self.tensor(node.output).shape, self.places[node.inputs[0]]
        own = strides(self.tensor(node.inputs[0]).shape, place.order)
        start = sum(s * first for s, first in zip(own, node.starts, strict=True))
        steps = tuple(s * step for s, step in zip(own, node.steps, strict=True))
        nest = nest_of(shape, place.order, strides(shape, place.order), steps)
        self._copy(node, [(0, nest, 0, start)], place.order)

    def _pad_step(self, node: Pad) -> None:
        inner, place = self.tensor(node.inputs[0]).shape, self.places[node.inputs[0]]
        output = self.tensor(node.output)
        made = strides(output.shape, place.order)
        at = sum(s * before for s, before in zip(made, node.before, strict=True))
        nest = nest_of(inner, place.order, made, strides(inner, place.order))
        self._copy(node, [(0, nest, at, 0)], place.order, (output.size, node.value))

    def _resize_step(self, node: Resize) -> None:
        buffer = self.image(node.inputs[0])
        source = shape_of(self.tensor(node.inputs[0]).shape)
        target = shape_of(self.tensor(node.output).shape)
        step = ResizeStep(
            self._next(), (buffer,), node.output, self.threads, source, target, node.coordinates
        )
        self._simple(step, node, order=_CHANNELS_LAST)

    def _softmax_step(self, node: Softmax) -> None:
        shape = self.tensor(node.output).shape
        order = (*(axis for axis in range(len(shape)) if axis != node.axis), node.axis)
        buffer = self._as(node.inputs[0], order)
        count = shape[node.axis]
        rows = self.tensor(node.output).size // count
        step = SoftmaxStep(self._next(), (buffer,), node.output, self.threads, rows, count)
        self._simple(step, node, order=order)

    def _argmax_step(self, node: ArgMax) -> None:
        name = node.inputs[0]
        place, shape = self.places[name], self.tensor(name).shape
        own = strides(shape, place.order)
        kept = tuple(axis for axis in range(len(shape)) if axis != node.axis)
        sizes = tuple(shape[axis] for axis in kept)
        made = tuple(2 * s for s in strides(sizes, range(len(sizes))))
        nest = Nest(sizes, (made, tuple(own[axis] for axis in kept)))
        step = ArgMaxStep(
            self._next(), (place.buffer,), node.output, self.threads, nest,
            (shape[node.axis], own[node.axis]),
        )  # fmt: skip
        self._simple(step, node)


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
