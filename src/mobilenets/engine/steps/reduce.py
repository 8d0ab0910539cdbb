"""Steps that make one number of many: means and sums over axes, pools, the index of the largest."""

from collections.abc import Iterator, Sequence

import numpy as np

from mobilenets.engine.ir.graph import Pool, Reduce
from mobilenets.engine.ir.types import FLOAT32, UINT8
from mobilenets.engine.kernels.activate import sqrt
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.integers import (
    compute,
    larger,
    load_wide,
    quotient,
    requantized,
    store_narrow,
    whole,
)
from mobilenets.engine.kernels.nest import Nest, emit_nest, write
from mobilenets.engine.kernels.rows import ImageShape
from mobilenets.engine.kernels.types import ending
from mobilenets.engine.kernels.values import Index, Pointer, Value, constant
from mobilenets.engine.steps.step import ParallelStep, StepContext, share_rows

_MOST_TAPS = 64
"""Inputs of a window that are written out one by one; more are looped over."""


class ReduceStep(ParallelStep):
    """Mean, sum or length over some axes, each (size, step); a nest of (output, input)."""

    kind = "reduce"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        nest: Nest, axes: Sequence[tuple[int, int]], node: Reduce,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.nest, self.axes, self.operation, self.node = nest, axes, node.kind, node

    def emit(self, frame: StepContext) -> None:
        """Each output, or a vector of them, is summed over the axes; then mean or root."""
        e = frame.e
        pointers = [frame.tensors[self.output], frame.tensors[self.inputs[0]]]
        count = int(np.prod([size for size, _ in self.axes], dtype=np.int64))

        def integers(p: list[Pointer], lanes: int) -> None:
            how = self.node.requantize
            assert how is not None
            lanes = lanes or 1
            total = self._sum(e, p[1], lanes, list(self.axes), whole(e, 0))
            scale = e.splat(float(how.multiplier))
            found = requantized(e, total, scale, ending(how, how.dtype))
            store_narrow(e, found, p[0], lanes)

        def body(p: list[Pointer], lanes: int) -> None:
            zero = e.splat(0.0) if lanes else Value("float", "0.0")
            total = self._sum(e, p[1], lanes, list(self.axes), zero)
            if self.operation == "mean":
                factor = e.splat(1 / count) if lanes else constant(1 / count, FLOAT32)
                total = e.fmul(total, factor)
            write(e, sqrt(e, total) if self.operation == "l2" else total, p[0], lanes)

        of = body if self.node.requantize is None else integers
        emit_nest(e, self.nest, pointers, of, (frame.thread, self.threads))

    def _sum(
        self, e: Emitter, pointer: Pointer, lanes: int, axes: list[tuple[int, int]], total: Value
    ) -> Value:
        if not axes and self.node.requantize is not None:
            value = load_wide(e, pointer, 0, lanes)
            return compute(
                e, "add", total, compute(e, "sub", value, whole(e, self.node.zero_point))
            )
        if not axes:
            value = e.load_some(pointer, 0, lanes) if lanes else e.load_one(pointer)
            return e.fma(value, value, total) if self.operation == "l2" else e.fadd(total, value)
        size, step = axes[0]

        def turn(i: Index, held: list[Value]) -> list[Value]:
            return [self._sum(e, e.at(pointer, e.mul(i, step)), lanes, axes[1:], held[0])]

        return e.loop(0, size, 1, turn, [total])[0]


