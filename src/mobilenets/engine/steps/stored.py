"""Steps of stored integers, element by element: each gives its twin's bits (`ir/exact.py`)."""

import struct

import numpy as np

from mobilenets.engine.ir.exact import blends
from mobilenets.engine.ir.graph import Dequantize, Quantize, Resize
from mobilenets.engine.ir.integers import FloatSum, ScaledProduct, TabledSoftmax, WeightedSum
from mobilenets.engine.ir.types import FLOAT32, INT32, UINT8
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.integers import (
    compute,
    floats,
    larger,
    load_wide,
    requantized,
    rounded,
    smaller,
    store_narrow,
    whole,
    widened,
)
from mobilenets.engine.kernels.matrix import AnyArray
from mobilenets.engine.kernels.nest import Nest, emit_nest
from mobilenets.engine.kernels.rows import ImageShape
from mobilenets.engine.kernels.types import Ending, ending
from mobilenets.engine.kernels.values import Index, Pointer, Value, constant
from mobilenets.engine.steps.elementwise import BroadcastStep
from mobilenets.engine.steps.reduce import AxisStep
from mobilenets.engine.steps.step import ParallelStep, StepContext
from mobilenets.engine.targets.target import Target

Mixing = WeightedSum | FloatSum | ScaledProduct
"""How two values become one."""


class StoredStep(BroadcastStep):
    """A sum or product of two values with broadcasting, or one value to or from float32."""

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int, nest: Nest,
        operation: Mixing | Quantize | Dequantize,
        constant: AnyArray | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads, nest, constant)
        self.operation = operation

    def emit(self, frame: StepContext) -> None:
        """One nest over the output, its outermost loop shared out to the threads."""
        e, how = frame.e, self.operation
        last = self.last

        def operand(p: list[Pointer], index: int, lanes: int) -> Value:
            if last[index] == 0 and lanes > 1:
                one = widened(e, e.load_one(p[index]), p[index].element, INT32)
                return e.splat(one)
            return load_wide(e, p[index], 0, lanes)

        def body(p: list[Pointer], lanes: int) -> None:
            lanes = lanes or 1
            if isinstance(how, Quantize):
                found = _quantized(e, how, e.load_some(p[1], 0, lanes))
                store_narrow(e, found, p[0], lanes)
            elif isinstance(how, Dequantize):
                less = e.fadd(
                    floats(e, operand(p, 1, lanes)), e.splat(-float(how.quantization.zero_point))
                )
                e.store_some(e.fmul(less, e.splat(how.quantization.scale)), p[0], 0, lanes)
            else:
                found = _mixed(e, how, operand(p, 1, lanes), operand(p, 2, lanes))
                store_narrow(e, found, p[0], lanes)

        emit_nest(e, self.nest, self.operands(frame), body, (frame.thread, self.threads))


def _mixed(e: Emitter, how: Mixing, a: Value, b: Value) -> Value:
    """The sum or product of two vectors of int32."""
    if isinstance(how, FloatSum):
        # In float64: a product is exact, and so is the rounding to float32 of a fused sum.
        double = f"<{e.lanes} x double>"
        held = _doubles(e, how.offset)
        for x, ratio in zip((a, b), how.ratios, strict=True):
            wide = e.value(double, f"sitofp {x} to {double}")
            product = e.value(double, f"fmul {wide}, {_doubles(e, ratio).text}")
            total = e.value(double, f"fadd {product}, {held.text}")
            single = e.value(e.floats, f"fptrunc {total} to {e.floats}")
            held = e.value(double, f"fpext {single} to {double}")
        return rounded(e, single, Ending(how.low, how.high, 0))
    a, b = (compute(e, "sub", x, whole(e, zero)) for x, zero in zip((a, b), how.zeros, strict=True))
    if isinstance(how, ScaledProduct):
        to = how.requantize
        scale = e.splat(float(to.multiplier))
        return requantized(e, compute(e, "mul", a, b), scale, ending(to, to.dtype))
    a, b = (
        compute(e, "mul", x, whole(e, weight))
        for x, weight in zip((a, b), how.weights, strict=True)
    )
    total = compute(e, "add", compute(e, "add", a, b), whole(e, 1 << how.shift - 1))
    moved = compute(e, "ashr", total, whole(e, how.shift))
    result = compute(e, "add", moved, whole(e, how.zero_point))
    return smaller(e, larger(e, result, whole(e, how.low)), whole(e, how.high))


