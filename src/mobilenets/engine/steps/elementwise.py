"""Steps that work element by element: copies into other layouts, activations, sums, products."""

from collections.abc import Sequence
from functools import partial

from mobilenets.engine.ir.graph import Activation
from mobilenets.engine.kernels.activate import activate
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.kernels.memory import fill
from mobilenets.engine.kernels.nest import Nest, emit_nest, read, write
from mobilenets.engine.kernels.values import Pointer, Value
from mobilenets.engine.steps.step import ParallelStep, StepContext
from mobilenets.engine.targets.target import Target


class CopyStep(ParallelStep):
    """Elements from one layout to another: what transposes, slices, concatenations and pads need.

    `parts`: (input's index, nest of (output, input), offset in the output, in the input).
    """

    kind = "copy"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        parts: Sequence[tuple[int, Nest, int, int]], filled: tuple[int, float] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.parts, self.filled = parts, filled

    def emit(self, frame: StepContext) -> None:
        """Copy, the threads sharing the loops; where there are pads, one fills and copies."""
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


def _copy(e: Emitter, step: int, p: list[Pointer], lanes: int) -> None:
    write(e, read(e, p[1], step, lanes), p[0], lanes)


class BroadcastStep(ParallelStep):
    """One nest over the output, of its inputs and maybe a constant, with broadcasting."""

    kind = "map"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int, nest: Nest,
        constant: AnyArray | None,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.nest, self.constant = nest, constant

    def in_place(self, target: Target) -> bool:
        """Where all that is read of that buffer is read in the output's order."""
        made, *steps = self.nest.collapsed().steps
        read = zip(steps, self.inputs, strict=False)
        return all(step == made for step, name in read if name == self.inputs[0])

    def weights(self, target: Target) -> list[AnyArray]:
        """The constant operand as it is, if there is one."""
        return [] if self.constant is None else [self.constant.ravel()]

    def operands(self, frame: StepContext) -> list[Pointer]:
        """The output, the inputs and the constant, which is of the inputs' type."""
        pointers = [frame.tensors[name] for name in (self.output, *self.inputs)]
        if self.constant is not None:
            pointers.append(frame.weights.of(pointers[1].element))
        return pointers

    @property
    def last(self) -> list[int]:
        """Each operand's step in the innermost loop."""
        return [steps[-1] if steps else 1 for steps in self.nest.collapsed().steps]


class MapStep(BroadcastStep):
    """Elementwise: an activation of one input, or the sum or product of two with broadcasting."""

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int, nest: Nest,
        operation: str | Activation, constant: AnyArray | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads, nest, constant)
        self.operation = operation

    def emit(self, frame: StepContext) -> None:
        """One nest over the output, its outermost loop shared out to the threads."""
        e = frame.e
        last = self.last

        def body(p: list[Pointer], lanes: int) -> None:
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

        emit_nest(e, self.nest, self.operands(frame), body, (frame.thread, self.threads))