class PoolStep(ParallelStep):
    """Average or maximum over windows, channels last."""

    kind = "pool"

    def __init__(
        self, name: str, pool: Pool, inputs: tuple[str, ...],
        source: ImageShape, target: ImageShape, threads: int,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, pool.output, threads)
        self.pool, self.source, self.target = pool, source, target

    def emit(self, frame: StepContext) -> None:
        """Each thread makes some output rows; windows at the edges read fewer inputs."""
        e, wide = frame.e, (0, self.target.width)
        many = self.pool.kernel[0] * self.pool.kernel[1] > _MOST_TAPS
        if many or self.source.element != FLOAT32:
            self._large(frame)
            return
        for thread, rows in enumerate(share_rows(self.target.height, self.threads)):
            if rows[0] == rows[1]:
                continue
            with e.when(e.compare("eq", frame.thread, thread)):
                for y, top, high in self._windows(e, 0, rows):
                    for x, left, count in self._windows(e, 1, wide):
                        self._window(frame, (y, x), (top, left), (high, count))

    def _large(self, frame: StepContext) -> None:
        """Windows of many inputs: loops over them, whose ends are worked out as the code runs."""
        e, pool, shape = frame.e, self.pool, self.source
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        height = self.target.height
        first, last = e.mul(frame.thread, height), e.mul(e.add(frame.thread, 1), height)
        rows = e.div(first, self.threads), e.div(last, self.threads)
        with e.repeat(*rows) as y, e.repeat(0, self.target.width) as x:
            (top, bottom), (left, right) = (self._ends(e, axis, i) for axis, i in ((0, y), (1, x)))
            inside = e.mul(e.sub(bottom, top), e.sub(right, left))
            count = pool.kernel[0] * pool.kernel[1] if pool.count_pads else inside
            corner = e.add(e.mul(top, shape.row), e.mul(left, shape.channels))
            to = e.at(out, e.add(e.mul(y, self.target.row), e.mul(x, shape.channels)))

            def body(
                p: list[Pointer], lanes: int, corner: Index = corner, count: Index = count
            ) -> None:
                lanes = lanes or 1

                def turn(at: Index, held: list[Value]) -> list[Value]:
                    return [self._taken(e, held[0], self._read(e, p[1], at, lanes))]

                def row(i: Index, held: list[Value]) -> list[Value]:
                    begin, end = (
                        e.add(e.mul(i, shape.row), e.mul(column, shape.channels))
                        for column in (left, right)
                    )
                    return e.loop(begin, end, shape.channels, turn, held)

                start = self._read(e, p[1], corner, lanes) if pool.kind == "max" else self._none(e)
                total = e.loop(top, bottom, 1, row, [start])[0]
                self._write(e, total, count, p[0], lanes)

            emit_nest(e, Nest((shape.channels,), ((1,), (1,))), [to, source], body)

    @property
    def _floats(self) -> bool:
        return self.source.element == FLOAT32

    def _none(self, e: Emitter) -> Value:
        return e.splat(0.0) if self._floats else whole(e, 0)

    def _read(self, e: Emitter, place: Pointer, offset: Index, lanes: int) -> Value:
        if self._floats:
            return e.load_some(place, offset, lanes)
        return load_wide(e, place, offset, lanes)

    def _taken(self, e: Emitter, held: Value, value: Value) -> Value:
        """What a window has come to with one more input."""
        if self.pool.kind == "max":
            return largest(e, held, value) if self._floats else larger(e, held, value)
        return e.fadd(held, value) if self._floats else compute(e, "add", held, value)

    def _write(self, e: Emitter, total: Value, count: Index, place: Pointer, lanes: int) -> None:
        """The largest, or the mean of `count` inputs."""
        if not self._floats:
            if self.pool.kind == "average":
                number = e.value("i32", f"trunc {e.index(count)} to i32")
                total = quotient(e, total, e.splat(number))
            store_narrow(e, total, place, lanes)
            return
        if self.pool.kind == "average":
            if isinstance(count, int):
                share = e.splat(1 / count)
            else:
                taken = e.value("float", f"sitofp {count} to float")
                share = e.splat(e.value("float", f"fdiv float 1.0, {taken.text}"))
            total = e.fmul(total, share)
        e.store_some(total, place, 0, lanes)

    def _ends(self, e: Emitter, axis: int, at: Index) -> tuple[Index, Index]:
        """The first input of a window along an axis, and one past the last, of those there are."""
        size, pool = (self.source.height, self.source.width)[axis], self.pool
        first = e.sub(e.mul(at, pool.strides[axis]), pool.pads[axis])
        stop = e.add(first, pool.kernel[axis])
        low = e.choose(e.compare("sgt", first, 0), first, 0)
        return low, e.choose(e.compare("slt", stop, size), stop, size)

    def _windows(
        self, e: Emitter, axis: int, part: tuple[int, int]
    ) -> Iterator[tuple[Index, Index, int]]:
        """Where a window is, its first input and how many: edges one by one, the rest in a loop."""
        size, pool = (self.source.height, self.source.width)[axis], self.pool
        kernel, stride, pad = pool.kernel[axis], pool.strides[axis], pool.pads[axis]
        whole = []
        for at in range(*part):
            first, last = at * stride - pad, at * stride - pad + kernel
            if first >= 0 and last <= size:
                whole.append(at)
            else:
                yield at, max(first, 0), min(last, size) - max(first, 0)
        if whole:
            with e.repeat(whole[0], whole[-1] + 1) as index:
                yield index, e.sub(e.mul(index, stride), pad), kernel

    def _window(
        self, frame: StepContext, place: tuple[Index, Index], first: tuple[Index, Index],
        size: tuple[int, int],
    ) -> None:  # fmt: skip
        e, pool, shape = frame.e, self.pool, self.source
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        (y, x), (top, left), (high, wide) = place, first, size
        taken = pool.kernel[0] * pool.kernel[1] if pool.count_pads else high * wide
        to = e.at(out, e.add(e.mul(y, self.target.row), e.mul(x, shape.channels)))
        start = e.at(source, e.add(e.mul(top, shape.row), e.mul(left, shape.channels)))
        sources = [e.at(start, row * shape.row) for row in range(high)]

        def body(p: list[Pointer], lanes: int) -> None:
            values = [
                e.load_some(q, j * shape.channels, lanes)
                if lanes
                else e.load_one(q, j * shape.channels)
                for q in p[1:]
                for j in range(wide)
            ]
            total = values[0]
            for value in values[1:]:
                total = largest(e, total, value) if pool.kind == "max" else e.fadd(total, value)
            if pool.kind == "average":
                factor = e.splat(1 / taken) if lanes else constant(1 / taken, FLOAT32)
                total = e.fmul(total, factor)
            write(e, total, p[0], lanes)

        nest = Nest((shape.channels,), tuple((1,) for _ in range(len(sources) + 1)))
        emit_nest(e, nest, [to, *sources], body)