def _doubles(e: Emitter, number: float) -> Value:
    """A vector of one float64."""
    bits = struct.unpack("<Q", struct.pack("<d", number))[0]
    return e.splat_of(Value("double", f"0x{bits:016X}"))


def _quantized(e: Emitter, how: Quantize, x: Value) -> Value:
    """Times 1 / scale or by scale, as the file's runtime does; NaN is the smallest."""
    scale = np.float32(how.quantization.scale)
    if how.inverse:
        scaled = e.fmul(x, e.splat(float(np.float32(1) / scale)))
    else:
        scaled = e.value(x.type, f"fdiv {x}, {e.splat(float(scale)).text}")
    info, zero = np.iinfo(how.dtype.name), how.quantization.zero_point
    low = int(info.min) - zero
    unknown = e.value(f"<{e.lanes} x i1>", f"fcmp uno {scaled}, {scaled.text}")
    known = e.select(unknown, e.splat(float(low)), scaled)
    return rounded(e, known, Ending(low, int(info.max) - zero, zero))


class LookupStep(ParallelStep):
    """A function of a byte, from a table of its 256 values."""

    kind = "map"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int, nest: Nest,
        table: AnyArray,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.nest, self.table = nest, table

    def in_place(self, target: Target) -> bool:
        """Each place is read before it is written."""
        return True

    def weights(self, target: Target) -> list[AnyArray]:
        """The table, the value of the smallest byte first."""
        return [self.table]

    def emit(self, frame: StepContext) -> None:
        """Element by element, the threads sharing the outermost loop."""
        e = frame.e
        out, source = frame.tensors[self.output], frame.tensors[self.inputs[0]]
        table = frame.weights.of(out.element)
        first = 0 if source.element == UINT8 else 128

        def body(p: list[Pointer], lanes: int) -> None:
            byte = e.value("i64", f"{_extends(p[1])} {e.load_one(p[1])} to i64")
            e.store(e.load_one(table, e.add(byte, first)), p[0])

        emit_nest(e, self.nest, [out, source], body, (frame.thread, self.threads), single=True)


def _extends(place: Pointer) -> str:
    return "zext" if place.element == UINT8 else "sext"


class StoredSoftmaxStep(AxisStep):
    """Softmax by a table of powers; a nest of (output, input) goes over the other axes."""

    kind = "softmax"

    def __init__(
        self, name: str, inputs: tuple[str, ...], output: str, threads: int,
        nest: Nest, axis: tuple[int, int], how: TabledSoftmax,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads, nest, axis)
        self.how = how

    def weights(self, target: Target) -> list[AnyArray]:
        """The powers of 0 to -255 steps."""
        return [self.how.powers]

    def emit(self, frame: StepContext) -> None:
        """Of each run of elements the largest, the sum of powers in order, and the shares."""
        e, how = frame.e, self.how
        size, step = self.axis
        powers = frame.weights.of(FLOAT32)
        info = np.iinfo(how.dtype.name)
        most_share = int(info.max) - how.zero_point

        def body(p: list[Pointer], lanes: int) -> None:
            def at(i: Index) -> Value:
                byte = e.load_one(p[1], e.mul(i, step))
                return e.value("i64", f"{_extends(p[1])} {byte} to i64")

            def most(i: Index, held: list[Value]) -> list[Value]:
                value = at(i)
                return [e.select(e.compare("sgt", value, held[0]), value, held[0])]

            peak = e.loop(1, size, 1, most, [at(0)])[0]

            def power(i: Index) -> Value:
                return e.load_one(powers, e.sub(peak, at(i)))

            def add(i: Index, held: list[Value]) -> list[Value]:
                return [e.fadd(held[0], power(i))]

            total = e.loop(1, size, 1, add, [power(0)])[0]
            scaled = e.fmul(total, constant(how.scale, FLOAT32))
            inverse = e.value("float", f"fdiv float 1.0, {scaled.text}")
            with e.repeat(0, size) as i:
                share = e.splat(e.fmul(power(i), inverse))
                # Halves away from 0; shares are not negative.
                up = e.fadd(share, e.splat(0.5))
                held = e.at_most(up, e.splat(most_share + 0.5))
                kind = e.vector(INT32)
                number = e.value(kind, f"fptosi {held} to {kind}")
                moved = compute(e, "add", number, whole(e, how.zero_point))
                store_narrow(e, moved, e.at(p[0], e.mul(i, step)), 1)

        pointers = [frame.tensors[self.output], frame.tensors[self.inputs[0]]]
        emit_nest(e, self.nest, pointers, body, (frame.thread, self.threads), single=True)


