"""Where values lie while a graph is lowered, and the copies that other orders need."""

from collections.abc import Sequence
from dataclasses import dataclass

from mobilenets.engine.ir.graph import Graph, Tensor
from mobilenets.engine.ir.types import ElementType
from mobilenets.engine.kernels.nest import Nest, strides
from mobilenets.engine.passes.fuse import Unit, inputs_of, multiply_adds
from mobilenets.engine.steps.elementwise import CopyStep
from mobilenets.engine.steps.step import ParallelStep

CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(frozen=True)
class Place:
    """Where a value lies: in which buffer, and its axes from the slowest to the fastest there."""

    buffer: str
    order: tuple[int, ...]


@dataclass(frozen=True)
class LoweredStep:
    """A step with what reports say of it.

    `names`: the file's nodes that it does; `schedule`: how, in words; `source` and `target`:
    logical shapes of its first input and its output.
    """

    step: ParallelStep
    names: tuple[str, ...]
    schedule: str
    madds: int
    source: tuple[int, ...]
    target: tuple[int, ...]


@dataclass(frozen=True)
class Lowered:
    """Steps in order, the size of every buffer in bytes, and where the outputs end up.

    `types`: of every buffer's elements; `within`: buffers that are part of another, from so many
    bytes on.
    """

    entries: tuple[LoweredStep, ...]
    sizes: dict[str, int]
    types: dict[str, ElementType]
    outputs: tuple[str, ...]
    within: dict[str, tuple[str, int]]


class Layouts:
    """The steps so far, the place of every value, and the size of every buffer in bytes."""

    def __init__(self, graph: Graph, threads: int) -> None:
        self.graph, self.threads = graph, threads
        self.entries: list[LoweredStep] = []
        shape = graph.tensors[graph.input].shape
        self.places = {graph.input: Place(graph.input, tuple(range(len(shape))))}
        self.sizes = {graph.input: graph.tensors[graph.input].nbytes}
        self.types = {graph.input: graph.tensors[graph.input].dtype}
        self.within: dict[str, tuple[str, int]] = {}

    def tensor(self, name: str) -> Tensor:
        """A value's shape and type."""
        return self.graph.tensors[name]

    def lies(self, name: str, order: tuple[int, ...]) -> bool:
        """Whether a value already lies in an order; axes of size 1 don't count."""
        shape, place = self.tensor(name).shape, self.places[name]
        have, want = strides(shape, place.order), strides(shape, order)
        return all(h == w for h, w, size in zip(have, want, shape, strict=True) if size > 1)

    def as_order(self, name: str, order: tuple[int, ...]) -> str:
        """The buffer of a value in an order, copied there if need be."""
        if self.lies(name, order):
            return self.places[name].buffer
        return self.copied(name, order)

    def plain(self, name: str) -> str:
        """The buffer of a value in row-major order."""
        return self.as_order(name, tuple(range(len(self.tensor(name).shape))))

    def image(self, name: str) -> str:
        """The buffer of an image with its channels last."""
        return self.as_order(name, CHANNELS_LAST)

    def copied(self, name: str, order: tuple[int, ...], *, fresh: bool = False) -> str:
        """A buffer with a copy of a value in an order; `fresh`: the value's place stays."""
        shape = self.tensor(name).shape
        source = self.places[name]
        buffer = f"{name}:{''.join(map(str, order))}{'+' * fresh}"
        if buffer not in self.sizes:
            nest = self.nest(shape, order, strides(shape, source.order))
            step = CopyStep(
                self.next_name(), (source.buffer,), buffer, self.threads, [(0, nest, 0, 0)]
            )
            self.add(step, (name,), self.tensor(name), shape, shape)
        if not fresh:
            self.places[name] = Place(buffer, order)
        return buffer

    def nest(self, shape: Sequence[int], order: Sequence[int], *others: Sequence[int]) -> Nest:
        """Loops in the output's order, the output first among the operands."""
        own = strides(shape, order)
        steps = [tuple(s[axis] for axis in order) for s in (own, *others)]
        return Nest(tuple(shape[axis] for axis in order), tuple(steps))

    def next_name(self) -> str:
        """The name of the step that is added next: its functions' names begin with it."""
        return f"step{len(self.entries)}"

    def made(self, name: str, order: tuple[int, ...]) -> str:
        """Note that `name` is made in a buffer of its own, its axes in `order`; the buffer."""
        self.places[name] = Place(name, order)
        return name

    def add(
        self, step: ParallelStep, names: tuple[str, ...], result: Tensor,
        source: tuple[int, ...], target: tuple[int, ...], schedule: str = "", madds: int = 0,
    ) -> None:  # fmt: skip
        """Append a step that makes a value; `names`: the file's nodes; the shapes: for reports."""
        self.sizes[step.output] = result.nbytes
        self.types[step.output] = result.dtype
        self.entries.append(LoweredStep(step, names, schedule, madds, source, target))

    def simple(
        self,
        step: ParallelStep,
        unit: Unit,
        schedule: str = "",
        order: tuple[int, ...] | None = None,
    ) -> None:
        """Add a unit's step; its output lies row-major unless an order is given."""
        output = self.tensor(unit.output)
        self.made(unit.output, order or tuple(range(len(output.shape))))
        source = self.tensor(inputs_of(unit)[0]).shape
        madds = multiply_adds(unit, self.graph.tensors)
        self.add(step, (unit.name,), output, source, output.shape, schedule, madds)
