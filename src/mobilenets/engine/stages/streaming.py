"""Stages streamed row by row as one: the maps between them exist as a few rows.

Which rows to make when is worked out here, in Python, and becomes a table that the code walks
through; the same simulation says how many rows each ring must hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mobilenets.engine.stages.block import BlockStage
from mobilenets.engine.stages.convolution import ConvStage
from mobilenets.engine.stages.stage import StageCall

AnyStage = BlockStage | ConvStage


@dataclass
class Streaming:
    """The calls that make some rows of the last stage, and the rows that rings must hold.

    `prepared[i]`: slots of stage i's own ring; `between[i]`: slots of the ring that stage i
    writes and i + 1 reads (the last stage writes a whole map).
    """

    stages: Sequence[AnyStage]
    strips: Sequence[int]
    calls: list[StageCall] = field(default_factory=list)
    prepared: list[int] = field(default_factory=list)
    between: list[int] = field(default_factory=list)
    _next: list[int] = field(default_factory=list)
    _stop: list[int] = field(default_factory=list)
    _ready: list[int] = field(default_factory=list)

    def run(self, first: int, stop: int) -> "Streaming":
        """Simulate rows [first, stop) of the last stage's outputs."""
        count = len(self.stages)
        starts, stops = [first], [stop]
        for stage in reversed(self.stages[1:]):
            starts.insert(0, stage.window.first(starts[0]))
            stops.insert(0, stage.window.stop(stops[0] - 1))
        self._next, self._stop = list(starts), stops
        self._ready = [s.window.first(y) for s, y in zip(self.stages, starts, strict=True)]
        self.prepared, self.between = [0] * count, [0] * (count - 1)
        self._make(count - 1, stop)
        return self

    def _make(self, index: int, upto: int) -> None:
        """Make stage `index`'s rows until `upto` of them are there."""
        stage = self.stages[index]
        while self._next[index] < upto:
            y = self._next[index]
            count = min(self.strips[index], self._stop[index] - y)
            end = stage.window.stop(y + count - 1)
            if index:
                self._make(index - 1, max(end, y + count if self._cuts(index) else 0))
            begin = self._ready[index]
            self.calls.append(StageCall(index, y, count, begin, max(begin, end)))
            self._note(index, y, count, end)
            self._ready[index] = max(begin, end)
            self._next[index] = y + count

    def _cuts(self, index: int) -> bool:
        stage = self.stages[index]
        return isinstance(stage, BlockStage) and stage.shortcut

    def _note(self, index: int, y: int, count: int, end: int) -> None:
        """How many rows rings hold during this call."""
        stage = self.stages[index]
        first = stage.window.first(y)
        self.prepared[index] = max(self.prepared[index], end - first)
        if not index:
            return
        low = min(self._ready[index], y if self._cuts(index) else end) if stage.prepares else first
        held = self._next[index - 1] - low
        self.between[index - 1] = max(self.between[index - 1], held)


def merge(parts: Sequence[Streaming]) -> tuple[list[int], list[int]]:
    """Slots that suffice for every thread: (prepared, between)."""
    prepared = [max(slots) for slots in zip(*(part.prepared for part in parts), strict=True)]
    between = [max(slots) for slots in zip(*(part.between for part in parts), strict=True)]
    return prepared, between
