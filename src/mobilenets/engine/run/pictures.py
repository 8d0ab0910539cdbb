"""Pictures scaled, cut and normalised in one go, by code that is made once for this processor."""

import ctypes
from collections.abc import Callable
from functools import cache, lru_cache
from threading import Lock
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.engine.run.cache import Cache, key_of
from mobilenets.engine.run.identity import maker, processor
from mobilenets.engine.run.loader import load

Filter = Literal["bilinear", "bicubic", "lanczos"]
PRECISION, LANES = 22, 16
"""As `codegen/pictures.py` has them, which needs LLVM."""
PADDING = 4
"""Bytes that must be readable behind the last pixel of three bytes."""


class Pixels(NamedTuple):
    """RGB of 8 bits in memory, rows one behind the other."""

    address: int
    width: int
    height: int
    size: int
    """Bytes of a pixel, 3 or 4; the fourth is not looked at.

    Where there are 3, `PADDING` bytes must follow the last pixel.
    """
    owner: Any
    """What keeps the memory there."""


class Cut(NamedTuple):
    """How one side is scaled and cut: places in the picture, and in what comes out."""

    start: float
    stop: float
    scaled: int
    """Pixels that the part from `start` to `stop` becomes."""
    first: int
    kept: int
    """Those of them that are kept: so many from the first on."""


class Taps(NamedTuple):
    """What each pixel that is kept is the sum of."""

    first: NDArray[np.int64]
    """(kept,): the first of the old pixels."""
    weights: NDArray[np.int32]
    """(kept, taps), 1 being 2 ** 22; zero where a pixel has fewer."""


