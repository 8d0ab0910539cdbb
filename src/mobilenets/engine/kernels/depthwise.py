"""The depthwise kernel: one row of outputs, a vector of channels at a time.

Neighbouring outputs share their inputs, so a tile of columns loads each input once; a 3x3
kernel's nine weights stay in registers for the whole row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from mobilenets.engine.ir.graph import LINEAR, Activation
from mobilenets.engine.kernels.activate import activate
from mobilenets.engine.kernels.emit import Emitter, Module
from mobilenets.engine.kernels.types import Types
from mobilenets.engine.kernels.values import Index, Pointer, Value

_MOST_KEPT = 9
_COLUMNS = {32: 8, 16: 4}  # by number of registers
_Given = tuple[list[Pointer], Callable[[int], Value], Value]
"""Addresses of the input rows, the weight of a tap, and what the sums begin with."""


@dataclass(frozen=True)
class DepthwiseRow:
    """What a depthwise kernel computes.

    `width_in` inputs become `width` outputs, `before` zeros lie left of the inputs. `channels`
    are read and written `a_step` and `c_step` elements a pixel apart; weights are (taps, whole
    vectors of channels).
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

    def column(self, x: int, tap: int) -> int:
        """The input column that tap `tap` of output column `x` reads."""
        return x * self.stride + tap * self.dilation - self.before

    def inside(self, first: int, count: int) -> bool:
        """Whether output columns read no padding."""
        last = self.column(first + count - 1, self.kernel[1] - 1)
        return self.column(first, 0) >= 0 and last < self.width_in


def depthwise_kernel(module: Module, row: DepthwiseRow) -> str:
    """A function (a row pointer per kernel row..., weights, bias, outputs)."""
    types = row.types
    parameters = [types.source] * row.kernel[0] + [types.weight, types.sums, types.target]
    return module.kernel("depthwise", row, parameters, lambda e, p: _body(e, row, p))


def _body(e: Emitter, row: DepthwiseRow, pointers: list[Pointer]) -> None:
    vectors = -(-row.channels // e.lanes)
    tail = row.channels - (vectors - 1) * e.lanes
    whole = vectors if tail == e.lanes else vectors - 1
    if whole:
        with e.repeat(0, whole * e.lanes, e.lanes) as channel:
            _vector(e, row, [e.at(p, channel) for p in pointers], e.lanes)
    if whole < vectors:
        _vector(e, row, [e.at(p, whole * e.lanes) for p in pointers], tail)


def _vector(e: Emitter, row: DepthwiseRow, pointers: list[Pointer], lanes: int) -> None:
    """All columns of one vector of channels."""
    high, wide = row.kernel
    inputs, (weights, bias, outputs) = pointers[:high], pointers[high:]
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
