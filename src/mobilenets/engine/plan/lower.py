"""From fused units to steps: schedules, and which stages are streamed as one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from mobilenets.engine.ir.graph import Conv, Dense, Graph, Node
from mobilenets.engine.ir.types import FLOAT32
from mobilenets.engine.kernels.rows import shape_of
from mobilenets.engine.passes.fuse import (
    FusedBlock,
    PooledConv,
    ResizedBest,
    Unit,
    inputs_of,
    multiply_adds,
    weights_of,
)
from mobilenets.engine.plan.layouts import CHANNELS_LAST, Layouts, Lowered, Place
from mobilenets.engine.plan.nodes import NODES
from mobilenets.engine.plan.schedule import (
    HEAVY,
    BlockShape,
    Choice,
    Schedule,
    choose,
    group_sizes,
    strip_of,
)
from mobilenets.engine.stages.block import BlockStage
from mobilenets.engine.stages.convolution import ConvStage
from mobilenets.engine.steps.best import BestStep
from mobilenets.engine.steps.chain import ChainStep
from mobilenets.engine.steps.groups import GroupsStep
from mobilenets.engine.steps.single import DepthwiseStep, PointwiseStep
from mobilenets.engine.steps.step import ParallelStep
from mobilenets.engine.targets.target import Target
from mobilenets.errors import InputError

_MOST_PLANES = 4


@dataclass
class _Pending:
    """Stages that may yet be streamed with those that follow."""

    units: list[Unit]
    stages: list[BlockStage | ConvStage]
    strips: list[int]


class Lowering(Layouts):
    """Turns one graph into steps for one target and a number of threads."""

    def __init__(self, graph: Graph, target: Target, threads: int, schedule: Schedule) -> None:
        super().__init__(graph, threads)
        self.target, self.schedule = target, schedule
        self.readers: dict[str, int] = {}
        self._pending: _Pending | None = None

    def run(self, units: Sequence[Unit]) -> Lowered:
        """Lower the graph's units, then bring outputs into the order that the file promises."""
        self._check_schedule(units)
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
            if buffer in (*held, *self.within, self.graph.input):
                buffer = self.copied(name, self.places[name].order, fresh=True)
            held.append(buffer)
        return Lowered(tuple(self.entries), self.sizes, self.types, tuple(held), self.within)

    def _check_schedule(self, units: Sequence[Unit]) -> None:
        """InputError where the schedule names what is not there or cannot be done."""
        blocks = {unit.name: unit for unit in units if isinstance(unit, FusedBlock)}
        for name, choice in self.schedule.blocks.items():
            if name not in blocks:
                known = ", ".join(blocks) or "none"
                raise InputError(f"schedule: {name!r} is no block of this network; it has {known}")
            middle = blocks[name].depthwise.weight.shape[0]
            sizes = group_sizes(middle, self.target.lanes)
            if blocks[name].project.requantize is not None:
                sizes = [middle]  # its sums are rounded once
                if choice.kind != "rows":
                    raise InputError(
                        f"schedule: {name} computes with integers: its kind must be rows, "
                        f"got {choice.kind}"
                    )
            if choice.group not in sizes:
                raise InputError(
                    f"schedule: {name}'s group must be one of {sizes}, got {choice.group}"
                )

    # Stages that can be streamed

    def _stage(self, unit: Unit) -> bool:
        """Take a unit as a stage of a chain; False where it is none."""
        if isinstance(unit, FusedBlock):
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
        if pending is not None and self._streams(pending.units[-1].output, unit):
            self.places[source] = Place(source, CHANNELS_LAST)
            pending.units.append(unit)
            pending.stages.append(stage())
            pending.strips.append(strip)
            return
        self._flush()
        self._pending = _Pending([unit], [stage()], [strip])

    def _streams(self, made: str, unit: Unit) -> bool:
        """Whether a unit joins the chain that makes its input."""
        limit, tensor = self.schedule.limit(self.threads), self.tensor(made)
        alone = self.readers.get(made) == 1 and made not in self.graph.outputs
        light = limit == 0 or weights_of(unit) <= HEAVY
        return (
            (made,) == inputs_of(unit) and alone and limit >= 0 and tensor.nbytes > limit and light
        )

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
            self.next_name(), pending.stages, pending.strips, (buffer,),
            self.made(output, CHANNELS_LAST), self.threads,
        )  # fmt: skip
        names = tuple(unit.name for unit in pending.units)
        madds = sum(multiply_adds(unit, self.graph.tensors) for unit in pending.units)
        shapes = self.tensor(source).shape, self.tensor(output).shape
        self.add(step, names, self.tensor(output), *shapes, step.describe(), madds)

    def _choice(self, block: FusedBlock) -> Choice:
        if block.name in self.schedule.blocks:
            return self.schedule.blocks[block.name]
        height, width = self.tensor(block.source).shape[2:]
        middle, outputs = block.depthwise.weight.shape[0], self.tensor(block.output).shape[2]
        expands, weights = block.expand is not None, weights_of(block)
        shape = BlockShape(height, width, middle, outputs, expands, weights, FLOAT32.size)
        if block.project.requantize is not None:
            return Choice("rows", middle, strip_of(shape))
        return choose(shape, self.target.lanes, self.threads)

    def _block(self, block: FusedBlock, choice: Choice) -> BlockStage:
        return BlockStage(
            shape_of(self.tensor(block.source)), shape_of(self.tensor(block.output)),
            block.expand, block.depthwise, block.project, block.shortcut, choice.group,
        )  # fmt: skip

    def _conv(self, conv: Conv) -> ConvStage:
        source = self.tensor(conv.inputs[0])
        whole = self.places.get(conv.inputs[0])
        planar = (
            conv.requantize is None and conv.groups == 1 and source.shape[1] <= _MOST_PLANES
            and whole is not None and self.lies(conv.inputs[0], (0, 1, 2, 3))
        )  # fmt: skip
        return ConvStage(shape_of(source), shape_of(self.tensor(conv.output)), conv, planar)

    # What is by itself

    def _lower(self, unit: Unit) -> None:
        if isinstance(unit, Node) and type(unit) in NODES:
            NODES[type(unit)](self, unit)
        elif isinstance(unit, FusedBlock):
            self._block_step(unit)
        elif isinstance(unit, PooledConv):
            self._pooled_step(unit)
        elif isinstance(unit, ResizedBest):
            self._best_step(unit)
        elif isinstance(unit, Conv):
            self._conv_step(unit)
        else:
            assert isinstance(unit, Dense), unit
            self._dense_step(unit)

    def _block_step(self, block: FusedBlock) -> None:
        choice = self._choice(block)
        stage = self._block(block, choice)
        buffer = self.image(block.source)
        step = GroupsStep(self.next_name(), stage, (buffer,), block.output, self.threads)
        self.simple(step, block, step.describe(self.target), CHANNELS_LAST)

    def _conv_step(self, conv: Conv) -> None:
        buffers = tuple(self.image(name) for name in conv.inputs)
        source = shape_of(self.tensor(conv.inputs[0]))
        target = shape_of(self.tensor(conv.output))
        step: ParallelStep
        if conv.pointwise:
            step = PointwiseStep(
                self.next_name(), source.height * source.width, conv, target.element,
                buffers[::-1], conv.output, self.threads, added=self._added(conv),
            )  # fmt: skip
        else:
            step = DepthwiseStep(
                self.next_name(), conv, source, target, buffers, conv.output, self.threads
            )
        self.simple(step, conv, order=CHANNELS_LAST)

    def _added(self, conv: Conv) -> Literal["", "map", "vector"]:
        """What a convolution adds besides its bias."""
        if len(conv.inputs) == 1:
            return ""
        whole = self.tensor(conv.inputs[1]).shape == self.tensor(conv.output).shape
        return "map" if whole else "vector"

    def _pooled_step(self, unit: PooledConv) -> None:
        conv, shape = unit.conv, self.tensor(unit.source).shape
        step = PointwiseStep(
            self.next_name(), shape[2] * shape[3], conv, self.tensor(unit.output).dtype,
            (self.image(unit.source),), unit.output, self.threads, pool=True,
        )  # fmt: skip
        self.simple(step, unit, "averaged")

    def _best_step(self, unit: ResizedBest) -> None:
        source, target = (self.tensor(name) for name in (unit.source, unit.resize.output))
        step = BestStep(
            self.next_name(), (self.image(unit.source),), unit.output, self.threads,
            shape_of(source), shape_of(target), unit.resize.coordinates,
        )  # fmt: skip
        self.simple(step, unit, "resized")

    def _dense_step(self, node: Dense) -> None:
        buffer = self.plain(node.inputs[0])
        rows = self.tensor(node.output).size // node.weight.shape[1]
        step = PointwiseStep(
            self.next_name(), rows, node, self.tensor(node.output).dtype,
            (buffer,), node.output, self.threads,
        )  # fmt: skip
        self.simple(step, node)
