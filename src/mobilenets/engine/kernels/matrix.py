"""The matrix kernel: a tile of sums kept in registers, for convolutions of any shape.

It computes `pixels` x (`vectors` x lanes) outputs. Each step of its inner loop broadcasts one
input of each pixel and multiplies it with `vectors` vectors of weights. With 14 x 2 sums, 2
weights and one input, AVX-512's 32 registers are full, and two loads a cycle keep both
multipliers busy.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.ir.graph import LINEAR, Activation
from mobilenets.engine.ir.types import FLOAT32, INT32
from mobilenets.engine.kernels.activate import activate
from mobilenets.engine.kernels.emit import Emitter, Module
from mobilenets.engine.kernels.integers import multiply_pairs, narrowed, requantized, spread_pair
from mobilenets.engine.kernels.types import Ending, Types
from mobilenets.engine.kernels.values import Index, Pointer, Value
from mobilenets.engine.targets.target import Target

_UNROLL = 4
_LINE = 64  # bytes in a cache line
_SHARED_LANES = 16
AnyArray = NDArray[Any]
"""Numbers of any element type."""


@dataclass(frozen=True)
class Accumulation:
    """What a matrix kernel adds up, and where its inputs and outputs lie.

    `segments`: (row, offset, length): runs of inputs that lie one after the other, `offset`
    elements from the row's pointer. `a_step` and `c_step`: elements from one pixel to the next.
    `start`: what the sums begin with, the bias, or what the output holds (as it is, or plus the
    bias), or the bias plus a shortcut. `pool`: instead of writing each pixel's outputs, add them
    all up. `ending`: of integers, how sums become outputs; the length of each segment is then a
    multiple of the types' `group`, the weights of what is read too much being 0.
    """

    segments: tuple[tuple[int, int, int], ...]
    a_step: int
    c_step: int
    types: Types
    start: str = "bias"
    activation: Activation = LINEAR
    pool: bool = False
    ending: Ending | None = None

    @property
    def rows(self) -> int:
        """How many row pointers the kernel takes: one for each row that its segments name."""
        return 1 + max(row for row, _, _ in self.segments)

    @property
    def depth(self) -> int:
        """How many inputs each output is a sum over: the segments' lengths together."""
        return sum(length for _, _, length in self.segments)


@dataclass(frozen=True, kw_only=True)
class Tile(Accumulation):
    """What a matrix kernel computes, all of it known when code is generated.

    `lanes`: how many lanes of the last vector are written. `ahead`: how many cache lines
    of the weights to come are asked for in each turn of the inner loop. `half`: only half of the
    last vector is needed, so two pixels share one; its weights are there twice.
    """

    pixels: int
    vectors: int
    lanes: int
    ahead: int = 0
    half: bool = False

    @property
    def full(self) -> int:
        """Vectors that each pixel has for itself."""
        return self.vectors - self.half


def tile_kernel(module: Module, tile: Tile) -> str:
    """A function of (row pointers..., weights, outputs, bias, shortcut, coming[, scales]).

    Weights are as `pack` lays them out; scales belong to an `ending`, one for each channel. The
    shortcut is read where `start` is "shortcut"; `coming` is where the weights to ask for lie.
    """
    types = tile.types
    parameters = [types.source] * tile.rows
    parameters += [types.weight, types.target, types.sums, types.target, types.weight]
    parameters += [FLOAT32] * (tile.ending is not None)
    return module.kernel("tile", tile, parameters, lambda e, p: _body(e, tile, p))


def _body(e: Emitter, tile: Tile, pointers: list[Pointer]) -> None:
    rows = pointers[: tile.rows]
    weights, outputs, bias, shortcut, coming, *scales = pointers[tile.rows :]
    sums = _start(e, tile, outputs, bias, shortcut)
    done = 0
    for row, offset, length in tile.segments:
        source = e.at(rows[row], offset)
        begin = e.at(weights, done * tile.vectors * e.lanes)
        sums = _multiply(e, tile, sums, (source, begin, coming, length))
        done += length
    if tile.ending is None:
        results = [activate(e, value, tile.activation) for value in sums]
    else:
        own = [e.load(scales[0], v * e.lanes) for v in range(tile.vectors)] * tile.pixels
        made = [requantized(e, *both, tile.ending) for both in zip(sums, own, strict=True)]
        results = [narrowed(e, value, INT32, tile.types.target) for value in made]
    _finish(e, tile, results, outputs)


