"""Steps besides convolutions: sums, activations, copies, pools, means, softmax, best indices."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from mobilenets.engine.ir.graph import Activation, Array, Pool
from mobilenets.engine.kernels.activate import activate, exp, sqrt
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.nest import Nest, emit_nest, read, write
from mobilenets.engine.kernels.values import Index, Value, literal
from mobilenets.engine.steps.block import Shape
from mobilenets.engine.steps.convolution import fill
from mobilenets.engine.steps.step import Frame, Step
from mobilenets.engine.steps.streaming import share_rows
from mobilenets.engine.targets.target import Target


class CopyStep(Step):
    """Elements from one layout to another: what transposes, slices, concatenations and pads need.

    `parts`: (input's index, nest of (output, input), offset in the output, in the input).
    """

    kind = "copy"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        parts: Sequence[tuple[int, Nest, int, int]], filled: tuple[int, float] | None = None,
    ) -> None:  # fmt: skip
        self.name, self.inputs, self.output, self.threads = name, inputs, output, threads
        self.parts, self.filled = parts, filled

    def emit(self, frame: Frame) -> None:
        """Fill with the pads' value if there are any, on one thread, then copy."""
        e = frame.e
        out = frame.tensors[self.output]

        def copies(part: tuple[Value, int] | None) -> None:
            for index, nest, to, start in self.parts:
                source = e.at(frame.tensors[self.inputs[index]], start)
                last = nest.collapsed().steps[1][-1:] or (1,)
                emit_nest(
                    e, nest, [e.at(out, to), source],
                    partial(_copy, e, last[0]), part,
                )  # fmt: skip

        if self.filled is None:
            copies((frame.thread, self.threads))
            return
        with e.when(e.compare("eq", frame.thread, 0)):
            fill(e, out, *self.filled)
            copies(None)


def _copy(e: Emitter, step: int, p: list[Value], lanes: int) -> None:
    write(e, read(e, p[1], step, lanes), p[0], lanes)


class MapStep(Step):
    """Elementwise: an activation of one input, or the sum or product of two with broadcasting."""

    kind = "map"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int, nest: Nest,
        operation: str | Activation, constant: Array | None = None,
    ) -> None:  # fmt: skip
        self.name, self.inputs, self.output, self.threads = name, inputs, output, threads
        self.nest, self.operation, self.constant = nest, operation, constant

    def in_place(self, target: Target) -> bool:
        """Where all that is read of that buffer is read in the output's order."""
        made, *steps = self.nest.collapsed().steps
        read = zip(steps, self.inputs, strict=False)
        return all(step == made for step, name in read if name == self.inputs[0])

    def weights(self, target: Target) -> list[Array]:
        """The constant operand."""
        return [] if self.constant is None else [self.constant.ravel()]

    def emit(self, frame: Frame) -> None:
        """One nest over the output."""
        e = frame.e
        pointers = [frame.tensors[name] for name in (self.output, *self.inputs)]
        if self.constant is not None:
            pointers.append(frame.weights)
        nest = self.nest.collapsed()
        last = [steps[-1] if steps else 1 for steps in nest.steps]

        def body(p: list[Value], lanes: int) -> None:
            values = [read(e, q, s, lanes) for q, s in zip(p[1:], last[1:], strict=True)]
            if isinstance(self.operation, Activation):
                single = lanes == 0
                value = e.splat(values[0]) if single else values[0]
                result = activate(e, value, self.operation)
                if single:
                    result = e.value("float", f"extractelement {result}, i32 0")
            else:
                result = (e.fadd if self.operation == "add" else e.fmul)(*values)
            write(e, result, p[0], lanes)

        emit_nest(e, nest, pointers, body, (frame.thread, self.threads))


