"""What this machine's multipliers can do: multiply-adds a second on one thread, measured."""

import ctypes
import time
from functools import lru_cache
from typing import Any

import numpy as np

from mobilenets.engine.codegen.objects import compile_object
from mobilenets.engine.ir.types import FLOAT32, INT16, INT32
from mobilenets.engine.kernels.emit import Emitter, Module
from mobilenets.engine.kernels.matrix import Tile, tile_kernel
from mobilenets.engine.kernels.types import FLOATS, Ending, Types
from mobilenets.engine.run.loader import load
from mobilenets.engine.targets.host import host

_DEPTH, _TURNS, _ROUNDS = 256, 200, 40


@lru_cache
def peak(*, integers: bool) -> float:
    """The best of many rounds of the matrix kernel on operands in the first-level cache.

    `integers`: of int16 by pairs, as networks of integers are multiplied; else of float32.

    It takes 0.1 s once. The kernel reaches what a loop of nothing but multiply-adds does, to a
    few per cent.
    """
    target = host()
    types = Types(INT16, INT16, INT32, INT16, 2) if integers else FLOATS
    tile = Tile(
        ((0, 0, _DEPTH),), _DEPTH, target.vectors * target.lanes, types,
        ending=Ending(-100, 100, 0) if integers else None,
        pixels=target.pixels, vectors=target.vectors, lanes=target.lanes,
    )  # fmt: skip
    module = Module(target)

    def body(e: Emitter, p: list[Any]) -> None:
        with e.repeat(0, _TURNS):
            more = [p[3]] * integers
            e.call(tile_kernel(module, tile), p[0], p[1], p[2], p[3], p[3], p[1], *more)

    module.function("peak", [FLOAT32] * 4, body, public=True)
    image = load(compile_object(str(module), target), ("peak",))
    run = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 4)(image.address("peak"))
    floats = (_DEPTH + 1) * 64
    buffers = [np.zeros(floats, np.float32) for _ in range(4)]
    addresses = [buffer.ctypes.data for buffer in buffers]
    best = float("inf")
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        run(*addresses)
        best = min(best, time.perf_counter() - start)
    return tile.pixels * tile.vectors * target.lanes * _DEPTH * _TURNS / best
