"""Softmax, along the last axis in memory and along any other."""

from mobilenets.engine.kernels.activate import exp
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.nest import Nest, emit_nest, write
from mobilenets.engine.kernels.values import Index, Pointer, Value
from mobilenets.engine.steps.reduce import AxisStep, largest
from mobilenets.engine.steps.step import ParallelStep, StepContext, share_rows
from mobilenets.engine.targets.target import Target


class SoftmaxStep(ParallelStep):
    """exp(x - max) / sum along the last axis in memory: `rows` times `count` floats."""

    kind = "softmax"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int, rows: int, count: int
    ) -> None:
        super().__init__(name, inputs, output, threads)
        self.rows, self.count = rows, count

    def emit(self, frame: StepContext) -> None:
        """Each thread does some of the rows, one after the other."""
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

    def _one(self, e: Emitter, source: Pointer, out: Pointer) -> None:
        def largest(i: Index, held: list[Value]) -> list[Value]:
            return [e.maximum(held[0], e.load_one(source, i))]

        low = Value("float", "0xFFF0000000000000")
        peak = e.splat(e.loop(0, self.count, 1, largest, [low])[0])
        whole = self.count - self.count % e.lanes

        def step(i: Index, lanes: int) -> None:
            less = e.value(e.floats, f"fsub {e.load_some(source, i, lanes)}, {peak.text}")
            e.store_some(exp(e, less), out, i, lanes)

        if whole:
            with e.repeat(0, whole, e.lanes) as i:
                step(i, e.lanes)
        if whole < self.count:
            step(whole, self.count - whole)

        def add(i: Index, held: list[Value]) -> list[Value]:
            return [e.fadd(held[0], e.load_one(out, i))]

        total = e.loop(0, self.count, 1, add, [Value("float", "0.0")])[0]
        divisor = e.splat(total)

        def body(p: list[Pointer], lanes: int) -> None:
            if lanes == 0:
                value = e.value("float", f"fdiv {e.load_one(p[0])}, {total.text}")
            else:
                value = e.value(e.floats, f"fdiv {e.load_some(p[0], 0, lanes)}, {divisor.text}")
            write(e, value, p[0], lanes)

        emit_nest(e, Nest((self.count,), ((1,),)), [out], body)


class SpreadSoftmaxStep(AxisStep):
    """Softmax along an axis that is not the last in memory: lanes are other elements' sums."""

    kind = "softmax"

    def in_place(self, target: Target) -> bool:
        """Each place is read before it is written."""
        return True

    def emit(self, frame: StepContext) -> None:
        """Of a vector of places at once the largest elements, powers and their sums, quotients."""
        e = frame.e
        size, step = self.axis

        def body(p: list[Pointer], lanes: int) -> None:
            out, source = p
            lanes = lanes or 1

            def at(pointer: Pointer, i: Index) -> Value:
                return e.load_some(pointer, e.mul(i, step), lanes)

            def most(i: Index, held: list[Value]) -> list[Value]:
                return [largest(e, held[0], at(source, i))]

            def power(i: Index, held: list[Value]) -> list[Value]:
                value = exp(e, e.value(e.floats, f"fsub {at(source, i)}, {peak.text}"))
                e.store_some(value, out, e.mul(i, step), lanes)
                return [e.fadd(held[0], value)]

            peak = e.loop(1, size, 1, most, [at(source, 0)])[0]
            total = e.loop(0, size, 1, power, [e.splat(0.0)])[0]
            with e.repeat(0, size) as i:
                share = e.value(e.floats, f"fdiv {at(out, i)}, {total.text}")
                e.store_some(share, out, e.mul(i, step), lanes)

        pointers = [frame.tensors[self.output], frame.tensors[self.inputs[0]]]
        emit_nest(e, self.nest, pointers, body, (frame.thread, self.threads))
