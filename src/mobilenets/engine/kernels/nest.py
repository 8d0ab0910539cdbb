"""Loop nests over tensors that lie in memory in any way: copies, elementwise sums, activations."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.values import Index, Pointer, Value

Body = Callable[[list[Pointer], int], None]
"""Given each operand's address and the number of lanes (0: a single element), does the work."""


@dataclass(frozen=True)
class Nest:
    """Sizes of the loops, outermost first, and each operand's step in its elements at each loop."""

    sizes: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]

    def collapsed(self) -> "Nest":
        """Loops of one turn dropped, and neighbours made one where every operand allows it."""
        sizes: list[int] = []
        steps: list[list[int]] = [[] for _ in self.steps]
        for axis, size in enumerate(self.sizes):
            if size == 1:
                continue
            here = [step[axis] for step in self.steps]
            if sizes and all(s[-1] == h * size for s, h in zip(steps, here, strict=True)):
                sizes[-1] *= size
                for s, h in zip(steps, here, strict=True):
                    s[-1] = h
                continue
            sizes.append(size)
            for s, h in zip(steps, here, strict=True):
                s.append(h)
        return Nest(tuple(sizes), tuple(map(tuple, steps)))


def strides(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """Elements between neighbours along each axis; `order` goes from the slowest to the fastest."""
    result, step = [0] * len(shape), 1
    for axis in reversed(order):
        result[axis] = step
        step *= shape[axis]
    return tuple(result)


def emit_nest(
    e: Emitter,
    nest: Nest,
    pointers: list[Pointer],
    body: Body,
    part: tuple[Value, int] | None = None,
    *,
    single: bool = False,
) -> None:
    """Run `body` over all elements, by vectors where every operand's last step is 1 or 0.

    `part`: (thread, threads): the outermost loop is shared out. `single`: one element at a time.
    An operand whose last step is 0 is given as one address for the whole vector: the body
    broadcasts it.
    """
    nest = nest.collapsed()
    if not nest.sizes:
        # A single element is one thread's: made in place by several, it would be made again.
        with nullcontext() if part is None else e.when(e.compare("eq", part[0], 0)):
            body(pointers, 0)
        return
    most = 1 if single else e.lanes
    _level(e, nest, 0, pointers, body, part, most)


def _level(
    e: Emitter, nest: Nest, axis: int, pointers: list[Pointer], body: Body,
    part: tuple[Value, int] | None, most: int,
) -> None:  # fmt: skip
    size = nest.sizes[axis]
    here = [step[axis] for step in nest.steps]
    inner = axis == len(nest.sizes) - 1

    def moved(i: Index) -> list[Pointer]:
        return [e.at(p, e.mul(i, h)) for p, h in zip(pointers, here, strict=True)]

    unit = most if inner and all(h in (0, 1) for h in here) and here[0] == 1 else 1
    units = size // unit
    low, high = _share(e, units, part)
    if not (isinstance(high, int) and high == low):
        with e.repeat(e.mul(low, unit), e.mul(high, unit), unit) as i:
            if inner:
                body(moved(i), unit if unit > 1 else 0)
            else:
                _level(e, nest, axis + 1, moved(i), body, None, most)
    if size % unit:
        if part is None:
            body(moved(units * unit), size % unit)
        else:
            with e.when(e.compare("eq", part[0], 0)):
                body(moved(units * unit), size % unit)


def _share(e: Emitter, units: int, part: tuple[Value, int] | None) -> tuple[Index, Index]:
    if part is None or part[1] == 1:
        return 0, units
    thread, threads = part
    low = e.div(e.mul(thread, units), threads)
    return low, e.div(e.mul(e.add(thread, 1), units), threads)


def read(e: Emitter, place: Pointer, step: int, lanes: int) -> Value:
    """An operand of a nest's body: an element for no lanes, a vector else."""
    if lanes == 0:
        return e.load_one(place)
    return e.broadcast(place) if step == 0 else e.load_some(place, 0, lanes)


def write(e: Emitter, value: Value, place: Pointer, lanes: int) -> None:
    """The result of a nest's body."""
    if lanes == 0:
        e.store(value, place)
    else:
        e.store_some(value, place, 0, lanes)
