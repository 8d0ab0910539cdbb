"""Every kernel against its slow twin, over shapes one below and one above each tile."""

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from mobilenets.engine.codegen.objects import compile_object
from mobilenets.engine.ir.graph import LINEAR, RELU6, Activation
from mobilenets.engine.ir.reference import activate as activated
from mobilenets.engine.ir.types import FLOAT32
from mobilenets.engine.kernels.activate import activate, exp, sigmoid
from mobilenets.engine.kernels.depthwise import DepthwiseRow, depthwise_kernel
from mobilenets.engine.kernels.emit import Emitter, Module
from mobilenets.engine.kernels.matrix import (
    Product,
    Tile,
    emit_product,
    pack,
    pad_channels,
    panels,
    tile_kernel,
)
from mobilenets.engine.kernels.memory import copy, fill
from mobilenets.engine.kernels.types import FLOATS
from mobilenets.engine.kernels.values import Pointer, Value, null
from mobilenets.engine.run.loader import load
from mobilenets.engine.targets.target import Target
from tests.engine.code import twins
from tests.engine.graphs import array
from tests.engine.nets import same, targets

TARGETS = targets()
FENCE = 64
"""Floats of NaN around each array: what is read there shows, and what is written too."""
Emit = Callable[[Emitter, list[Pointer]], None]


@dataclass(frozen=True)
class Case:
    """A kernel to emit, the arrays it is given, and the twin that changes them as it should."""

    name: str
    emit: Emit
    arrays: tuple[np.ndarray, ...]
    twin: Callable[[tuple[np.ndarray, ...]], None]


def kernel_case(name: str, make: Callable[[Module], str], arrays, twin) -> Case:
    """A case of a kernel that is a function of its own."""
    return Case(name, lambda e, p: e.call(make(e.module), *p), tuple(arrays), twin)


def fenced(values: np.ndarray) -> np.ndarray:
    """A copy within NaN."""
    held = np.full(values.size + 2 * FENCE, np.nan, np.float32)
    held[FENCE : FENCE + values.size] = values.ravel()
    return held


def run(target: Target, cases: list[Case]) -> None:
    """Compile all cases as one module, run each, and compare all that it was given."""
    module = Module(target)
    names = [f"case{number}" for number in range(len(cases))]
    for name, case in zip(names, cases, strict=True):
        module.function(name, [FLOAT32] * len(case.arrays), case.emit, public=True)
    image = load(compile_object(str(module), target), tuple(names))
    for name, case in zip(names, cases, strict=True):
        given = [fenced(values) for values in case.arrays]
        wanted = tuple(values.ravel().copy() for values in case.arrays)
        with np.errstate(all="ignore"):
            case.twin(wanted)
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(given))(image.address(name))
        function(*(values.ctypes.data + 4 * FENCE for values in given))
        for found, expected in zip(given, wanted, strict=True):
            try:
                assert np.isnan(found[:FENCE]).all()
                assert np.isnan(found[-FENCE:]).all()
                same(found[FENCE:-FENCE], expected)
            except AssertionError as error:
                raise AssertionError(f"{case.name}: {error}") from error


def around(*tiles: int) -> list[int]:
    """One below, at, and one above each."""
    return sorted({n for tile in tiles for n in (tile - 1, tile, tile + 1) if n > 0})


# The matrix kernel


def tile_case(target: Target, tile: Tile) -> Case:
    reach = max(offset + length for _, offset, length in tile.segments)
    width = tile.vectors * target.lanes
    out = (tile.pixels - 1) * tile.c_step + width - target.lanes + tile.lanes
    rows = [array(reach + (tile.pixels - 1) * tile.a_step) for _ in range(tile.rows)]
    others = [array(tile.depth * width), array(out), array(width), array(out), array(64)]
    make = partial(tile_kernel, tile=tile)
    return kernel_case(str(tile), make, [*rows, *others], partial(twins.tile, tile, target.lanes))


