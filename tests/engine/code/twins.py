"""Slow readable twins of the kernels, and a checker that walks a chain's calls.

A kernel's arrays are flat, as memory is; a twin changes those that the kernel writes. What nodes
of a graph compute is in `mobilenets.engine.ir.reference`.
"""

from collections.abc import Sequence

import numpy as np

from mobilenets.engine.ir.reference import activate
from mobilenets.engine.kernels.depthwise import DepthwiseRow
from mobilenets.engine.kernels.matrix import Tile
from mobilenets.engine.stages.block import BlockStage
from mobilenets.engine.stages.streaming import Streaming

Arrays = Sequence[np.ndarray]


def tile(what: Tile, lanes: int, arrays: Arrays) -> None:
    """Row pointers..., weights (depth, vectors x lanes), outputs, bias, shortcut, coming."""
    rows = arrays[: what.rows]
    weights, outputs, bias, shortcut = arrays[what.rows : what.rows + 4]
    width = what.vectors * lanes
    channels = width - lanes + what.lanes
    matrix = weights[: what.depth * width].reshape(what.depth, width)[:, :channels]
    for pixel in range(what.pixels):
        seen = [
            rows[row][offset + pixel * what.a_step :][:length]
            for row, offset, length in what.segments
        ]
        product = np.concatenate(seen).astype(np.float64) @ matrix.astype(np.float64)
        held = outputs[pixel * what.c_step :][:channels]
        begin = {
            "bias": bias[:channels],
            "outputs": held,
            "both": held + bias[:channels],
            "shortcut": shortcut[pixel * what.c_step :][:channels] + bias[:channels],
        }[what.start]
        result = activate(what.activation, (begin + product).astype(np.float32))
        if what.pool:
            outputs[:channels] += result
        else:
            outputs[pixel * what.c_step :][:channels] = result


def product(
    a: np.ndarray, matrix: np.ndarray, bias: np.ndarray, *, pool: bool = False
) -> np.ndarray:
    """(pixels, depth) times (depth, channels) plus the bias; the sum over pixels with `pool`."""
    out = a.astype(np.float64) @ matrix.astype(np.float64) + bias
    return (out.sum(0) if pool else out).astype(np.float32)


def depthwise(what: DepthwiseRow, lanes: int, arrays: Arrays) -> None:
    """A pointer per kernel row..., weights (taps, whole vectors of channels), bias, outputs."""
    high, wide = what.kernel
    rows, (weights, bias, outputs) = arrays[:high], arrays[high:]
    padded = -(-what.channels // lanes) * lanes
    taps = weights[: high * wide * padded].reshape(high, wide, padded)
    for x in range(what.width):
        total = bias[: what.channels].astype(np.float64)
        for i in range(high):
            for j in range(wide):
                column = x * what.stride + j * what.dilation - what.before
                if 0 <= column < what.width_in:
                    seen = rows[i][column * what.a_step :][: what.channels]
                    total = total + seen.astype(np.float64) * taps[i, j, : what.channels]
        result = activate(what.activation, total.astype(np.float32))
        outputs[x * what.c_step :][: what.channels] = result


class Ring:
    """Rows of an image in slots; a row is where it was written unless another came after it."""

    def __init__(self, slots: int, height: int) -> None:
        self.slots, self.height = slots, height
        self.held: dict[int, int] = {}

    def slot(self, row: int) -> int:
        """Where the generated code looks for a row; never outside the ring."""
        assert 0 <= row < self.height
        slot = row % self.slots if self.slots < self.height else row
        assert 0 <= slot < self.slots
        return slot

    def write(self, row: int) -> None:
        """Overwrites what the slot held."""
        self.held[self.slot(row)] = row

    def read(self, row: int) -> None:
        """The row must be there."""
        assert self.held.get(self.slot(row)) == row, f"row {row} is gone or not made yet"


def walk(part: Streaming, prepared: Sequence[int], between: Sequence[int]) -> list[int]:
    """Do a thread's calls on rings of these sizes; the rows of the last stage that it makes.

    Every row that is read is there, none is made twice.
    """
    stages = part.stages
    own = [Ring(n, s.source.height) for n, s in zip(prepared, stages, strict=True)]
    inputs: list[Ring | None] = [None]
    inputs += [Ring(n, s.target.height) for n, s in zip(between, stages[:-1], strict=True)]
    made: list[list[int]] = [[] for _ in stages]
    for call in part.calls:
        stage, source = stages[call.stage], inputs[call.stage]
        assert call.count > 0
        rows = range(call.first, call.first + call.count)
        if stage.prepares:
            for row in range(call.begin, call.end):
                _read(source, row, stage.source.height)
                own[call.stage].write(row)
        for y in rows:
            for row in window(stage, y):
                _read(own[call.stage] if stage.prepares else source, row, stage.source.height)
            if isinstance(stage, BlockStage) and stage.shortcut:
                _read(source, y, stage.source.height)
        if call.stage + 1 < len(stages):
            for y in rows:
                inputs[call.stage + 1].write(y)
        made[call.stage] += rows
    for rows_made in made:
        assert len(rows_made) == len(set(rows_made)), "a row was made twice"
    return made[-1]


def _read(ring: Ring | None, row: int, height: int) -> None:
    """The first stage reads the whole map."""
    if ring is None:
        assert 0 <= row < height
    else:
        ring.read(row)


def window(stage, y: int) -> list[int]:
    """Input rows that exist, of those an output row reads."""
    conv = stage.depthwise if isinstance(stage, BlockStage) else stage.conv
    taps = range(conv.weight.shape[2])
    rows = [y * conv.strides[0] - conv.pads[0] + i * conv.dilations[0] for i in taps]
    return [row for row in rows if 0 <= row < stage.source.height]
