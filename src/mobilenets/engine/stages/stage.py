"""What a stage is asked for: the calls of it, and what its code is given."""

from dataclasses import dataclass

from mobilenets.engine.kernels.rows import RowBuffer
from mobilenets.engine.kernels.values import Index, Value


@dataclass(frozen=True)
class Job:
    """What a stage's code is given: buffers, and the rows to make (`StageCall`'s words).

    `flat`: all rows at once, so that pixels follow each other; `shared`: one ring for all groups;
    `share`: the groups to do, as partial sums.
    """

    source: RowBuffer
    target: RowBuffer
    weights: Value
    bias: Value
    ring: Value
    work: Value
    zeros: Value
    slots: int
    first: Index
    count: int
    begin: Index
    end: Index
    flat: bool = False
    shared: bool = False
    share: tuple[int, int] | None = None


@dataclass(frozen=True)
class StageCall:
    """One call of a stage: rows [first, first + count) from inputs prepared in [begin, end)."""

    stage: int
    first: int
    count: int
    begin: int
    end: int