class StoredResizeStep(ParallelStep):
    """Bilinear, channels last, by integers: shares of so many bits, one rounding, halves up."""

    kind = "resize"

    def __init__(
        self, name: str, node: Resize, inputs: tuple[str, ...], threads: int,
        source: ImageShape, target: ImageShape,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, node.output, threads)
        self.source, self.target, self.fraction = source, target, node.fraction
        self.rows = blends(node, source.height, target.height)
        self.columns = blends(node, source.width, target.width)

    def emit(self, frame: StepContext) -> None:
        """Each thread makes some output rows, pixel by pixel."""
        e, shape = frame.e, self.source
        source, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        tables = {}
        for axis, ends in (("y", self.rows), ("x", self.columns)):
            for side, numbers in zip(("low", "high", "share"), ends, strict=True):
                name = f"{self.name}_{axis}_{side}"
                tables[axis, side] = e.module.table(name, [int(n) for n in numbers])
        height = self.target.height
        first, last = e.mul(frame.thread, height), e.mul(e.add(frame.thread, 1), height)
        with e.repeat(e.div(first, self.threads), e.div(last, self.threads)) as y:
            rows = [
                e.at(source, e.mul(e.load_index(tables["y", side], y), shape.row))
                for side in ("low", "high")
            ]
            down = e.splat(e.load_one(tables["y", "share"], y))
            with e.repeat(0, self.target.width) as x:
                along = e.splat(e.load_one(tables["x", "share"], x))
                columns = [
                    e.mul(e.load_index(tables["x", side], x), shape.channels)
                    for side in ("low", "high")
                ]
                corners = [e.at(row, column) for row in rows for column in columns]
                at = e.add(e.mul(y, self.target.row), e.mul(x, shape.channels))
                self._pixel(e, corners, e.at(out, at), (down, along))

    def _pixel(
        self, e: Emitter, corners: list[Pointer], out: Pointer, shares: tuple[Value, Value]
    ) -> None:
        down, along = shares

        def body(p: list[Pointer], lanes: int) -> None:
            lanes = lanes or 1
            a, b, c, d = (load_wide(e, q, 0, lanes) for q in p[1:])
            top, bottom = (self._blend(e, *two, along) for two in ((a, b), (c, d)))
            total = self._blend(e, top, bottom, down)
            bits = 2 * self.fraction
            half = compute(e, "add", total, whole(e, 1 << bits - 1))
            store_narrow(e, compute(e, "ashr", half, whole(e, bits)), p[0], lanes)

        emit_nest(e, Nest((self.source.channels,), ((1,),) * 5), [out, *corners], body)

    def _blend(self, e: Emitter, a: Value, b: Value, share: Value) -> Value:
        rest = compute(e, "sub", whole(e, 1 << self.fraction), share)
        return compute(e, "add", compute(e, "mul", a, rest), compute(e, "mul", b, share))
