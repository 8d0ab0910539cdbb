"""The depthwise kernel: one row of outputs, a vector of channels at a time.

Neighbouring outputs share their inputs, so a tile of columns loads each input once; a 3x3
kernel's nine weights stay in registers for the whole row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from mobilenets.engine.ir.graph import LINEAR, Activation
from mobilenets.engine.ir.types import FLOAT32, INT32
from mobilenets.engine.kernels.activate import activate
from mobilenets.engine.kernels.emit import Emitter, Module
from mobilenets.engine.kernels.integers import (
    interleaved,
    multiply_pairs,
    narrowed,
    requantized,
)
from mobilenets.engine.kernels.matrix import AnyArray, pad_channels
from mobilenets.engine.kernels.types import Ending, Types
from mobilenets.engine.kernels.values import Index, Pointer, Value
from mobilenets.engine.targets.target import Target

_MOST_KEPT = 9
_COLUMNS = {32: 8, 16: 4}  # by number of registers
_Given = tuple[list[Pointer], Callable[[int], Value], Value]
"""Addresses of the input rows, the weight of a tap, and what the sums begin with."""


@dataclass(frozen=True)
class DepthwiseRow:
    """What a depthwise kernel computes.

    `width_in` inputs become `width` outputs, `before` zeros lie left of the inputs. `channels`
    are read and written `a_step` and `c_step` elements a pixel apart; weights are as `pack_taps`
    lays them out. `ending`: of integers, how sums become outputs.
    """

    width_in: int
    width: int
    channels: int
    kernel: tuple[int, int]
    stride: int
    dilation: int
    before: int
    a_step: int
    c_step: int
    types: Types
    activation: Activation = LINEAR
    ending: Ending | None = None

    def column(self, x: int, tap: int) -> int:
        """The input column that tap `tap` of output column `x` reads."""
        return x * self.stride + tap * self.dilation - self.before

    def inside(self, first: int, count: int) -> bool:
        """Whether output columns read no padding."""
        last = self.column(first + count - 1, self.kernel[1] - 1)
        return self.column(first, 0) >= 0 and last < self.width_in


def depthwise_kernel(module: Module, row: DepthwiseRow) -> str:
    """A function (a row pointer per kernel row..., weights, bias, outputs[, scales])."""
    types = row.types
    parameters = [types.source] * row.kernel[0] + [types.weight, types.sums, types.target]
    parameters += [FLOAT32] * (row.ending is not None)
    return module.kernel("depthwise", row, parameters, lambda e, p: _body(e, row, p))


def _body(e: Emitter, row: DepthwiseRow, pointers: list[Pointer]) -> None:
    vectors = -(-row.channels // e.lanes)
    tail = row.channels - (vectors - 1) * e.lanes
    whole = vectors if tail == e.lanes else vectors - 1
    if whole:
        with e.repeat(0, whole * e.lanes, e.lanes) as channel:
            _vector(e, row, _from(e, row, pointers, channel), e.lanes)
    if whole < vectors:
        _vector(e, row, _from(e, row, pointers, whole * e.lanes), tail)


def _from(e: Emitter, row: DepthwiseRow, pointers: list[Pointer], channel: Index) -> list[Pointer]:
    """The same addresses for the channels from one on."""
    weights, group = row.kernel[0], row.types.group
    return [
        e.at(p, e.mul(channel, group) if index == weights else channel)
        for index, p in enumerate(pointers)
    ]


def _vector(e: Emitter, row: DepthwiseRow, pointers: list[Pointer], lanes: int) -> None:
    """All columns of one vector of channels."""
    high, wide = row.kernel
    inputs, (weights, bias, outputs, *scales) = pointers[:high], pointers[high:]
    if scales:
        _pairs(e, row, pointers, lanes)
        return
    step = -(-row.channels // e.lanes) * e.lanes
    kept: dict[int, Value] = {}
    if high * wide <= _MOST_KEPT:
        kept = {tap: e.load(weights, tap * step) for tap in range(high * wide)}
    begin = e.load(bias)

    def weight(tap: int) -> Value:
        return kept[tap] if kept else e.load(weights, tap * step)

    def tile(first: Index, count: int, known: int | None) -> None:
        """Columns from `first`; `known` is it as a number where padding may be read."""
        a = e.mul(first, row.stride * row.a_step)
        sources = [e.at(p, a) for p in inputs]
        results = _columns(e, row, (sources, weight, begin), (count, known, lanes))
        out = e.at(outputs, e.mul(first, row.c_step))
        for i, value in enumerate(results):
            e.store_some(activate(e, value, row.activation), out, i * row.c_step, lanes)

    _tiles(e, row, tile)


def _pairs(e: Emitter, row: DepthwiseRow, pointers: list[Pointer], lanes: int) -> None:
    """The same of integers: inputs of two rows at once, each with weights of its own."""
    high, wide = row.kernel
    inputs, (weights, bias, outputs, scales) = pointers[:high], pointers[high:]
    assert row.ending is not None
    ending = row.ending
    step = -(-row.channels // e.lanes) * e.lanes * row.types.group
    count = -(-high // 2) * wide
    taps = [e.load_many(weights, tap * step, e.lanes * row.types.group) for tap in range(count)]
    begin, scale = e.load(bias), e.load(scales)
    nothing = Value(e.vector(row.types.source), "zeroinitializer")

    def tile(first: Index, columns: int, known: int | None) -> None:
        a = e.mul(first, row.stride * row.a_step)
        sources = [e.at(p, a) for p in inputs]
        sums: list[Value] = [begin] * columns
        for top in range(0, high, 2):
            both: dict[int, Value] = {}
            for x in range(columns):
                for j in range(wide):
                    at = row.column(x, j)
                    if known is not None and not 0 <= row.column(known + x, j) < row.width_in:
                        continue
                    if at not in both:
                        read = [
                            e.load_some(source, at * row.a_step, lanes)
                            for source in sources[top : top + 2]
                        ]
                        both[at] = interleaved(e, *[*read, nothing][:2])
                    tap = taps[top // 2 * wide + j]
                    sums[x] = multiply_pairs(e, both[at], tap, sums[x])
        out = e.at(outputs, e.mul(first, row.c_step))
        for i, total in enumerate(sums):
            made = narrowed(e, requantized(e, total, scale, ending), INT32, row.types.target)
            e.store_some(made, out, i * row.c_step, lanes)

    _tiles(e, row, tile)


def pack_taps(target: Target, weight: AnyArray, group: int) -> AnyArray:
    """Weights (C, rows, columns) in whole vectors of channels, tap by tap.

    In groups of two, those of two rows lie side by side; a last row has zeros beside it.
    """
    channels, rows, columns = weight.shape
    more = np.zeros((channels, -rows % group, columns), weight.dtype)
    whole = np.concatenate([weight, more], axis=1).reshape(channels, -1, group, columns)
    packed = pad_channels(target, whole.transpose(1, 3, 2, 0))
    return np.ascontiguousarray(packed.swapaxes(-1, -2)).reshape(-1)


def _tiles(e: Emitter, row: DepthwiseRow, tile: Callable[[Index, int, int | None], None]) -> None:
    """All columns, those that read padding one tile at a time."""
    for first, count, columns in _plan(e, row):
        if count == 1:
            tile(first, columns, None if row.inside(first, columns) else first)
        else:
            with e.repeat(first, first + count * columns, columns) as x:
                tile(x, columns, None)


def _plan(e: Emitter, row: DepthwiseRow) -> list[tuple[int, int, int]]:
    """(first column, equal tiles inside, columns of each); tiles at the edges one by one."""
    most = _COLUMNS[e.module.target.registers]
    number = -(-row.width // most)
    edges = [row.width * i // number for i in range(number + 1)]
    result: list[tuple[int, int, int]] = []
    for first, last in pairwise(edges):
        columns = last - first
        if result and row.inside(first, columns):
            begin, count, size = result[-1]
            if size == columns and row.inside(begin, size):
                result[-1] = (begin, count + 1, size)
                continue
        result.append((first, 1, columns))
    return result


def _columns(
    e: Emitter, row: DepthwiseRow, given: _Given, shape: tuple[int, int | None, int]
) -> list[Value]:
    """Sums of `count` neighbouring columns, each input loaded once; see `_vector` for the rest."""
    sources, weight, begin = given
    count, known, lanes = shape
    high, wide = row.kernel
    sums: list[Value] = [begin] * count
    for i in range(high):
        loaded: dict[int, Value] = {}
        for x in range(count):
            for j in range(wide):
                column = row.column(x, j)
                if known is not None and not 0 <= row.column(known + x, j) < row.width_in:
                    continue
                if column not in loaded:
                    loaded[column] = e.load_some(sources[i], column * row.a_step, lanes)
                sums[x] = e.fma(loaded[column], weight(i * wide + j), sums[x])
    return sums
