"""A block on the whole map, groups of channels one after the other."""

from mobilenets.engine.ir.graph import Activation
from mobilenets.engine.kernels.activate import activate
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.kernels.rows import RowBuffer
from mobilenets.engine.kernels.values import Index, Pointer
from mobilenets.engine.stages.block import BlockStage
from mobilenets.engine.stages.stage import Job
from mobilenets.engine.steps.step import ParallelStep, StepContext, round_up, share_rows, wait
from mobilenets.engine.targets.target import Target


class GroupsStep(ParallelStep):
    """A block on the whole map, groups of channels shared out; partial sums are added up."""

    kind = "groups"

    def __init__(
        self, name: str, stage: BlockStage, inputs: tuple[str, ...], output: str, threads: int
    ) -> None:
        super().__init__(name, inputs, output, threads)
        self.stage = stage

    def describe(self, target: Target) -> str:
        """The schedule for reports: `groups 4 x 144`, how many and of how many channels."""
        return f"groups {self.stage.groups(target)} x {self.stage.group}"

    def weights(self, target: Target) -> list[AnyArray]:
        """The block's packed constants, group by group."""
        return self.stage.pack(target)

    def _layout(self, target: Target) -> tuple[int, int, int]:
        stage = self.stage
        ring = round_up(stage.ring_bytes(target, stage.source.height, shared=True))
        work = round_up(stage.work_bytes(target, stage.target.height))
        return ring, work, round_up(stage.target.size * stage.types.sums.size)

    def _workers(self, target: Target) -> int:
        """Threads that have a group; the others only help to add up."""
        return min(self.threads, self.stage.groups(target))

    def scratch(self, target: Target) -> int:
        """Bytes of each worker's group, and of the partial sums of all workers but the first."""
        ring, work, sums = self._layout(target)
        workers = self._workers(target)
        return workers * (ring + work) + (workers - 1) * sums

    @property
    def zero_bytes(self) -> int:
        """Bytes of zeros that stand for rows outside the image."""
        return self.stage.zero_bytes

    def emit(self, frame: StepContext) -> None:
        """Each thread makes its groups' sums; after a barrier each adds up a part of the map."""
        e, stage = frame.e, self.stage
        target = e.module.target
        ring, work, sums = self._layout(target)
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        shape, high = stage.target, stage.source.height
        types = stage.types
        bias = e.part(frame.weights, stage.bias_offset(target), types.sums)
        padded = round_up(shape.channels, target.lanes)
        workers = self._workers(target)
        edges = share_rows(stage.groups(target), workers)
        partial = e.part(frame.scratch, workers * (ring + work), types.sums)
        for thread, share in enumerate(edges):
            with e.when(e.compare("eq", frame.thread, thread)):
                own = e.part(frame.scratch, thread * (ring + work), types.target)
                to = out if thread == 0 else e.item(partial, thread - 1, sums)
                job = Job(
                    RowBuffer(source, stage.source.row, high, high),
                    RowBuffer(to, shape.row, shape.height, shape.height), frame.weights,
                    bias if thread == 0 else e.at(bias, padded), own,
                    e.part(own, ring, types.target),
                    frame.zeros, high, 0, shape.height, 0, high, flat=True, shared=True,
                    share=share,
                )  # fmt: skip
                stage.emit(e, job)
        wait(frame, self.threads)
        others = [e.item(partial, i, sums) for i in range(workers - 1)]
        if stage.shortcut:
            others.append(source)
        add_up(frame, out, others, (shape.size, self.threads), stage.project.activation)


def add_up(
    frame: StepContext,
    out: Pointer,
    others: list[Pointer],
    size: tuple[int, int],
    activation: Activation,
) -> None:
    """Out = activation(out + others), each thread a part; size: (elements, threads)."""
    e = frame.e
    count, threads = size
    vectors = -(-count // e.lanes)
    for thread, (first, last) in enumerate(share_rows(vectors, threads)):
        if first == last:
            continue
        with e.when(e.compare("eq", frame.thread, thread)):
            whole = min(last, count // e.lanes)

            def one(i: Index, lanes: int) -> None:
                value = e.load_some(out, i, lanes)
                for other in others:
                    value = e.fadd(value, e.load_some(other, i, lanes))
                e.store_some(activate(e, value, activation), out, i, lanes)

            if first < whole:
                with e.repeat(first * e.lanes, whole * e.lanes, e.lanes) as i:
                    one(i, e.lanes)
            if whole < last:
                one(whole * e.lanes, count - whole * e.lanes)