def scale(
    pixels: Pixels,
    across: Cut,
    down: Cut,
    how: Filter,
    mean: NDArray[np.float32],
    std: NDArray[np.float32],
    out: NDArray[np.float32],
    *,
    bgr: bool = False,
) -> bool:
    """Fill `out` (3, height, width) with (pixel / 255 - mean) / std; whether that could be done.

    The bits are those that Pillow's `resize` gives, then `crop`, then numpy in float32. False, and
    nothing done, for less than 16 columns, and where Pillow may scale down before it scales across.
    `out` may be a part of a larger array, its rows contiguous. The GIL is free meanwhile.
    """
    if across.kept < LANES or not _in_order(across, down) or not (code := _functions()):
        return False
    columns = taps(pixels.width, across, how, 4)
    rows = taps(pixels.height, down, how, 1)
    if columns is None or rows is None:
        return False
    top = int(rows.first.min())
    height = int(rows.first.max()) + rows.weights.shape[1] - top
    line = -(-across.kept // LANES) * LANES
    planes = np.empty((3, height, line), np.uint8)
    first, weights = _expanded(pixels.width, across, how, pixels.size)
    stride = pixels.width * pixels.size
    code[pixels.size](
        _words(
            *(pixels.address + top * stride, stride, height, first.ctypes.data),
            *(weights.ctypes.data, columns.weights.shape[1] // 4, across.kept),
            *(planes.ctypes.data, height * line, line),
        )
    )
    starts = rows.first - top
    code[0](
        _words(
            *(planes.ctypes.data, height * line, line, starts.ctypes.data),
            *(rows.weights.ctypes.data, rows.weights.shape[1], across.kept, down.kept),
            *(out.ctypes.data, *out.strides[:2], mean.ctypes.data, std.ctypes.data),
            *((2, -1) if bgr else (0, 1)),
        )
    )
    return True


def _in_order(across: Cut, down: Cut) -> bool:
    """Whether Pillow is sure to go across first.

    Version 13 does not always; 4000 random sizes that it scaled across first are told by this from
    all others, and some that it did so too are not used.
    """
    wide, high = across.stop - across.start, down.stop - down.start
    grows = across.scaled >= wide and down.scaled >= high
    return grows or (down.scaled * wide >= 0.95 * across.scaled * high and high < 1.9 * wide)


@lru_cache(256)
def taps(length: int, side: Cut, how: Filter, multiple: int) -> Taps | None:
    """The sums along a side of `length` pixels; the number of taps a multiple of `multiple`.

    None where there are fewer pixels than taps.
    """
    support, weigh = _FILTERS[how]
    factor = (side.stop - side.start) / side.scaled
    wide = max(factor, 1.0)
    reach = support * wide
    places = np.arange(side.first, side.first + side.kept)
    centre = side.start + (places + 0.5) * factor
    low = np.maximum((centre - reach + 0.5).astype(np.int64), 0)
    high = np.minimum((centre + reach + 0.5).astype(np.int64), length)
    count = int((high - low).max())
    steps = np.arange(-(-count // multiple) * multiple)
    if len(steps) > length:
        return None
    weights = weigh((steps + low[:, None] - centre[:, None] + 0.5) * (1 / wide))
    weights[steps >= (high - low)[:, None]] = 0
    whole = np.cumsum(weights, axis=1)[:, -1:]
    shares = np.divide(weights, whole, out=weights, where=whole != 0)
    fixed = shares * (1 << PRECISION)
    numbers = np.where(fixed < 0, fixed - 0.5, fixed + 0.5).astype(np.int32)
    # Sums of one length may not go on behind the last pixel: they begin earlier, with zeros.
    first = np.minimum(low, length - len(steps))
    moved = steps - (low - first)[:, None]
    found = np.take_along_axis(numbers, np.maximum(moved, 0), axis=1)
    return Taps(first, np.ascontiguousarray(np.where(moved < 0, 0, found)))


@lru_cache(256)
def _expanded(
    length: int, side: Cut, how: Filter, size: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """The same across: bytes instead of pixels, each weight for every byte of a pixel of four."""
    found = taps(length, side, how, 4)
    assert found is not None
    return found.first * size, np.repeat(found.weights, 4, axis=1)


def _bilinear(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.maximum(1 - np.abs(x), 0)
    return found


def _bicubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x, a = np.abs(x), -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    found: NDArray[np.float64] = np.where(x < 1, near, np.where(x < 2, far, 0))
    return found


def _lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = np.where((x >= -3) & (x < 3), np.sinc(x) * np.sinc(x / 3), 0)
    return found


_FILTERS: dict[Filter, tuple[float, Callable[[NDArray[np.float64]], NDArray[np.float64]]]] = {
    "bilinear": (1.0, _bilinear),
    "bicubic": (2.0, _bicubic),
    "lanczos": (3.0, _lanczos),
}
"""How far each reaches, in new pixels, and what it weighs there: Pillow's."""


_LOCK = Lock()


def _words(*values: int) -> Any:
    return (ctypes.c_int64 * len(values))(*values)


def _functions() -> dict[int, Callable[[Any], None]]:
    """The functions for pixels of 3 and 4 bytes, and at 0 the one that goes down.

    None at all where memory must not become executable.
    """
    with _LOCK:
        return _made()


@cache
def _made() -> dict[int, Callable[[Any], None]]:
    """The same, from the engine's cache if they were made before."""
    try:
        return _compiled()
    except (OSError, RuntimeError):
        return {}


def _compiled() -> dict[int, Callable[[Any], None]]:
    cached = Cache()
    key = key_of("pictures", maker(), processor())
    entry = cached.fetch(key)
    if entry is None:
        from mobilenets.engine.codegen.objects import compile_object
        from mobilenets.engine.codegen.pictures import picture_module
        from mobilenets.engine.targets.host import host

        code = compile_object(str(picture_module()), host())
        entry = cached.store(key, code, np.zeros(LANES, np.float32), {})
    names = {3: "across3", 4: "across4", 0: "down"}
    image = load(entry.code, tuple(names.values()))
    image.keep()  # threads may be in it until the process is gone
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
    return {number: kind(image.symbols[name]) for number, name in names.items()}
