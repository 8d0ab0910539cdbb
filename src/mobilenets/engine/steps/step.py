"""A step: what runs between two barriers, on all threads at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from mobilenets.engine.ir.graph import Array
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.values import Value
from mobilenets.engine.targets.target import Target

BARRIER = "pool.barrier"


CACHE_LINE = 16  # floats


@dataclass(frozen=True)
class StepContext:
    """What a step's code works with while it is generated."""

    e: Emitter
    tensors: Mapping[str, Value]
    weights: Value
    scratch: Value
    thread: Value
    zeros: Value
    barrier: Value


class ParallelStep:
    """One step. `inputs` and `output` are tensors' names; all sizes are in floats."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    threads: int = 1

    def weights(self, target: Target) -> list[Array]:
        """Packed constants, one after the other."""
        return []

    def scratch(self, target: Target) -> int:
        """Floats of scratch memory, for all threads."""
        return 0

    @property
    def zero_floats(self) -> int:
        """Floats of zeros that it reads."""
        return 0

    def in_place(self, target: Target) -> bool:
        """Whether its output may overwrite its first input, which nobody reads later."""
        return False

    def emit(self, frame: StepContext) -> None:
        """Generate the code of one thread."""
        raise NotImplementedError


def round_up(count: int, multiple: int = CACHE_LINE) -> int:
    """The next multiple."""
    return -(-count // multiple) * multiple


def share_rows(height: int, threads: int) -> list[tuple[int, int]]:
    """Which rows each thread makes."""
    edges = [height * i // threads for i in range(threads + 1)]
    return list(pairwise(edges))


def wait(frame: StepContext, threads: int) -> None:
    """All threads wait for each other."""
    if threads > 1:
        frame.e.line(f'call void @"{BARRIER}"({frame.barrier}, i64 {threads})')
