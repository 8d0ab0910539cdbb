"""Stages that run as one step: the maps between them exist as a few rows."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from mobilenets.engine.ir.types import UINT8
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.kernels.rows import RowBuffer
from mobilenets.engine.kernels.values import Pointer, Value
from mobilenets.engine.stages.block import BlockStage
from mobilenets.engine.stages.stage import Job
from mobilenets.engine.stages.streaming import AnyStage, Streaming, merge
from mobilenets.engine.steps.step import ParallelStep, StepContext, round_up, share_rows
from mobilenets.engine.targets.target import Target


class ChainStep(ParallelStep):
    """One stage or several, streamed row by row; each thread makes a range of the last rows."""

    kind = "rows"

    def __init__(
        self, name: str, stages: Sequence[AnyStage], strips: Sequence[int],
        inputs: tuple[str, ...], output: str, threads: int,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.stages = stages
        heights = [stage.target.height for stage in stages]
        self.strips = [min(pair) for pair in zip(strips, heights, strict=True)]
        height = stages[-1].target.height
        shares = [share for share in share_rows(height, threads) if share[0] < share[1]]
        self.parts = [Streaming(stages, self.strips).run(*share) for share in shares]
        self.prepared, self.between = merge(self.parts)

    def describe(self) -> str:
        """The schedule for reports: `rows 1 x 32 > rows 1 x 16`, a part for each stage."""
        parts = []
        for stage, strip in zip(self.stages, self.strips, strict=True):
            if isinstance(stage, BlockStage):
                parts.append(f"rows {strip} x {stage.group}")
            else:
                parts.append("rows")
        return " > ".join(parts)

    def weights(self, target: Target) -> list[AnyArray]:
        """Each stage's packed constants, filled up with zeros to a whole cache line."""
        parts: list[AnyArray] = []
        for stage in self.stages:
            own = stage.pack(target)
            size = sum(part.nbytes for part in own)
            parts += [*own, np.zeros(round_up(size) - size, np.uint8)]
        return parts

    def _weight_offsets(self, target: Target) -> list[int]:
        sizes = [round_up(sum(p.nbytes for p in stage.pack(target))) for stage in self.stages]
        return [sum(sizes[:i]) for i in range(len(sizes))]

    def _layout(self, target: Target) -> tuple[list[tuple[int, int, int]], int]:
        """Bytes of scratch, per stage up to its ring, its work, the ring it writes; and all."""
        at, result = 0, []
        for i, stage in enumerate(self.stages):
            sizes = [
                stage.ring_bytes(target, self.prepared[i], shared=self.flat),
                stage.work_bytes(target, self.strips[i]),
                self.between[i] * stage.target.row_bytes if i < len(self.between) else 0,
            ]
            offsets = []
            for size in sizes:
                offsets.append(at)
                at += round_up(size)
            result.append((offsets[0], offsets[1], offsets[2]))
        return result, at

    def in_place(self, target: Target) -> bool:
        """A shortcut's rows are read, expanded, before their outputs are written over them."""
        stage = self.stages[0]
        alone = len(self.stages) == len(self.parts) == 1 and isinstance(stage, BlockStage)
        return alone and stage.shortcut and stage.groups(target) == 1  # type: ignore[union-attr]

    @property
    def flat(self) -> bool:
        """Whether a single thread makes a single stage's rows all at once, from all rows there are.

        A stride may leave the last rows unread; then the ring has no place for them.
        """
        whole = len(self.parts) == 1 and len(self.parts[0].calls) == 1
        alone = whole and len(self.stages) == 1
        return alone and self.prepared[0] == self.stages[0].source.height

    def scratch(self, target: Target) -> int:
        """Bytes of every thread's rings and work buffers."""
        return self._layout(target)[1] * len(self.parts)

    @property
    def zero_bytes(self) -> int:
        """Bytes of zeros that the stage with the widest rows reads."""
        return max(stage.zero_bytes for stage in self.stages)

    def emit(self, frame: StepContext) -> None:
        """Each thread walks through its part of the table of calls."""
        e = frame.e
        layout, step = self._layout(e.module.target)
        unit = self.stages[0].types.sums
        scratch = e.item(frame.scratch.of(unit), frame.thread, step)
        if self.flat:
            call = self.parts[0].calls[0]
            function = self._function(e, 0, call.count, layout, frame)
            with e.when(e.compare("eq", frame.thread, 0)):
                arguments = self._arguments(frame, frame.scratch)
                e.call(function, *arguments, call.first, call.begin, call.end)
            return
        variants = sorted({(c.stage, c.count) for part in self.parts for c in part.calls})
        rows = [
            number
            for part in self.parts
            for c in part.calls
            for number in (variants.index((c.stage, c.count)), c.first, c.begin, c.end)
        ]
        ends = list(np.cumsum([len(part.calls) for part in self.parts]))
        table = e.module.table(f"calls_{self.name}", rows)
        bounds = e.module.table(f"bounds_{self.name}", [0, *map(int, ends)])
        with e.when(e.compare("slt", frame.thread, len(self.parts))):
            start = e.load_index(bounds, frame.thread)
            stop = e.load_index(bounds, e.add(frame.thread, 1))
            with e.repeat(start, stop) as i:
                at = e.mul(i, 4)
                which, first, begin, end = (e.load_index(table, e.add(at, k)) for k in range(4))
                for number, (stage, count) in enumerate(variants):
                    with e.when(e.compare("eq", which, number)):
                        function = self._function(e, stage, count, layout, frame)
                        e.call(function, *self._arguments(frame, scratch), first, begin, end)

    def _arguments(self, frame: StepContext, scratch: Pointer) -> list[Value]:
        source, target = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        return [source, target, frame.weights, scratch, frame.zeros]

    def _function(
        self,
        e: Emitter,
        index: int,
        count: int,
        layout: list[tuple[int, int, int]],
        frame: StepContext,
    ) -> str:
        """A function that makes `count` rows of a stage."""
        stage = self.stages[index]
        offset = self._weight_offsets(e.module.target)[index]

        def body(inner: Emitter, p: list[Any]) -> None:
            source, target, weights, scratch, zeros, first, begin, end = p
            ring, work, _ = layout[index]
            if index:
                before = self.stages[index - 1].target
                held = inner.part(scratch, layout[index - 1][2], before.element)
                inputs = RowBuffer(held, before.row, self.between[index - 1], before.height)
            else:
                planar = getattr(stage, "planar", False)
                step = stage.source.width if planar else stage.source.row
                inputs = RowBuffer(source, step, stage.source.height, stage.source.height)
            shape = stage.target
            if index < len(self.between):
                held = inner.part(scratch, layout[index][2], shape.element)
                outputs = RowBuffer(held, shape.row, self.between[index], shape.height)
            else:
                outputs = RowBuffer(target, shape.row, shape.height, shape.height)
            types = stage.types
            own = inner.part(weights, offset, types.weight)
            bias = inner.part(own, stage.bias_offset(e.module.target), types.sums)
            job = Job(
                inputs, outputs, own, bias, inner.part(scratch, ring, types.target),
                inner.part(scratch, work, types.target), zeros, self.prepared[index],
                0 if self.flat else first, count, begin, end, flat=self.flat, shared=self.flat,
            )  # fmt: skip
            stage.emit(inner, job)

        name = f"{self.name}_stage{index}_rows{count}"
        ends = [self.stages[0].source.element, self.stages[-1].target.element]
        return e.module.function(name, [*ends, *[UINT8] * 3, *["i64"] * 3], body)
