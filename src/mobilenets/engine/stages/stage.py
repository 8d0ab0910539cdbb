"""What a stage is asked for: the calls of it, and what its code is given."""

from dataclasses import dataclass

from mobilenets.engine.kernels.rows import RowBuffer
from mobilenets.engine.kernels.values import Index, Pointer


@dataclass(frozen=True)
class Job:
    """What a stage's code is given: buffers, and the rows to make, in `StageCall`'s words.

    `weights`, `ring`, `work` and `zeros` hold what the stage says. `slots`: rows that the ring
    holds; `work`: room for what lies between two kernels. `flat`: all rows are made at once, so
    that pixels follow each other across the ends of rows; `shared`: all groups use the same ring,
    one after the other; `share`: the groups (first, stop) to do, as partial sums.
    """

    source: RowBuffer
    target: RowBuffer
    weights: Pointer
    bias: Pointer
    ring: Pointer
    work: Pointer
    zeros: Pointer
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
    """One call of a stage's code, as the simulation plans it.

    It makes output rows [first, first + count), and before that prepares input rows [begin, end).
    """

    stage: int
    first: int
    count: int
    begin: int
    end: int