class ReduceStep(Step):
    """Mean, sum or length over some axes, each (size, step); a nest of (output, input)."""

    kind = "reduce"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        nest: Nest, axes: Sequence[tuple[int, int]], operation: str,
    ) -> None:  # fmt: skip
        self.name, self.inputs, self.output, self.threads = name, inputs, output, threads
        self.nest, self.axes, self.operation = nest, axes, operation

    def emit(self, frame: Frame) -> None:
        """For each output, or vector of outputs, sum over the axes; then divide, or the root."""
        e = frame.e
        pointers = [frame.tensors[self.output], frame.tensors[self.inputs[0]]]
        count = int(np.prod([size for size, _ in self.axes], dtype=np.int64))

        def body(p: list[Value], lanes: int) -> None:
            zero = e.splat(0.0) if lanes else Value("float", "0.0")
            total = self._sum(e, p[1], lanes, list(self.axes), zero)
            if self.operation == "mean":
                factor = e.splat(1 / count) if lanes else Value("float", literal(1 / count))
                total = e.fmul(total, factor)
            write(e, sqrt(e, total) if self.operation == "l2" else total, p[0], lanes)

        emit_nest(e, self.nest, pointers, body, (frame.thread, self.threads))

    def _sum(
        self, e: Emitter, pointer: Value, lanes: int, axes: list[tuple[int, int]], total: Value
    ) -> Value:
        if not axes:
            value = e.load_some(pointer, 0, lanes) if lanes else e.load(pointer, 0, "float")
            return e.fma(value, value, total) if self.operation == "l2" else e.fadd(total, value)
        size, step = axes[0]

        def turn(i: Index, held: list[Value]) -> list[Value]:
            return [self._sum(e, e.at(pointer, e.mul(i, step)), lanes, axes[1:], held[0])]

        return e.loop(0, size, 1, turn, [total])[0]


class PoolStep(Step):
    """Average or maximum over windows, channels last."""

    kind = "pool"

    def __init__(
        self, name: str, pool: Pool, inputs: tuple[str, ...], source: Shape, target: Shape,
        threads: int,
    ) -> None:  # fmt: skip
        self.name, self.inputs, self.output = name, inputs, pool.output
        self.pool, self.source, self.target, self.threads = pool, source, target, threads

    def emit(self, frame: Frame) -> None:
        """Rows shared out; windows at the edges read fewer inputs."""
        e, wide = frame.e, (0, self.target.width)
        for thread, rows in enumerate(share_rows(self.target.height, self.threads)):
            if rows[0] == rows[1]:
                continue
            with e.when(e.compare("eq", frame.thread, thread)):
                for y, top, high in self._windows(e, 0, rows):
                    for x, left, count in self._windows(e, 1, wide):
                        self._window(frame, (y, x), (top, left), (high, count))

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
        self, frame: Frame, place: tuple[Index, Index], first: tuple[Index, Index],
        size: tuple[int, int],
    ) -> None:  # fmt: skip
        e, pool, shape = frame.e, self.pool, self.source
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        (y, x), (top, left), (high, wide) = place, first, size
        taken = pool.kernel[0] * pool.kernel[1] if pool.count_pads else high * wide
        to = e.at(out, e.add(e.mul(y, self.target.row), e.mul(x, shape.channels)))
        start = e.at(source, e.add(e.mul(top, shape.row), e.mul(left, shape.channels)))
        sources = [e.at(start, row * shape.row) for row in range(high)]

        def body(p: list[Value], lanes: int) -> None:
            values = [
                e.load_some(q, j * shape.channels, lanes)
                if lanes
                else e.load(q, j * shape.channels, "float")
                for q in p[1:]
                for j in range(wide)
            ]
            total = values[0]
            for value in values[1:]:
                total = largest(e, total, value) if pool.kind == "max" else e.fadd(total, value)
            if pool.kind == "average":
                factor = e.splat(1 / taken) if lanes else Value("float", literal(1 / taken))
                total = e.fmul(total, factor)
            write(e, total, p[0], lanes)

        nest = Nest((shape.channels,), tuple((1,) for _ in range(len(sources) + 1)))
        emit_nest(e, nest, [to, *sources], body)


def largest(e: Emitter, x: Value, y: Value) -> Value:
    """max(x, y); NaN where either is."""
    bits = "i1" if x.type == "float" else f"<{e.lanes} x i1>"
    unknown = e.value(bits, f"fcmp uno {y}, {y.text}")
    return e.select(unknown, y, e.at_least(x, y))