def largest(e: Emitter, x: Value, y: Value) -> Value:
    """max(x, y); NaN where either is."""
    bits = "i1" if x.type == "float" else f"<{e.lanes} x i1>"
    unknown = e.value(bits, f"fcmp uno {y}, {y.text}")
    return e.select(unknown, y, e.at_least(x, y))


def _above(place: Pointer) -> str:
    """LLVM's word for "larger", of what lies there."""
    return {FLOAT32: "fcmp ogt", UINT8: "icmp ugt"}.get(place.element, "icmp sgt")


class AxisStep(ParallelStep):
    """What works along one axis: (size, step in elements); a nest goes over the other axes."""

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        nest: Nest, axis: tuple[int, int],
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.nest, self.axis = nest, axis


class ArgMaxStep(AxisStep):
    """The index (int64) of the first largest element; a nest of (output, input)."""

    kind = "argmax"

    def emit(self, frame: StepContext) -> None:
        """Each output by itself: the first largest so far, and where it is."""
        e = frame.e
        size, step = self.axis

        def body(p: list[Pointer], lanes: int) -> None:
            def turn(i: Index, held: list[Value]) -> list[Value]:
                best, where = held
                value = e.load_one(p[1], e.mul(i, step))
                over = e.value("i1", f"{_above(p[1])} {value}, {best.text}")
                return [e.select(over, value, best), e.choose(over, i, where)]

            first = e.load_one(p[1])
            result = e.loop(1, size, 1, turn, [first, Value("i64", "0")])
            e.store(result[1], p[0])

        pointers = [frame.tensors[self.output], frame.tensors[self.inputs[0]]]
        emit_nest(e, self.nest, pointers, body, (frame.thread, self.threads), single=True)
