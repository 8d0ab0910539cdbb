"""A step: what runs between two barriers, on all threads at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.kernels.values import Pointer, Value
from mobilenets.engine.targets.target import Target

BARRIER = "pool.barrier"

CACHE_LINE = 64
"""Bytes: what lies in memory by itself begins on one."""


@dataclass(frozen=True)
class StepContext:
    """What a step's code works with while it is generated, all of it as LLVM values.

    `tensors`: the address of each buffer that the step reads or writes; `weights`: its own packed
    constants; `scratch`: its part of the arena; `zeros`: bytes that are 0; `thread`: this thread's
    number, from 0; `barrier`: what `wait` needs. Weights, scratch and zeros are bytes, of which
    each step says what lies there.
    """

    e: Emitter
    tensors: Mapping[str, Pointer]
    weights: Pointer
    scratch: Pointer
    thread: Value
    zeros: Pointer
    barrier: Value


class ParallelStep:
    """One step of a network: `threads` threads run its code at once, then meet at a barrier.

    `name` begins the names of its functions and tables in the code; `inputs` and `output` are
    names of buffers, which belong to the plan. All sizes are in bytes.
    """

    kind: str
    """How it is run, in one word, for reports."""

    def __init__(self, name: str, inputs: tuple[str, ...], output: str, threads: int) -> None:
        self.name, self.inputs, self.output, self.threads = name, inputs, output, threads

    def weights(self, target: Target) -> list[AnyArray]:
        """Packed constants, one after the other as the step's code expects them."""
        return []

    def scratch(self, target: Target) -> int:
        """Bytes of scratch memory that all threads together need while it runs."""
        return 0

    @property
    def zero_bytes(self) -> int:
        """How many bytes of zeros it reads, which stand for rows outside an image."""
        return 0

    def in_place(self, target: Target) -> bool:
        """Whether its output may overwrite its first input, which nobody reads later.

        The plan does so only where both have elements of one size.
        """
        return False

    def emit(self, frame: StepContext) -> None:
        """Write the code that every thread runs; the barrier after it is the caller's."""
        raise NotImplementedError


def round_up(count: int, multiple: int = CACHE_LINE) -> int:
    """The least multiple of `multiple` (a cache line, in bytes) that is not below `count`."""
    return -(-count // multiple) * multiple


def share_rows(height: int, threads: int) -> list[tuple[int, int]]:
    """`height` rows, groups or panels shared out: (first, stop) for each thread, maybe empty."""
    edges = [height * i // threads for i in range(threads + 1)]
    return list(pairwise(edges))


def wait(frame: StepContext, threads: int) -> None:
    """A barrier: no thread goes on before all `threads` are here; no code for a single one."""
    if threads > 1:
        frame.e.line(f'call void @"{BARRIER}"({frame.barrier}, i64 {threads})')
