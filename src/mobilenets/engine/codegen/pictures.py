"""Pictures of 8 bits scaled, cut and normalised, as LLVM: two functions, a pass over rows each.

Numbers are Pillow's: weights of 22 bits, sums of 32, and 8 bits again between the passes. Only the
rows and columns that are kept are computed. `ACROSS` and `DOWN` say what each function is given: an
array of 64-bit words.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from llvmlite import binding, ir

PRECISION = 22
"""Bits of a weight behind the point."""
LANES = 16
"""Sums that are formed at once: of four pixels across, of sixteen down."""
ACROSS = (
    *("source", "stride", "rows", "first", "weights", "groups", "width"),
    *("planes", "plane", "line"),
)
"""Across: `rows` of pixels at `source`, `stride` bytes apart, become `width` bytes a row in each of
three `planes`, `plane` bytes apart, their rows `line` bytes apart.

Column x is the sum over `groups` of four pixels from the byte `first[x]` (i64) of a row on, by
`weights` (i32, each four times: for red, green, blue and nothing).
"""
DOWN = (
    *("planes", "plane", "line", "first", "weights", "taps", "width", "height"),
    *("values", "gap", "pitch", "mean", "std", "red", "step"),
)
"""Down: `height` rows of `width` floats in three planes at `values`, `gap` bytes apart, their rows
`pitch` bytes apart; (pixel / 255 - mean) / std.

