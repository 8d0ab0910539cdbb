"""Bilinear resizing: with channels last, or into planes."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

import numpy as np

from mobilenets.engine.ir.graph import Array
from mobilenets.engine.ir.types import FLOAT32, INT32
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.kernels.nest import Nest, emit_nest
from mobilenets.engine.kernels.rows import ImageShape
from mobilenets.engine.kernels.values import Index, Pointer, Value, pointer
from mobilenets.engine.steps.step import ParallelStep, StepContext, round_up, share_rows
from mobilenets.engine.targets.target import Target

_UNROLL = 4


class BilinearStep(ParallelStep):
    """What all bilinear resizing shares: which two rows and columns each output lies between.

    `coordinates` is one of those of `ir.graph.Resize`, nearest not among them.
    """

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        source: ImageShape, target: ImageShape, coordinates: str,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.source, self.target = source, target
        self.rows = positions(source.height, target.height, coordinates)
        self.columns = positions(source.width, target.width, coordinates)


class ResizeStep(BilinearStep):
    """Channels last: each output pixel from four inputs, their shares from two tables."""

    kind = "resize"

    def weights(self, target: Target) -> list[AnyArray]:
        """The share of the later row, then of the later column."""
        return [self.rows[2], self.columns[2]]

    def emit(self, frame: StepContext) -> None:
        """Each thread makes some output rows, pixel by pixel."""
        e, shape = frame.e, self.source
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        tables = []
        for axis, (low, high, _) in (("y", self.rows), ("x", self.columns)):
            for side, numbers in (("low", low), ("high", high)):
                tables.append(e.module.table(f"{self.name}_{axis}_{side}", list(map(int, numbers))))
        height = self.target.height
        first, last = e.mul(frame.thread, height), e.mul(e.add(frame.thread, 1), height)
        with e.repeat(e.div(first, self.threads), e.div(last, self.threads)) as y:
            rows = [e.at(source, e.mul(e.load_index(t, y), shape.row)) for t in tables[:2]]
            shares = frame.weights.of(FLOAT32)
            down = e.broadcast(shares, y)
            with e.repeat(0, self.target.width) as x:
                right = e.broadcast(e.at(shares, height), x)
                columns = [e.mul(e.load_index(t, x), shape.channels) for t in tables[2:]]
                corners = [e.at(row, column) for row in rows for column in columns]
                at = e.add(e.mul(y, self.target.row), e.mul(x, shape.channels))
                self._pixel(e, corners, e.at(out, at), (down, right))

    def _pixel(
        self, e: Emitter, corners: list[Pointer], out: Pointer, shares: tuple[Value, Value]
    ) -> None:
        down, right = shares

        def body(p: list[Pointer], lanes: int) -> None:
            lanes = lanes or 1
            a, b, c, d = (e.load_some(q, 0, lanes) for q in p[1:])
            value = between(e, between(e, a, b, right), between(e, c, d, right), down)
            e.store_some(value, p[0], 0, lanes)

        nest = Nest((self.source.channels,), ((1,),) * 5)
        emit_nest(e, nest, [out, *corners], body)


class StretchStep(BilinearStep):
    """What resizing with columns side by side in vectors has in common.

    Output rows that lie between the same two input rows are made together. Of these two, a
    channel's pixels are stretched to the output's columns first: those between the same two inputs
    get whole vectors, which the next ones overwrite in part. Then a row is one multiply-add a
    column. The arithmetic is `ResizeStep`'s, and so are the results, to the last bit.
    """

    def _reach(self, target: Target) -> int:
        """Elements that are written from the first column between two inputs on."""
        runs = runs_of(self.columns, 0, self.target.width)
        return max(round_up(stop - first, target.lanes) for first, stop, _, _ in runs)

    def weights(self, target: Target) -> list[AnyArray]:
        """The share of the later row, then of the later column and, for whole vectors, zeros."""
        return [self.rows[2], self.columns[2], np.zeros(self._reach(target), np.float32)]

    @contextmanager
    def _groups(self, frame: StepContext) -> Iterator[tuple[Value, ...]]:
        """A loop over a thread's (first output row, stop, earlier input row, later)."""
        e = frame.e
        parts = [runs_of(self.rows, *part) for part in share_rows(self.target.height, self.threads)]
        rows = [number for part in parts for run in part for number in run]
        ends = [sum(map(len, parts[:count])) for count in range(len(parts) + 1)]
        table = e.module.table(f"{self.name}_rows", rows)
        bounds = e.module.table(f"{self.name}_bounds", ends)
        start = e.load_index(bounds, frame.thread)
        with e.repeat(start, e.load_index(bounds, e.add(frame.thread, 1))) as i:
            yield tuple(e.load_index(table, e.add(e.mul(i, 4), k)) for k in range(4))

    def _stretch(
        self, frame: StepContext, source: Pointer, out: Pointer, runs: tuple[Index, Index, Index]
    ) -> None:
        """Columns of one channel of a row; `runs`: from, up to, and the column at `out`."""
        e, channels = frame.e, self.source.channels
        table = pointer(f"@{self.name}_columns", INT32)
        shares = e.at(frame.weights.of(FLOAT32), self.target.height)
        first, stop, origin = runs
        with e.repeat(first, stop) as i:
            at = e.mul(i, 3)
            start, low, high = (e.load_index(table, e.add(at, k)) for k in range(3))
            a, b = (e.broadcast(source, e.mul(column, channels)) for column in (low, high))
            to, share = e.at(out, e.sub(start, origin)), e.at(shares, start)
            for column in range(0, self._reach(e.module.target), e.lanes):
                e.store(between(e, a, b, e.load(share, column)), to, column)


