"""Arithmetic with integers: products of pairs, and what becomes of the sums.

Each gives the bits of its twin in `ir/exact.py`, on every target.
"""

from mobilenets.engine.ir.types import INT16, INT32, UINT8, ElementType
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.types import Ending
from mobilenets.engine.kernels.values import Index, Pointer, Value, constant

_MAGIC, _MAGIC_BITS = 1.5 * 2.0**23, 0x4B400000
"""Where float32 are 1 apart: added to a small number it rounds, and the lowest bits are the result.
"""


def widened(e: Emitter, value: Value, element: ElementType, wide: ElementType) -> Value:
    """Stored integers, one or a vector, as integers of more bits."""
    kind = value.type.replace(element.llvm, wide.llvm)
    return e.value(kind, f"{'zext' if element == UINT8 else 'sext'} {value} to {kind}")


def narrowed(e: Emitter, value: Value, wide: ElementType, element: ElementType) -> Value:
    """Integers that fit as integers of fewer bits."""
    kind = value.type.replace(wide.llvm, element.llvm)
    return e.value(kind, f"trunc {value} to {kind}")


def load_wide(e: Emitter, place: Pointer, offset: Index, lanes: int) -> Value:
    """Stored integers as int32: a vector's first `lanes`."""
    return widened(e, e.load_some(place, offset, lanes), place.element, INT32)


def store_narrow(e: Emitter, value: Value, place: Pointer, lanes: int) -> None:
    """Write the first `lanes` of a vector of int32 as stored integers."""
    e.store_some(narrowed(e, value, INT32, place.element), place, 0, lanes)


def whole(e: Emitter, number: int) -> Value:
    """A vector of one int32."""
    return e.splat_of(constant(number, INT32))


def compute(e: Emitter, how: str, x: Value, y: Value) -> Value:
    """An LLVM instruction of two integers of a type: add, sub, mul, ashr, sdiv."""
    return e.value(x.type, f"{how} {x}, {y.text}")


def larger(e: Emitter, x: Value, y: Value) -> Value:
    """max(x, y) of two vectors of int32."""
    over = e.value(f"<{e.lanes} x i1>", f"icmp sgt {x}, {y.text}")
    return e.select(over, x, y)


def smaller(e: Emitter, x: Value, y: Value) -> Value:
    """min(x, y) of two vectors of int32."""
    over = e.value(f"<{e.lanes} x i1>", f"icmp sgt {x}, {y.text}")
    return e.select(over, y, x)


def quotient(e: Emitter, total: Value, count: Value) -> Value:
    """Vectors of int32 divided: to the nearest, halves away from 0; `count` is above 0."""
    half = compute(e, "sdiv", count, whole(e, 2))
    below = e.value(f"<{e.lanes} x i1>", f"icmp slt {total}, {whole(e, 0).text}")
    moved = e.select(below, compute(e, "sub", total, half), compute(e, "add", total, half))
    return compute(e, "sdiv", moved, count)


def widen(e: Emitter, source: Pointer, target: Pointer, count: int, zero: int) -> None:
    """Copy a run of stored integers as int16, less `zero`."""
    least = constant(zero, INT16)

    def less(value: Value, of: Value) -> Value:
        return compute(e, "sub", widened(e, value, source.element, INT16), of)

    rest = count % e.lanes
    if count > rest:
        with e.repeat(0, count - rest, e.lanes) as i:
            e.store(less(e.load(source, i), e.splat_of(least)), target, i)
    for i in range(count - rest, count):
        e.store(less(e.load_one(source, i), least), target, i)


def spread_pair(e: Emitter, place: Pointer, offset: Index) -> Value:
    """Two neighbouring int16 at an address, again and again in a vector."""
    both = e.value("i32", f"load i32, {e.at(place, offset)}, align 2")
    kind = f"<{2 * e.lanes} x i16>"
    return e.value(kind, f"bitcast {e.splat(both)} to {kind}")


def interleaved(e: Emitter, x: Value, y: Value) -> Value:
    """Pairs of two vectors' elements."""
    places = ", ".join(f"i32 {i}, i32 {e.lanes + i}" for i in range(e.lanes))
    mask = f"<{2 * e.lanes} x i32> <{places}>"
    return e.value(f"<{2 * e.lanes} x i16>", f"shufflevector {x}, {y}, {mask}")


def multiply_pairs(e: Emitter, x: Value, y: Value, total: Value) -> Value:
    """Add to each int32 the two products of a pair."""
    name = e.module.target.pairs
    if name:
        e.module.declare(total.type, name, x.type, y.type)
        products = e.value(total.type, f"call {total.type} @{name}({x}, {y})")
        return compute(e, "add", total, products)
    product = compute(e, "mul", widened(e, x, INT16, INT32), widened(e, y, INT16, INT32))
    for side in range(2):
        places = ", ".join(f"i32 {2 * i + side}" for i in range(e.lanes))
        mask = f"<{e.lanes} x i32> <{places}>"
        part = e.value(total.type, f"shufflevector {product}, {product.type} poison, {mask}")
        total = compute(e, "add", total, part)
    return total


def rounded(e: Emitter, value: Value, how: Ending) -> Value:
    """A vector of float32 as int32: held between the limits, rounded, moved by the offset."""
    held = e.at_most(e.at_least(value, e.splat(float(how.low))), e.splat(float(how.high)))
    moved = e.fadd(held, e.splat(_MAGIC))
    kind = e.vector(INT32)
    bits = e.value(kind, f"bitcast {moved} to {kind}")
    return compute(e, "sub", bits, whole(e, _MAGIC_BITS - how.offset))


def floats(e: Emitter, value: Value) -> Value:
    """A vector of int32 as float32."""
    return e.value(e.floats, f"sitofp {value} to {e.floats}")


def requantized(e: Emitter, total: Value, scale: Value, how: Ending) -> Value:
    """Sums as int32 that fit what they are stored as; `scale`: a vector of float32."""
    return rounded(e, e.fmul(floats(e, total), scale), how)