def _start(
    e: Emitter, tile: Tile, outputs: Pointer, bias: Pointer, shortcut: Pointer
) -> list[Value]:
    """Sums as they begin: each pixel's whole vectors, then the vectors that two pixels share."""
    biases = [e.load(bias, v * e.lanes) for v in range(tile.full)]
    twice = [_twice(e, tile, bias)] if tile.half else []
    shared = -(-tile.pixels // 2) if tile.half else 0
    if tile.start == "bias":
        return biases * tile.pixels + twice * shared
    source = shortcut if tile.start == "shortcut" else outputs
    held = [e.load_some(source, at, lanes) for at, lanes in _places(e, tile)]
    for pair in range(shared):
        ends = [e.load_half(source, at, lanes) for at, lanes in _shared_places(e, tile, pair)]
        held.append(e.join(ends[0], ends[-1], tile.types.target))
    if tile.start == "outputs":
        return held
    begin = biases * tile.pixels + twice * shared
    return [e.fadd(x, y) for x, y in zip(held, begin, strict=True)]


def _twice(e: Emitter, tile: Tile, bias: Pointer) -> Value:
    """The biases of the vector that two pixels share, for both."""
    half = e.load_half(bias, tile.full * e.lanes)
    return e.join(half, half, bias.element)


def _places(e: Emitter, tile: Tile) -> Iterator[tuple[int, int]]:
    """Offset and valid lanes of each vector of outputs that is a pixel's own."""
    for pixel in range(tile.pixels):
        for v in range(tile.full):
            last = v == tile.vectors - 1
            yield pixel * tile.c_step + v * e.lanes, tile.lanes if last else e.lanes


def _shared_places(e: Emitter, tile: Tile, pair: int) -> list[tuple[int, int]]:
    """Offset and valid lanes of the one or two halves that share a vector."""
    pixels = range(2 * pair, min(2 * pair + 2, tile.pixels))
    return [(pixel * tile.c_step + tile.full * e.lanes, tile.lanes) for pixel in pixels]


def _multiply(
    e: Emitter, tile: Tile, sums: list[Value], run: tuple[Pointer, Pointer, Pointer, int]
) -> list[Value]:
    """Add the products of one segment; the loop over it is unrolled a few times."""
    source, weights, coming, length = run
    group = tile.types.group
    width = tile.vectors * e.lanes * group
    first = e.first_half() if tile.half else None
    line = _LINE // coming.element.size

    def steps(k: Index, held: list[Value], count: int) -> list[Value]:
        a, b = e.at(source, e.mul(k, group)), e.at(weights, e.mul(k, width))
        held = list(held)
        for number in range(tile.ahead if count == _UNROLL else 0):
            place = e.add(e.mul(k, tile.ahead * line // _UNROLL), number * line)
            e.prefetch(coming, place)
        for step in range(count):
            if tile.a_step < _UNROLL:
                # Neighbours read some of the same inputs: kept for later, they would cost spills.
                e.line('fence syncscope("singlethread") seq_cst')
            w = [_weights(e, b, step * width, v, group) for v in range(tile.vectors)]
            x = []
            for pixel in range(tile.pixels):
                x.append(_input(e, a, pixel * tile.a_step + step * group, group))
                for v in range(tile.full):
                    i = pixel * tile.full + v
                    held[i] = _multiply_add(e, x[pixel], w[v], held[i], group)
                if first is not None and (pixel % 2 or pixel == tile.pixels - 1):
                    i = tile.pixels * tile.full + pixel // 2
                    both = e.select(first, x[pixel - pixel % 2], x[pixel])
                    held[i] = e.fma(both, w[-1], held[i])
        return held

    length //= group
    whole = length - length % _UNROLL
    if whole > 2 * _UNROLL:
        sums = e.loop(0, whole, _UNROLL, lambda k, held: steps(k, held, _UNROLL), sums)
    else:
        whole = 0
    return steps(whole, sums, length - whole) if length > whole else sums


def _weights(e: Emitter, place: Pointer, offset: int, vector: int, group: int) -> Value:
    """What one of the vectors of sums is multiplied with, `group` weights for each sum."""
    at = offset + vector * e.lanes * group
    return e.load(place, at) if group == 1 else e.load_many(place, at, e.lanes * group)


def _input(e: Emitter, place: Pointer, offset: int, group: int) -> Value:
    """One input of a pixel, or a pair of them, for all sums."""
    return e.broadcast(place, offset) if group == 1 else spread_pair(e, place, offset)


def _multiply_add(e: Emitter, x: Value, w: Value, total: Value, group: int) -> Value:
    return e.fma(x, w, total) if group == 1 else multiply_pairs(e, x, w, total)


def _finish(e: Emitter, tile: Tile, results: list[Value], outputs: Pointer) -> None:
    if not tile.pool:
        own = tile.pixels * tile.full
        for value, (at, lanes) in zip(results, _places(e, tile), strict=False):
            e.store_some(value, outputs, at, lanes)
        for pair, value in enumerate(results[own:]):
            for side, (at, lanes) in enumerate(_shared_places(e, tile, pair)):
                e.store_half(value, side, outputs, at, lanes)
        return
    for v in range(tile.vectors):
        column = results[v :: tile.vectors]
        while len(column) > 1:
            pairs = [e.fadd(x, y) for x, y in zip(column[::2], column[1::2], strict=False)]
            column = pairs + column[len(pairs) * 2 :]
        lanes = tile.lanes if v == tile.vectors - 1 else e.lanes
        total = e.fadd(e.load_some(outputs, v * e.lanes, lanes), column[0])
        e.store_some(total, outputs, v * e.lanes, lanes)


def panels(target: Target, channels: int, vectors: int = 0) -> list[tuple[int, int, int]]:
    """How output channels are cut: (first channel, vectors, valid lanes of the last vector)."""
    whole = -(-channels // target.lanes)
    most = vectors or target.vectors
    counts = [most] * (whole // most) + ([whole % most] if whole % most else [])
    used = channels - (whole - 1) * target.lanes
    if counts[-2:] == [2, 1] and halves(target, 2, target.lanes + used):
        counts[-2:] = [1, 2]  # half a vector is better shared in a panel than one by itself
    firsts = [sum(counts[:i]) for i in range(len(counts))]
    return [
        (
            first * target.lanes,
            count,
            min(channels - (first + count - 1) * target.lanes, target.lanes),
        )
        for first, count in zip(firsts, counts, strict=True)
    ]


def halves(target: Target, vectors: int, channels: int) -> bool:
    """Whether pixels share a panel's last vector: worth it where vectors are long."""
    used = channels - (vectors - 1) * target.lanes
    return target.lanes >= _SHARED_LANES and vectors == 2 and used <= target.lanes // 2


def cuts(target: Target, count: int, vectors: int) -> list[tuple[int, int]]:
    """`count` pixels as (first, pixels) tiles, as equal as can be."""
    most = target.pixels * target.vectors // vectors
    number = -(-count // most)
    edges = [count * i // number for i in range(number + 1)]
    return [(a, b - a) for a, b in pairwise(edges)]


def pack(target: Target, matrix: AnyArray, vectors: int = 0, group: int = 1) -> AnyArray:
    """(depth, channels) as its panels one after the other, each (depth, vectors x lanes).

    `group`: so many weights of a channel lie together; depth is a multiple of it.
    """
    depth = matrix.shape[0]
    parts = []
    for first, count, _ in panels(target, matrix.shape[1], vectors):
        part = np.zeros((depth, count * target.lanes), matrix.dtype)
        columns = matrix[:, first : first + count * target.lanes]
        part[:, : columns.shape[1]] = columns
        if group == 1 and halves(target, count, columns.shape[1]):
            part[:, -target.lanes // 2 :] = part[:, -target.lanes : -target.lanes // 2]
        parts.append(part.reshape(depth // group, group, -1).transpose(0, 2, 1).ravel())
    return np.concatenate(parts)


def pad_channels(target: Target, values: AnyArray) -> AnyArray:
    """Zeros up to a whole number of vectors along the last axis."""
    missing = -values.shape[-1] % target.lanes
    return np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, missing)])


@dataclass(frozen=True, kw_only=True)
class Product(Accumulation):
    """A matrix product over `count` pixels that lie evenly, all output channels.

    `channels` are the outputs' channels; `vectors` 0: the target's; `streamed`: the weights come
    from beyond the second-level cache, so each panel asks for the next one's while it is computed
    (what follows a product's weights is used next as well).
    """

    count: int
    channels: int
    vectors: int = 0
    streamed: bool = False


def emit_product(
    e: Emitter,
    product: Product,
    rows: list[Pointer],
    others: tuple[Pointer, Pointer, Pointer, Pointer],
    share: tuple[int, int] | None = None,
    scales: Pointer | None = None,
) -> None:
    """Call matrix kernels for all panels (or those from `share[0]` up to `share[1]`) and pixels.

    `others`: weights as `pack` lays them out, outputs, bias (whole vectors), shortcut.
    `scales`: of an ending, in whole vectors.
    """
    lanes = e.module.target.lanes
    cut = panels(e.module.target, product.channels, product.vectors)
    vectors = product.vectors or e.module.target.vectors
    first, stop = share or (0, len(cut))
    same = [panel[1:] == (vectors, lanes) for panel in cut]
    whole = min(stop, same.index(False) if False in same else len(cut))
    if first < whole:
        with e.repeat(first, whole) as panel:
            channel = e.mul(panel, vectors * lanes)
            _panel(e, product, rows, others, (vectors, lanes, channel), scales)
    for channel, vectors, valid in cut[max(first, whole) : stop]:
        _panel(e, product, rows, others, (vectors, valid, channel), scales)


def _panel(
    e: Emitter,
    product: Product,
    rows: list[Pointer],
    others: tuple[Pointer, Pointer, Pointer, Pointer],
    panel: tuple[int, int, Index],
    scales: Pointer | None,
) -> None:
    """All pixels of one panel: (vectors, lanes, first channel)."""
    weights, outputs, bias, shortcut = others
    vectors, lanes, channel = panel
    depth = product.depth
    w = e.at(weights, e.mul(channel, depth))
    b = e.at(bias, channel)
    out, cut = e.at(outputs, channel), e.at(shortcut, channel)

    tiles = cuts(e.module.target, product.count, vectors)
    group = product.types.group
    half = group == 1 and halves(e.module.target, vectors, (vectors - 1) * e.lanes + lanes)
    line = _LINE // w.element.size
    panel_lines = -(-depth * vectors * e.lanes // line)
    turns = max(1, depth // group // _UNROLL)
    ahead = -(-panel_lines // (turns * len(tiles))) if product.streamed else 0
    coming = e.at(w, depth * vectors * e.lanes)
    more = [] if scales is None else [e.at(scales, channel)]

    def one(first: Index, pixels: int, number: Index) -> None:
        step, pool = product.c_step, product.pool
        tile = Tile(
            product.segments, product.a_step, step, product.types, product.start,
            product.activation, pool, product.ending,
            pixels=pixels, vectors=vectors, lanes=lanes, ahead=ahead, half=half and not pool,
        )  # fmt: skip
        a = e.mul(first, product.a_step)
        c = 0 if pool else e.mul(first, step)
        pointers = [e.at(row, a) for row in rows]
        following = e.at(coming, e.mul(number, ahead * turns * line))
        kernel = tile_kernel(e.module, tile)
        e.call(kernel, *pointers, w, e.at(out, c), b, e.at(cut, c), following, *more)

    done = 0
    for begin, count, pixels in _runs(tiles):
        with e.repeat(0, count) as i:
            one(e.add(e.mul(i, pixels), begin), pixels, e.add(i, done))
        done += count


def _runs(tiles: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
    """Equal tiles together: (first pixel, tiles, pixels of each), the larger ones first."""
    sizes = sorted((pixels for _, pixels in tiles), reverse=True)
    result, begin = [], 0
    for pixels in sorted(set(sizes), reverse=True):
        count = sizes.count(pixels)
        result.append((begin, count, pixels))
        begin += count * pixels
    return result
