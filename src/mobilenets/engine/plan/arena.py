"""The memory plan: where every buffer lies in one arena, worked out before anything runs."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LINE = 64
"""Bytes in a cache line: buffers begin on one."""


@dataclass(frozen=True)
class Buffer:
    """`size` bytes that are needed from step `first` to step `last`, both included."""

    name: str
    size: int
    first: int
    last: int

    def meets(self, other: "Buffer") -> bool:
        """Whether both are needed at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class ArenaPlan:
    """Where each buffer begins in the arena, and the arena's size, both in bytes."""

    offsets: dict[str, int]
    size: int


def plan_arena(buffers: Iterable[Buffer]) -> ArenaPlan:
    """Place large buffers first, each at the lowest offset where no live neighbour is.

    The arena is never smaller than the largest sum of buffers alive at one step; on a chain of
    steps this order reaches that bound or comes close.
    """
    placed: list[tuple[int, Buffer]] = []
    for buffer in sorted(buffers, key=lambda b: (-b.size, b.first)):
        rivals = sorted(((at, b) for at, b in placed if buffer.meets(b)), key=lambda pair: pair[0])
        placed.append((_lowest(rivals, _aligned(buffer.size)), buffer))
    offsets = {buffer.name: at for at, buffer in placed}
    return ArenaPlan(offsets, max((at + _aligned(b.size) for at, b in placed), default=0))


def _lowest(rivals: Sequence[tuple[int, Buffer]], size: int) -> int:
    at = 0
    for start, other in rivals:
        if start - at >= size:
            break
        at = max(at, start + _aligned(other.size))
    return at


def _aligned(size: int) -> int:
    return -(-size // LINE) * LINE


def bound(buffers: Sequence[Buffer]) -> int:
    """The least any plan needs: the largest sum of sizes alive at one step."""
    steps = {buffer.first for buffer in buffers}
    alive = [[b for b in buffers if b.first <= step <= b.last] for step in steps]
    return max((sum(_aligned(b.size) for b in group) for group in alive), default=0)