class SoftmaxStep(Step):
    """exp(x - max) / sum along the last axis in memory: `rows` times `count` floats."""

    kind = "softmax"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int, rows: int, count: int
    ) -> None:
        self.name, self.inputs, self.output, self.threads = name, inputs, output, threads
        self.rows, self.count = rows, count

    def emit(self, frame: Frame) -> None:
        """Rows one after the other, on one thread where there are few."""
        e = frame.e
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        for thread, (first, last) in enumerate(share_rows(self.rows, self.threads)):
            if first == last:
                continue
            with (
                e.when(e.compare("eq", frame.thread, thread)),
                e.repeat(first, last) as row,
            ):
                at = e.mul(row, self.count)
                self._one(e, e.at(source, at), e.at(out, at))

    def _one(self, e: Emitter, source: Value, out: Value) -> None:
        def largest(i: Index, held: list[Value]) -> list[Value]:
            return [e.maximum(held[0], e.load(source, i, "float"))]

        low = Value("float", "0xFFF0000000000000")
        peak = e.splat(e.loop(0, self.count, 1, largest, [low])[0])
        whole = self.count - self.count % e.lanes

        def step(i: Index, lanes: int) -> None:
            less = e.value(e.vector, f"fsub {e.load_some(source, i, lanes)}, {peak.text}")
            e.store_some(exp(e, less), out, i, lanes)

        if whole:
            with e.repeat(0, whole, e.lanes) as i:
                step(i, e.lanes)
        if whole < self.count:
            step(whole, self.count - whole)

        def add(i: Index, held: list[Value]) -> list[Value]:
            return [e.fadd(held[0], e.load(out, i, "float"))]

        total = e.loop(0, self.count, 1, add, [Value("float", "0.0")])[0]
        divisor = e.splat(total)

        def body(p: list[Value], lanes: int) -> None:
            if lanes == 0:
                value = e.value("float", f"fdiv {e.load(p[0], 0, 'float')}, {total.text}")
            else:
                value = e.value(e.vector, f"fdiv {e.load_some(p[0], 0, lanes)}, {divisor.text}")
            write(e, value, p[0], lanes)

        emit_nest(e, Nest((self.count,), ((1,),)), [out], body)


class SpreadSoftmaxStep(Step):
    """The same along an axis (size, step) that is not the last in memory; a nest of the others."""

    kind = "softmax"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        nest: Nest, axis: tuple[int, int],
    ) -> None:  # fmt: skip
        self.name, self.inputs, self.output, self.threads = name, inputs, output, threads
        self.nest, self.axis = nest, axis

    def in_place(self, target: Target) -> bool:
        """Each place is read before it is written."""
        return True

    def emit(self, frame: Frame) -> None:
        """Of a vector of places at once the largest elements, powers and their sums, quotients."""
        e = frame.e
        size, step = self.axis

        def body(p: list[Value], lanes: int) -> None:
            out, source = p
            lanes = lanes or 1

            def at(pointer: Value, i: Index) -> Value:
                return e.load_some(pointer, e.mul(i, step), lanes)

            def most(i: Index, held: list[Value]) -> list[Value]:
                return [largest(e, held[0], at(source, i))]

            def power(i: Index, held: list[Value]) -> list[Value]:
                value = exp(e, e.value(e.vector, f"fsub {at(source, i)}, {peak.text}"))
                e.store_some(value, out, e.mul(i, step), lanes)
                return [e.fadd(held[0], value)]

            peak = e.loop(1, size, 1, most, [at(source, 0)])[0]
            total = e.loop(0, size, 1, power, [e.splat(0.0)])[0]
            with e.repeat(0, size) as i:
                share = e.value(e.vector, f"fdiv {at(out, i)}, {total.text}")
                e.store_some(share, out, e.mul(i, step), lanes)

        pointers = [frame.tensors[self.output], frame.tensors[self.inputs[0]]]
        emit_nest(e, self.nest, pointers, body, (frame.thread, self.threads))


class ArgMaxStep(Step):
    """The index (int64) of the first largest element; a nest of (output, input)."""

    kind = "argmax"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        nest: Nest, axis: tuple[int, int],
    ) -> None:  # fmt: skip
        self.name, self.inputs, self.output, self.threads = name, inputs, output, threads
        self.nest, self.axis = nest, axis

    def emit(self, frame: Frame) -> None:
        """Element by element; outputs are two floats wide, as the nest's steps say."""
        e = frame.e
        size, step = self.axis

        def body(p: list[Value], lanes: int) -> None:
            def turn(i: Index, held: list[Value]) -> list[Value]:
                best, where = held
                value = e.load(p[1], e.mul(i, step), "float")
                over = e.value("i1", f"fcmp ogt {value}, {best.text}")
                return [e.select(over, value, best), e.choose(over, i, where)]

            first = e.load(p[1], 0, "float")
            result = e.loop(1, size, 1, turn, [first, Value("i64", "0")])
            e.store(result[1], p[0])

        pointers = [frame.tensors[self.output], frame.tensors[self.inputs[0]]]
        emit_nest(e, self.nest, pointers, body, (frame.thread, self.threads))