SEGMENTS = [
    *(((0, 0, depth),) for depth in (1, 3, 4, 5, 8, 9, 11, 12, 13, 37)),
    ((0, 0, 3), (1, 0, 3), (2, 0, 3)),
    ((0, 2, 9), (2, 1, 12), (0, 40, 1)),
]


def tiles(target: Target) -> Iterator[Tile]:
    """Sums of every size that a product cuts, every tail, every start, every run of inputs."""
    width, all_lanes = target.vectors * target.lanes, target.lanes

    def tile(size: tuple[int, int, int], *sums: object, **fields: object) -> Tile:
        pixels, vectors, lanes = size
        where, how = sums[:3], sums[3:]
        return Tile(*where, FLOATS, *how, pixels=pixels, vectors=vectors, lanes=lanes, **fields)

    for vectors in {1, target.vectors}:
        most = target.pixels * target.vectors // vectors
        for pixels in {1, 2, most - 1, most}:
            for lanes in {1, all_lanes - 1, all_lanes}:
                yield tile((pixels, vectors, lanes), ((0, 0, 13),), 13, width)
    for segments in SEGMENTS:
        yield tile((3, 2, all_lanes), segments, 1, width + 3)
    for start in ("bias", "outputs", "both", "shortcut"):
        for lanes in (all_lanes - 1, all_lanes):
            yield tile((target.pixels, 2, lanes), ((0, 0, 9),), 11, width, start, RELU6)
    for pixels in around(2, 4, target.pixels - 1):
        yield tile((pixels, 2, all_lanes - 1), ((0, 0, 5),), 5, width, pool=True)
    yield tile((8, 8, all_lanes), ((0, 0, 21),), 21, width, "bias", RELU6, pool=True)
    yield tile((4, 2, all_lanes), ((0, 0, 40),), 40, width, ahead=3)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_tiles_of_a_matrix_product(target):
    run(target, [tile_case(target, tile) for tile in tiles(target)])


def product_case(
    target: Target, count: int, channels: int, depth: int, share=None, **fields
) -> Case:
    """A product over evenly lying pixels; with a share, only some panels are made."""
    sums = ((0, 0, depth),), depth, channels, FLOATS
    product = Product(*sums, count=count, channels=channels, **fields)
    a, matrix, bias = array(count, depth), array(depth, channels), array(channels)
    out = np.zeros((1 if product.pool else count, channels), np.float32)
    packed = pack(target, matrix, product.vectors)
    cut = panels(target, channels, product.vectors)
    first, stop = share or (0, len(cut))
    low = cut[first][0]
    high = channels if stop == len(cut) else cut[stop][0]

    def twin(arrays):
        rows = twins.product(a, matrix, bias, pool=product.pool)
        arrays[2].reshape(-1, channels)[:, low:high] = rows.reshape(-1, channels)[:, low:high]

    def emit(e: Emitter, p: list[Pointer]) -> None:
        emit_product(e, product, [p[0]], (p[1], p[2], p[3], null(FLOAT32)), share)

    # The weights to come are only asked for, never read: they may end where these end.
    return Case(f"{product}, {share}", emit, (a, packed, out, pad_channels(target, bias)), twin)


