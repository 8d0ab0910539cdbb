"""A compiled network, ready to run."""

from __future__ import annotations

import copy
import ctypes
import mmap
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.codegen.abi import FUNCTION
from mobilenets.engine.run.loader import load
from mobilenets.engine.run.pool import ThreadPool

Output = NDArray[Any]
"""float32, int64, or stored integers."""


@dataclass(frozen=True)
class BlockProfile:
    """One step of a run, as `Net.profile` measures it."""

    name: str
    """The block's or the layer's, as the plan has it."""
    kind: str
    """What it does, in a word."""
    schedule: str
    """How it runs, in words; empty where there is one way alone."""
    madds: int
    """Its multiply-adds for one input."""
    milliseconds: float
    """The time of one run of it."""
    share_of_peak: float
    """Its multiply-adds a second over what all threads' multipliers can do at most, 0 to 1."""


class Net:
    """A network compiled for this processor: `net(x)` runs it.

    Made by `mobilenets.compile`. It holds one arena, its packed weights, and the threads of its
    pool; a run allocates nothing but its outputs. Several Python threads may call it, one run
    following the other. `close` ends the pool's threads.
    """

    def __init__(
        self, code: bytes, weights: NDArray[np.uint8], info: dict[str, Any], *, cached: bool
    ) -> None:
        self._info = info
        self._weights = weights
        self._report: dict[str, Any] = {**info["report"], "cached": cached}
        self._image = load(code, (FUNCTION,))
        self._function = self._image.address(FUNCTION)
        self._outputs = [(tuple(o["shape"]), np.dtype(o["dtype"])) for o in info["outputs"]]
        self._own()

    @property
    def threads(self) -> int:
        """How many threads each run uses, the caller's among them."""
        return int(self._report["threads"])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """What one run takes, its first axis 1: (1, 3, 224, 224), or as the file lays it out."""
        return tuple(self._info["input"])

    @property
    def input_dtype(self) -> str:
        """What one run takes: float32, or int8 or uint8 as the file stores images."""
        return str(self._info["input_dtype"])

    @property
    def output_shapes(self) -> tuple[tuple[int, ...], ...]:
        """What one run returns, for one input."""
        return tuple(shape for shape, _ in self._outputs)

    @property
    def metadata(self) -> dict[str, str]:
        """The metadata that the file carries, such as the model's card: key -> text."""
        return dict(self._info["metadata"])

    def report(self) -> dict[str, Any]:
        """The plan: bytes of arena and weights, target, and every block with its schedule."""
        return self._report

    def __call__(self, x: NDArray[Any], *, out: Sequence[Output] | None = None) -> Any:
        """Outputs for inputs of shape (N, ...) with any N, laid out as the file says.

        One array, or a tuple where the network has several outputs. A contiguous input is
        read where it lies. `out`: arrays to write to, one for each output. ValueError for another
        shape or type.
        """
        given = self._checked(x)
        count = len(given)
        results = self.empty(count) if out is None else self._given(out, count)
        sources = given.ctypes.data
        steps = [array.nbytes // max(1, count) for array in (given, *results)]
        context = np.array(
            [*self._fixed, sources, *(result.ctypes.data for result in results)], np.int64
        )
        address, moving = context.ctypes.data, context[3:]
        for i in range(count):
            if i:
                moving += steps
            self._pool.run(self._function, address)
        return results[0] if len(results) == 1 else tuple(results)

    def _checked(self, x: NDArray[Any]) -> NDArray[Any]:
        shape = self.input_shape
        if not isinstance(x, np.ndarray) or x.ndim != len(shape) or x.shape[1:] != shape[1:]:
            got = x.shape if isinstance(x, np.ndarray) else type(x).__name__
            raise ValueError(f"x must have shape {('N', *shape[1:])}, got {got}")
        if x.dtype != self.input_dtype:
            raise ValueError(f"x must be {self.input_dtype}, got {x.dtype}")
        return np.ascontiguousarray(x)

    def empty(self, count: int) -> list[Output]:
        """Arrays for the outputs of so many inputs, as `out` takes them; nothing is in them."""
        return [np.empty((count * s[0], *s[1:]) if s else (count,), d) for s, d in self._outputs]

    def _given(self, out: Sequence[Output], count: int) -> list[Output]:
        wanted = [(r.shape, r.dtype) for r in self.empty(count)]
        if isinstance(out, np.ndarray) or not all(isinstance(r, np.ndarray) for r in out):
            raise ValueError(f"out must be a list of arrays {wanted}, got {type(out).__name__}")
        if [(r.shape, r.dtype) for r in out] != wanted or not all(
            r.flags.c_contiguous and r.flags.writeable for r in out
        ):
            raise ValueError(
                f"out must be contiguous, writeable arrays {wanted}, got {[r.shape for r in out]}"
            )
        return list(out)

    def profile(self, x: NDArray[Any], *, rounds: int = 50) -> list[BlockProfile]:
        """Time and share of peak of each block, medians over `rounds` runs of the first input."""
        from mobilenets.engine.run.peak import peak

        one = self._checked(x)[:1]
        if not len(one) or rounds < 1:
            raise ValueError(f"an image and a round are needed, got {len(one)} and {rounds}")
        self(one)
        readings, seconds = [], []
        for _ in range(rounds):
            start = time.perf_counter()
            self(one)
            seconds.append(time.perf_counter() - start)
            readings.append(np.diff(self._clock))
        ticks = np.median(readings, axis=0)
        whole = np.median([reading.sum() for reading in readings])
        second = whole / np.median(seconds)
        result = []
        for block, t in zip(self._report["blocks"], ticks / second, strict=True):
            name, kind, schedule = block["name"], block["kind"], block["schedule"]
            best = peak(integers=block["output_dtype"] in ("int8", "uint8")) * self.threads
            share = block["madds"] / max(float(t), 1e-12) / best
            result.append(BlockProfile(name, kind, schedule, block["madds"], 1e3 * float(t), share))
        return result

    def twin(self) -> Net:
        """The same network with an arena and a pool of its own: both can run at the same time.

        They share code and weights.
        """
        twin = copy.copy(self)
        twin._own()
        return twin

    def _own(self) -> None:
        """What no two networks that run at once can share."""
        self._arena = allocate(max(1, int(self._report["arena_bytes"])))
        self._clock = np.zeros(len(self._report["blocks"]) + 1, np.int64)
        self._pool = ThreadPool(self.threads)
        self._fixed = (self._arena.address, self._weights.ctypes.data, self._clock.ctypes.data)

    def close(self) -> None:
        """End the pool's threads; the network cannot run after that."""
        self._pool.close()

    def __enter__(self) -> Net:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


@dataclass(frozen=True)
class Memory:
    """An address of memory, and the object that keeps it alive."""

    address: int
    owner: Any


def allocate(size: int) -> Memory:
    """Zeroed memory on a page of its own, given back when nobody holds it.

    Private: what is shared with a forked child is overwritten by its runs.
    """
    if sys.platform == "win32":
        block = mmap.mmap(-1, size)
    else:
        block = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    held = (ctypes.c_char * size).from_buffer(block)
    return Memory(ctypes.addressof(held), (block, held))