class PlanesStep(StretchStep):
    """From channels last to one plane after the other, as files want their outputs."""

    kind = "resize"

    def _room(self, target: Target) -> int:
        """Bytes of a row that is stretched."""
        return round_up((self.target.width + self._reach(target)) * self.source.element.size)

    def scratch(self, target: Target) -> int:
        """Bytes of each thread's two stretched rows of one channel."""
        return self.threads * 2 * self._room(target)

    def emit(self, frame: StepContext) -> None:
        """Each thread makes some output rows of every plane; see `StretchStep`."""
        e, shape, room = frame.e, self.source, self._room(frame.e.module.target)
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        runs = runs_of(self.columns, 0, self.target.width)
        e.module.table(f"{self.name}_columns", [n for run in runs for n in (run[0], *run[2:])])
        held = e.item(frame.scratch.of(shape.element), frame.thread, 2 * room)
        pair = held, e.item(held, 1, room)
        with self._groups(frame) as (first, stop, low, high), e.repeat(0, shape.channels) as c:
            for row, to in zip((low, high), pair, strict=True):
                at = e.at(source, e.add(e.mul(row, shape.row), c))
                self._stretch(frame, at, to, (0, len(runs), 0))
            plane = e.at(out, e.mul(c, self.target.height * self.target.width))
            with e.repeat(first, stop) as y:
                share = e.broadcast(frame.weights.of(FLOAT32), y)
                self._row(e, pair, share, e.at(plane, e.mul(y, self.target.width)))

    def _row(self, e: Emitter, pair: tuple[Pointer, Pointer], share: Value, out: Pointer) -> None:
        width = self.target.width

        def some(start: Index, vectors: int, lanes: int) -> None:
            for column in range(0, vectors * e.lanes, e.lanes):
                a, b = (e.load(e.at(row, start), column) for row in pair)
                e.store_some(between(e, a, b, share), e.at(out, start), column, lanes)

        long, whole = (width - width % (e.lanes * count) for count in (_UNROLL, 1))
        if long:
            with e.repeat(0, long, _UNROLL * e.lanes) as start:
                some(start, _UNROLL, e.lanes)
        if whole > long:
            some(long, (whole - long) // e.lanes, e.lanes)
        if whole < width:
            some(whole, 1, width - whole)


def between(e: Emitter, a: Value, b: Value, share: Value) -> Value:
    """What lies between a and b, nearer to b the larger its share."""
    rest = e.value(a.type, f"fsub {e.splat(1.0)}, {share.text}")
    return e.fma(b, share, e.fmul(a, rest))


Positions = tuple[np.ndarray, np.ndarray, Array]


def runs_of(found: Positions, first: int, stop: int) -> list[tuple[int, int, int, int]]:
    """(first, stop, earlier input, later) of outputs that lie between the same two inputs."""
    ends = list(zip(found[0].tolist(), found[1].tolist(), strict=True))
    result = []
    for (low, high), run in groupby(range(first, stop), key=ends.__getitem__):
        places = list(run)
        result.append((places[0], places[-1] + 1, low, high))
    return result


def positions(size: int, wanted: int, coordinates: str) -> Positions:
    """For each output: the input before it, the one after, and the share of the latter."""
    i = np.arange(wanted, dtype=np.float64)
    if coordinates == "align_corners":
        at = i * (size - 1) / (wanted - 1) if wanted > 1 else np.zeros(1)
    elif coordinates == "half_pixel":
        at = (i + 0.5) * size / wanted - 0.5
    else:
        at = i * size / wanted
    at = at.clip(0, size - 1)
    low = np.floor(at).astype(np.int64)
    high = np.minimum(low + 1, size - 1)
    return low, high, (at - low).astype(np.float32)