def products(target: Target) -> Iterator[Case]:
    """Pixels and channels around every tile; shares of panels; sums over pixels."""
    lanes, width = target.lanes, target.vectors * target.lanes
    for count in around(1, target.pixels, 2 * target.pixels, 2 * target.pixels * target.vectors):
        for channels in (lanes + 1, width + 1):
            yield product_case(target, count, channels, 9)
    halves = (lanes * 3 // 2, lanes * 5 // 2)  # two pixels share the last vector
    for channels in (*around(1, lanes, width, 2 * width, 3 * width), *halves):
        yield product_case(target, target.pixels + 1, channels, 6)
    for channels in around(8 * lanes, 16 * lanes):
        yield product_case(target, 1, channels, 7, vectors=8)
    for share in ((0, 1), (1, 3), (2, 4), (3, 4), (0, 4)):
        yield product_case(target, 5, 4 * width - 1, 10, share)
        yield product_case(target, 5, 4 * width, 10, share, pool=True)
    for depth in (3, 4, 17, 64):
        yield product_case(target, 50, width + lanes, depth, streamed=True)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_products_are_cut_into_tiles_and_panels(target):
    run(target, list(products(target)))


# The depthwise kernel


def depthwise_case(target: Target, row: DepthwiseRow) -> Case:
    high, wide = row.kernel
    padded = -(-row.channels // target.lanes) * target.lanes
    rows = [array((row.width_in - 1) * row.a_step + row.channels) for _ in range(high)]
    out = array((row.width - 1) * row.c_step + row.channels)
    arrays = [*rows, array(high * wide * padded), array(padded), out]
    twin = partial(twins.depthwise, row, target.lanes)
    return kernel_case(str(row), partial(depthwise_kernel, row=row), arrays, twin)


def row_of(width_in: int, channels: int, **fields) -> DepthwiseRow:
    """A row whose outputs are as many as fit, `before` and `after` pixels of zeros aside."""
    kernel, stride = fields.get("kernel", (3, 3)), fields.get("stride", 1)
    dilation, before, after = (fields.get(name, 0) for name in ("dilation", "before", "after"))
    dilation = dilation or 1
    width = (width_in + before + after - (kernel[1] - 1) * dilation - 1) // stride + 1
    gap = fields.get("gap", 0)
    how = fields.get("activation", LINEAR)
    return DepthwiseRow(
        width_in, width, channels, kernel, stride, dilation, before,
        channels + gap, channels + 2 * gap, FLOATS, how,
    )  # fmt: skip


def depthwise_rows(target: Target) -> Iterator[DepthwiseRow]:
    lanes = target.lanes
    for width in around(1, 4, 8, 16, 24):
        yield row_of(width, lanes + 1, before=1, after=1)
        yield row_of(width, lanes, before=0, after=1, stride=2) if width > 1 else row_of(3, 1)
    for channels in around(1, lanes, 2 * lanes, 3 * lanes):
        yield row_of(11, channels, before=1, after=1, gap=5, activation=RELU6)
    for kernel in ((1, 1), (1, 3), (5, 5), (2, 4), (3, 1), (7, 7)):
        side = kernel[1] // 2
        yield row_of(13, lanes + 3, kernel=kernel, before=side, after=side)
        yield row_of(13, lanes + 3, kernel=kernel, before=side, after=side, stride=3)
    for dilation in (2, 3, 12):
        yield row_of(14, lanes - 1, dilation=dilation, before=dilation, after=dilation)
    yield row_of(2, lanes, kernel=(5, 5), before=4, after=4)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_rows_of_a_depthwise_convolution(target):
    run(target, [depthwise_case(target, row) for row in depthwise_rows(target)])


# Copies, and functions of an element


def copy_case(count: int) -> Case:
    def twin(arrays):
        arrays[1][:count] = arrays[0][:count]

    emit = lambda e, p: copy(e, p[0], p[1], count)  # noqa: E731
    return Case(f"copy {count}", emit, (array(count), array(count)), twin)


def fill_case(count: int, value: float) -> Case:
    emit = lambda e, p: fill(e, p[0], count, value)  # noqa: E731
    return Case(f"fill {count}", emit, (array(count + 3),), lambda a: a[0][:count].fill(value))


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_copies_and_fills_of_any_length(target):
    lengths = [0, *around(1, target.lanes // 2, target.lanes, 3 * target.lanes, 1000)]
    cases = [copy_case(count) for count in lengths]
    run(target, cases + [fill_case(count, value) for count in lengths for value in (0.0, -1.5)])


ACTIVATIONS = {
    "none": LINEAR,
    "relu": Activation("clip", 0.0),
    "relu6": RELU6,
    "at most": Activation("clip", high=0.25),
    "hardsigmoid": Activation("hardsigmoid", alpha=0.2, beta=0.4),
    "hardswish": Activation("hardswish"),
    "leaky": Activation("leaky", alpha=0.1),
    "log": Activation("log"),
    "reciprocal": Activation("reciprocal"),
    "sigmoid": Activation("sigmoid"),
    "silu": Activation("silu"),
    "sqrt": Activation("sqrt"),
}
TINY = np.finfo(np.float32).tiny
NUMBERS = np.concatenate([
    np.linspace(-110, 110, 4001, dtype=np.float32),
    np.linspace(-1, 1, 501, dtype=np.float32),
    np.float32([0.0, -0.0, np.nan, np.inf, -np.inf, 3e38, -3e38, TINY, -TINY, TINY / 4, 1e-30]),
    np.float32([88.72, 88.73, -87.3, -87.4, -103.9, -104.1, 89.0, 3.0, -3.0, 6.0]),
])  # fmt: skip
NUMBERS = np.concatenate([NUMBERS, np.zeros(-NUMBERS.size % 16, np.float32)])


def each(function: Callable[[Emitter, Value], Value]) -> Emit:
    """A function of vectors, over all the numbers."""

    def emit(e: Emitter, p: list[Pointer]) -> None:
        with e.repeat(0, NUMBERS.size, e.lanes) as i:
            e.store(function(e, e.load(p[0], i)), p[1], i)

    return emit


def values_of(target: Target, function: Callable[[Emitter, Value], Value]) -> np.ndarray:
    """What it makes of the numbers."""
    module = Module(target)
    module.function("each", [FLOAT32] * 2, each(function), public=True)
    image = load(compile_object(str(module), target), ("each",))
    out = np.empty_like(NUMBERS)
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(image.address("each"))
    call(NUMBERS.ctypes.data, out.ctypes.data)
    return out


def units(found: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Units in the last place between finite numbers; those of the smallest normal number below."""
    finite = np.isfinite(expected) & (np.abs(expected) < np.finfo(np.float32).max)
    unit = np.spacing(np.maximum(np.abs(expected[finite]), TINY).astype(np.float32))
    return np.abs(found[finite].astype(np.float64) - expected[finite]) / unit


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_activations_of_all_kinds_of_numbers(target, kind):
    how = ACTIVATIONS[kind]
    found = values_of(target, lambda e, x: activate(e, x, how))
    expected = activated(how, NUMBERS)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    infinite = np.isinf(expected)
    np.testing.assert_array_equal(found[infinite], expected[infinite])
    # Where exp(-x) overflows, a sigmoid is 0 instead of a denormal number.
    np.testing.assert_allclose(
        found[np.isfinite(expected)], expected[np.isfinite(expected)], rtol=1e-6, atol=2e-7
    )


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_powers_of_e_to_two_units_in_the_last_place(target):
    found = values_of(target, exp)
    with np.errstate(all="ignore"):
        expected = np.exp(NUMBERS.astype(np.float64))
    assert units(found, expected).max() <= 2
    assert np.isnan(found[np.isnan(NUMBERS)]).all()
    assert (found[NUMBERS > 89] == np.inf).all()
    assert (found[NUMBERS < -104] == 0).all()


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_sigmoids_to_four_units_in_the_last_place(target):
    found = values_of(target, sigmoid)
    with np.errstate(all="ignore"):
        expected = 1 / (1 + np.exp(-NUMBERS.astype(np.float64)))
    inside = NUMBERS > -87
    assert units(found[inside], expected[inside]).max() <= 4
    assert (found[~inside & ~np.isnan(NUMBERS)] < 2 * TINY).all()
    assert np.isnan(found[np.isnan(NUMBERS)]).all()
