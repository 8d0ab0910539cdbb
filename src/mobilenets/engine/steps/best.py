"""Resizing, and of each pixel the index of the best channel."""

from mobilenets.engine.ir.types import FLOAT32
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.values import Index, Pointer, Value
from mobilenets.engine.steps.resize import StretchStep, between, runs_of
from mobilenets.engine.steps.step import StepContext, round_up, share_rows
from mobilenets.engine.targets.target import Target

_TILES = (4, 3, 2, 1)  # vectors of pixels whose best channels are looked for together
_HELD = 24 * 1024  # bytes of two rows of all channels: half of the first cache
_UNROLL = 4


class BestStep(StretchStep):
    """Resizing, and of each pixel the first best channel (int64): what is resized is not written.

    A tile is some vectors of pixels; the last one of a row begins so that it ends with it. A block
    is as many tiles as have all their channels' two rows in the first cache.
    """

    kind = "best"

    def _tile(self, lanes: int) -> tuple[int, int]:
        """Vectors of a tile, and columns."""
        width = self.target.width
        fitting = [count for count in _TILES if count * lanes <= width] or [1]
        best = min(fitting, key=lambda count: (round_up(width, count * lanes), -count))
        return best, min(best * lanes, width)

    def _blocks(self, lanes: int) -> list[tuple[int, int, int, int]]:
        """(first tile, stop, first column, stop)."""
        _, columns = self._tile(lanes)
        width = self.target.width
        tiles = -(-width // columns)
        size = 2 * self.source.channels * columns * self.source.element.size
        count = -(-tiles * size // _HELD)
        return [
            (first, stop, min(first * columns, width - columns), min(stop * columns, width))
            for first, stop in share_rows(tiles, min(count, tiles))
        ]

    def _room(self, target: Target) -> int:
        """Bytes between the channels of a block in scratch memory."""
        widest = max(stop - first for _, _, first, stop in self._blocks(target.lanes))
        whole = max(widest, self._tile(target.lanes)[0] * target.lanes)
        return round_up((whole + self._reach(target)) * self.source.element.size)

    def scratch(self, target: Target) -> int:
        """Bytes of each thread's two stretched rows of all channels of a block."""
        return self.threads * 2 * self.source.channels * self._room(target)

    def emit(self, frame: StepContext) -> None:
        """Each thread makes some output rows, in blocks of columns one after the other."""
        e, shape, room = frame.e, self.source, self._room(frame.e.module.target)
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        blocks, table = self._tables(e)
        held = e.item(frame.scratch.of(shape.element), frame.thread, 2 * shape.channels * room)
        _, columns = self._tile(e.lanes)
        last = self.target.width - columns
        with self._groups(frame) as (first, stop, low, high), e.repeat(0, blocks) as block:
            at = e.mul(block, 5)
            begin, end, origin, *runs = (e.load_index(table, e.add(at, k)) for k in range(5))
            with e.repeat(0, shape.channels) as c:
                for k, row in enumerate((low, high)):
                    to = e.item(held, e.add(e.mul(c, 2), k), room)
                    pixels = e.at(source, e.add(e.mul(row, shape.row), c))
                    self._stretch(frame, pixels, to, (runs[0], runs[1], origin))
            with e.repeat(first, stop) as y:
                share = e.broadcast(frame.weights.of(FLOAT32), y)
                with e.repeat(begin, end) as tile:
                    x = e.mul(tile, columns)
                    x = e.choose(e.compare("slt", x, last), x, last)
                    to = e.at(out, e.add(e.mul(y, self.target.width), x))
                    self._best(e, e.at(held, e.sub(x, origin)), share, to)

    def _tables(self, e: Emitter) -> tuple[int, Pointer]:
        """How many blocks, and of each: tiles from, up to, its column, runs of columns, up to."""
        blocks: list[int] = []
        columns: list[int] = []
        found = self._blocks(e.lanes)
        for first, stop, origin, end in found:
            runs = runs_of(self.columns, origin, end)
            done = len(columns) // 3
            blocks += [first, stop, origin, done, done + len(runs)]
            columns += [number for run in runs for number in (run[0], *run[2:])]
        e.module.table(f"{self.name}_columns", columns)
        return len(found), e.module.table(f"{self.name}_blocks", blocks)

    def _best(self, e: Emitter, held: Pointer, share: Value, out: Pointer) -> None:
        """The best channels of one tile of pixels, compared and kept in registers, then written."""
        vectors, columns = self._tile(e.lanes)
        room = self._room(e.module.target) // held.element.size

        def values(c: Index) -> list[Value]:
            rows = e.at(held, e.mul(c, 2 * room))
            ends = [(v * e.lanes, room + v * e.lanes) for v in range(vectors)]
            return [between(e, e.load(rows, a), e.load(rows, b), share) for a, b in ends]

        def turn(c: Index, best: list[Value], count: int) -> list[Value]:
            best = list(best)
            for k in range(count):
                index = _indices(e, e.add(c, k))
                for v, value in enumerate(values(e.add(c, k))):
                    over = _above(e, value, best[v])
                    best[v] = e.select(over, value, best[v])
                    best[vectors + v] = e.select(over, index, best[vectors + v])
            return best

        channels = self.source.channels
        whole = 1 + (channels - 1) // _UNROLL * _UNROLL
        found = [*values(0), *[_indices(e, 0)] * vectors]
        found = e.loop(1, whole, _UNROLL, lambda c, best: turn(c, best, _UNROLL), found)
        found = turn(whole, found, channels - whole)
        for v, index in enumerate(found[vectors:]):
            _store_indices(e, index, e.at(out, v * e.lanes), min(columns, e.lanes))


def _above(e: Emitter, x: Value, y: Value) -> Value:
    """Where x > y, lane by lane; nowhere where either is NaN."""
    return e.value(f"<{e.lanes} x i1>", f"fcmp ogt {x}, {y.text}")


def _indices(e: Emitter, number: Index) -> Value:
    """A vector of i32, all of them the same number."""
    kind = f"<{e.lanes} x i32>"
    if isinstance(number, int):
        return Value(kind, f"<{', '.join([f'i32 {number}'] * e.lanes)}>")
    small = e.value("i32", f"trunc {number} to i32")
    single = e.value(kind, f"insertelement {kind} poison, {small}, i32 0")
    zeros = f"<{e.lanes} x i32> zeroinitializer"
    return e.value(kind, f"shufflevector {single}, {kind} poison, {zeros}")


def _store_indices(e: Emitter, value: Value, place: Pointer, lanes: int) -> None:
    """Write the first `lanes` elements of a vector of i32 as int64."""
    wide = e.value(e.vector(place.element), f"sext {value} to {e.vector(place.element)}")
    e.store_some(wide, place, 0, lanes)
