"""Runs of elements one after the other in memory: copied, filled, scaled."""

from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.nest import Nest, emit_nest, read, write
from mobilenets.engine.kernels.values import Pointer, constant


def copy(e: Emitter, source: Pointer, target: Pointer, count: int) -> None:
    """Copy `count` elements; the two runs must not overlap."""
    whole = count - count % e.lanes
    if whole:
        with e.repeat(0, whole, e.lanes) as i:
            e.store(e.load(source, i), target, i)
    if count > whole:
        tail = count - whole
        e.store_some(e.load_some(source, whole, tail), target, whole, tail)


def fill(e: Emitter, target: Pointer, count: int, value: float) -> None:
    """Write the same number `count` times."""
    number = constant(value, target.element)
    if count < e.lanes // 2:
        for place in range(count):
            e.store(number, target, place)
        return
    splat = e.splat_of(number)
    whole = count - count % e.lanes
    if whole:
        with e.repeat(0, whole, e.lanes) as i:
            e.store(splat, target, i)
    if count > whole:
        e.store_some(splat, target, whole, count - whole)


def scale(e: Emitter, place: Pointer, count: int, factor: float) -> None:
    """Multiply `count` floats by a constant, in place."""

    def body(p: list[Pointer], lanes: int) -> None:
        value = constant(factor, place.element) if lanes == 0 else e.splat(factor)
        write(e, e.fmul(read(e, p[0], 1, lanes), value), p[0], lanes)

    emit_nest(e, Nest((count,), ((1,),)), [place], body)