Row y is the sum over `taps` rows of the planes from number `first[y]` (i64) on, by `weights` (i32).
The first plane of values is number `red` of those given, the next is `step` further.
"""
_I8, _I32, _I64, _FLOAT = ir.IntType(8), ir.IntType(32), ir.IntType(64), ir.FloatType()
_SUMS = ir.VectorType(_I32, LANES)


def picture_module() -> ir.Module:
    """Functions `across3` and `across4`, for pixels of so many bytes, and `down`.

    `across3` reads up to four bytes behind the last pixel.
    """
    module = ir.Module("pictures")
    module.triple = binding.get_default_triple()
    for size in (3, 4):
        _emit_across(module, size)
    _emit_down(module)
    return module


def _emit_across(module: ir.Module, size: int) -> None:
    build, given = _begin(module, f"across{size}", ACROSS)
    quarter = ir.VectorType(_I8, 4)
    start = ir.Constant(_SUMS, [1 << (PRECISION - 1)] * 4 + [0] * (LANES - 4))
    with _loop(build, given["rows"]) as row:
        line = build.add(given["source"], build.mul(row, given["stride"]))
        below = build.add(given["planes"], build.mul(row, given["line"]))
        with _loop(build, given["width"]) as x:
            first = build.add(line, _load(build, _I64, given["first"], x))
            weights = build.mul(build.mul(x, given["groups"]), _I64(LANES * 4))
            weights = build.add(given["weights"], weights)

            with _sum(build, given["groups"], start) as (group, sums, put):
                place = build.add(first, build.mul(group, _I64(4 * size)))
                pixels = _vector(build, _I8, place)
                if size == 3:
                    pixels = _spread(build, pixels)
                place = build.add(weights, build.mul(group, _I64(LANES * 4)))
                product = build.mul(build.zext(pixels, _SUMS), _vector(build, _I32, place))
                sums = put(build.add(sums, product))
            sums = build.add(_half(build, sums, 0, 8), _half(build, sums, 8, 8))
            sums = build.add(_half(build, sums, 0, 4), _half(build, sums, 4, 4))
            pixel = build.trunc(_clip(build, sums), quarter)
            place = build.add(below, x)
            for channel in range(3):
                byte = build.extract_element(pixel, _I32(channel))
                build.store(byte, build.inttoptr(place, _I8.as_pointer()))
                place = build.add(place, given["plane"])
    build.ret_void()


def _emit_down(module: ir.Module) -> None:
    build, given = _begin(module, "down", DOWN)
    start = ir.Constant(_SUMS, [1 << (PRECISION - 1)] * LANES)
    floats = ir.VectorType(_FLOAT, LANES)
    last = build.sub(given["width"], _I64(LANES))
    chunks = build.udiv(build.add(given["width"], _I64(LANES - 1)), _I64(LANES))
    with _loop(build, _I64(3)) as channel:
        number = build.add(given["red"], build.mul(channel, given["step"]))
        source = build.add(given["planes"], build.mul(number, given["plane"]))
        target = build.add(given["values"], build.mul(channel, given["gap"]))
        mean = _splat(build, _load(build, _FLOAT, given["mean"], channel))
        std = _splat(build, _load(build, _FLOAT, given["std"], channel))
        with _loop(build, given["height"]) as y:
            line = build.mul(_load(build, _I64, given["first"], y), given["line"])
            line = build.add(source, line)
            row = build.add(target, build.mul(y, given["pitch"]))
            weights = build.mul(build.mul(y, given["taps"]), _I64(4))
            weights = build.add(given["weights"], weights)
            with _loop(build, chunks) as chunk:
                # The last sixteen begin earlier where the width is no multiple.
                x = build.mul(chunk, _I64(LANES))
                x = build.select(build.icmp_signed("<", x, last), x, last)

                with _sum(build, given["taps"], start) as (tap, sums, put):
                    place = build.add(build.add(line, build.mul(tap, given["line"])), x)
                    pixels = build.zext(_vector(build, _I8, place), _SUMS)
                    weight = _splat(build, _load(build, _I32, weights, tap))
                    sums = put(build.add(sums, build.mul(pixels, weight)))
                pixels = _clip(build, sums)
                found = build.fdiv(build.uitofp(pixels, floats), floats([255.0] * LANES))
                found = build.fdiv(build.fsub(found, mean), std)
                place = build.add(row, build.mul(x, _I64(4)))
                build.store(found, build.inttoptr(place, floats.as_pointer()), align=4)
    build.ret_void()


def _begin(
    module: ir.Module, name: str, words: Sequence[str]
) -> tuple[ir.IRBuilder, dict[str, ir.Value]]:
    """A function of one argument, the address of its words; and these by name."""
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_I64]), name)
    build = ir.IRBuilder(function.append_basic_block("entry"))
    (given,) = function.args
    return build, {word: _load(build, _I64, given, _I64(index)) for index, word in enumerate(words)}


@contextmanager
def _loop(build: ir.IRBuilder, count: ir.Value) -> Iterator[ir.Value]:
    """A loop whose index goes from 0; nothing is done where `count` is 0."""
    before, head = build.block, build.append_basic_block("head")
    body, after = build.append_basic_block("body"), build.append_basic_block("after")
    build.branch(head)
    build.position_at_end(head)
    index = build.phi(_I64)
    index.add_incoming(_I64(0), before)
    build.cbranch(build.icmp_signed("<", index, count), body, after)
    build.position_at_end(body)
    yield index
    index.add_incoming(build.add(index, _I64(1)), build.block)
    build.branch(head)
    build.position_at_end(after)


@contextmanager
def _sum(
    build: ir.IRBuilder, count: ir.Value, start: ir.Value
) -> Iterator[tuple[ir.Value, ir.Value, Callable[[ir.Value], ir.Value]]]:
    """A loop that goes on from `start`: (index, the sums so far, what takes the new ones).

    `count` is positive.
    """
    before, body = build.block, build.append_basic_block("sum")
    build.branch(body)
    build.position_at_end(body)
    index, sums = build.phi(_I64), build.phi(_SUMS)
    index.add_incoming(_I64(0), before)
    sums.add_incoming(start, before)

    def put(more: ir.Value) -> ir.Value:
        sums.add_incoming(more, body)
        return more

    yield index, sums, put
    following = build.add(index, _I64(1))
    index.add_incoming(following, body)
    after = build.append_basic_block("summed")
    build.cbranch(build.icmp_signed("<", following, count), body, after)
    build.position_at_end(after)


def _clip(build: ir.IRBuilder, sums: ir.Value) -> ir.Value:
    """Sums without the bits behind the point, in 0 .. 255."""
    kind = sums.type
    count = kind.count
    whole = build.ashr(sums, kind([PRECISION] * count))
    least, most = kind([0] * count), kind([255] * count)
    whole = build.select(build.icmp_signed(">", whole, least), whole, least)
    return build.select(build.icmp_signed("<", whole, most), whole, most)


def _spread(build: ir.IRBuilder, pixels: ir.Value) -> ir.Value:
    """Four pixels of three bytes, each with one more behind it that has no weight."""
    places = [byte for pixel in range(4) for byte in (3 * pixel, 3 * pixel + 1, 3 * pixel + 2, 15)]
    mask = ir.Constant(_SUMS, places)
    return build.shuffle_vector(pixels, ir.Constant(pixels.type, ir.Undefined), mask)


def _half(build: ir.IRBuilder, sums: ir.Value, first: int, count: int) -> ir.Value:
    mask = ir.Constant(ir.VectorType(_I32, count), list(range(first, first + count)))
    return build.shuffle_vector(sums, ir.Constant(sums.type, ir.Undefined), mask)


def _splat(build: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Sixteen times the same."""
    empty = ir.Constant(ir.VectorType(value.type, LANES), ir.Undefined)
    one = build.insert_element(empty, value, _I32(0))
    return build.shuffle_vector(one, empty, ir.Constant(_SUMS, [0] * LANES))


def _load(build: ir.IRBuilder, kind: ir.Type, base: ir.Value, index: ir.Value) -> ir.Value:
    """Number `index` of an array."""
    size = 8 if kind is _I64 else 4
    place = build.add(base, build.mul(index, _I64(size)))
    return build.load(build.inttoptr(place, kind.as_pointer()), align=size)


def _vector(build: ir.IRBuilder, kind: ir.Type, place: ir.Value) -> ir.Value:
    """Sixteen numbers from an address on, however that is aligned."""
    pointer = build.inttoptr(place, ir.VectorType(kind, LANES).as_pointer())
    return build.load(pointer, align=1 if kind is _I8 else 4)
