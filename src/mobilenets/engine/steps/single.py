"""Steps of one convolution by itself: a matrix product per pixel, and a depthwise one."""

from dataclasses import replace
from typing import Literal

import numpy as np

from mobilenets.engine.ir.graph import Conv, Dense
from mobilenets.engine.ir.types import FLOAT32, INT16, ElementType
from mobilenets.engine.kernels.depthwise import DepthwiseRow, depthwise_kernel, pack_taps
from mobilenets.engine.kernels.integers import widen
from mobilenets.engine.kernels.matrix import (
    AnyArray,
    Product,
    emit_product,
    pack,
    pad_channels,
    panels,
)
from mobilenets.engine.kernels.memory import fill, scale
from mobilenets.engine.kernels.nest import Nest, emit_nest, read, write
from mobilenets.engine.kernels.rows import ImageShape, RowBuffer, window_of, window_rows
from mobilenets.engine.kernels.types import ending_of, scales_of, types_of, weights_of
from mobilenets.engine.kernels.values import Pointer
from mobilenets.engine.steps.step import ParallelStep, StepContext, round_up, share_rows, wait
from mobilenets.engine.targets.target import Target


class PointwiseStep(ParallelStep):
    """A matrix product per pixel, or one for all; with `pool`, averaged over the pixels.

    `added`: what else goes into the sums, the first of two inputs: a map as the output, or a
    vector for all pixels.
    """

    kind = "matrix"

    def __init__(
        self, name: str, pixels: int, layer: Conv | Dense, made: ElementType,
        inputs: tuple[str, ...], output: str, threads: int, *,
        pool: bool = False, added: Literal["", "map", "vector"] = "",
    ) -> None:  # fmt: skip
        """`layer`: a 1x1 convolution or a fully connected layer; `made`: the outputs' type."""
        super().__init__(name, inputs, output, threads)
        self.pixels, self.layer, self.pool, self.added = pixels, layer, pool, added
        self.types, self.ending = types_of(layer, made), ending_of(layer, made)

    @property
    def matrix(self) -> AnyArray:
        """(depth, channels), the depth whole for what multiplies."""
        weight = weights_of(self.layer)
        found = weight if isinstance(self.layer, Dense) else weight[:, :, 0, 0].T
        return np.pad(found, ((0, -len(found) % self.types.group), (0, 0)))

    @property
    def vectors(self) -> int:
        """Vectors of a panel: many for a single pixel, to keep many loads in flight."""
        return 8 if self.pixels == 1 else 0

    def weights(self, target: Target) -> list[AnyArray]:
        """The matrix packed in panels, then the bias and scales in whole vectors."""
        packed = pack(target, self.matrix, self.vectors, self.types.group)
        more = (self.layer.bias, scales_of(self.layer))
        return [packed, *(pad_channels(target, x) for x in more)]

    def _depth(self) -> int:
        """Inputs of an output, and from one pixel to the next."""
        layer = self.layer
        return int(layer.weight.shape[0 if isinstance(layer, Dense) else 1])

    def scratch(self, target: Target) -> int:
        """Each thread's biases with the vector that is added, or its inputs as int16."""
        if self.ending is not None:
            return self.threads * self._narrow_bytes
        return self.threads * round_up(self.layer.bias.nbytes) if self.added == "vector" else 0

    @property
    def _narrow_bytes(self) -> int:
        """Bytes of all inputs as int16, and of what a last pair reads beyond them."""
        return round_up((self.pixels * self._depth() + 2) * INT16.size)

    def in_place(self, target: Target) -> bool:
        """Of a map that is added, each tile is read before it is written over."""
        return self.added == "map"

    def emit(self, frame: StepContext) -> None:
        """One thread's panels, or its pixels where there are few panels."""
        e = frame.e
        whole, channels = self.matrix.shape
        depth = self._depth()
        out, added = frame.tensors[self.output], frame.tensors[self.inputs[0]]
        types, padded = self.types, round_up(channels, e.lanes)
        weights = frame.weights.of(types.weight)
        bias = e.part(weights, whole * padded * types.weight.size, types.sums)
        if self.added == "vector":
            bias = self._summed(frame, bias, added)
        product = Product(
            ((0, 0, whole),), depth, channels, types,
            "shortcut" if self.added == "map" else "bias", self.layer.activation, self.pool,
            self.ending,
            count=self.pixels, channels=channels, vectors=self.vectors,
            streamed=self.pixels > 1,
        )  # fmt: skip
        source = frame.tensors[self.inputs[-1]]
        scales = None
        if self.ending is not None:
            scales = e.part(bias, padded * types.sums.size, FLOAT32)
            source, added = self._narrow(frame, source), out
        others = (weights, out, bias, added)
        firsts = [panel[0] for panel in panels(e.module.target, channels, self.vectors)]
        if len(firsts) < self.threads <= self.pixels and not self.pool:
            self._pixels(frame, product, source, others, scales)
            return
        for thread, share in enumerate(share_rows(len(firsts), self.threads)):
            if share[0] == share[1]:
                continue
            with e.when(e.compare("eq", frame.thread, thread)):
                low, high = firsts[share[0]], [*firsts, channels][share[1]]
                sums = e.at(out, low)
                if self.pool:
                    fill(e, sums, high - low, 0)
                emit_product(e, product, [source], others, share, scales)
                if self.pool:
                    scale(e, sums, high - low, 1 / self.pixels)

    def _narrow(self, frame: StepContext, source: Pointer) -> Pointer:
        """The thread's own copy of all inputs, as int16."""
        e = frame.e
        own = e.item(frame.scratch.of(INT16), frame.thread, self._narrow_bytes)
        widen(e, source, own, self.pixels * self._depth(), self.layer.zero_point)
        return own

    def _pixels(
        self, frame: StepContext, product: Product, source: Pointer,
        others: tuple[Pointer, Pointer, Pointer, Pointer], scales: Pointer | None,
    ) -> None:  # fmt: skip
        """All panels of a thread's own pixels."""
        e = frame.e
        weights, out, bias, added = others
        for thread, (low, high) in enumerate(share_rows(self.pixels, self.threads)):
            with e.when(e.compare("eq", frame.thread, thread)):
                to, of = (e.at(pointer, low * product.c_step) for pointer in (out, added))
                own = [e.at(source, low * product.a_step)]
                emit_product(
                    e,
                    replace(product, count=high - low),
                    own,
                    (weights, to, bias, of),
                    scales=scales,
                )

    def _summed(self, frame: StepContext, bias: Pointer, vector: Pointer) -> Pointer:
        """The thread's own biases, for this image."""
        e, channels = frame.e, self.layer.bias.size
        own = e.item(frame.scratch.of(bias.element), frame.thread, round_up(self.layer.bias.nbytes))

        def body(p: list[Pointer], lanes: int) -> None:
            write(e, e.fadd(read(e, p[1], 1, lanes), read(e, p[2], 1, lanes)), p[0], lanes)

        emit_nest(e, Nest((channels,), ((1,),) * 3), [own, bias, vector], body)
        return own


class DepthwiseStep(ParallelStep):
    """A depthwise convolution of a whole map that belongs to no block."""

    kind = "depthwise"

    def __init__(
        self, name: str, conv: Conv, source: ImageShape, target: ImageShape,
        inputs: tuple[str, ...], output: str, threads: int,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.conv, self.source, self.target = conv, source, target
        self.types, self.ending = types_of(conv, target.element), ending_of(conv, target.element)

    def weights(self, target: Target) -> list[AnyArray]:
        """Taps by whole vectors of channels, the bias and the scales."""
        taps = pack_taps(target, weights_of(self.conv)[:, 0], self.types.group)
        return [taps, *(pad_channels(target, x) for x in (self.conv.bias, scales_of(self.conv)))]

    def scratch(self, target: Target) -> int:
        """The whole map as int16, for integers, and what a last vector reads beyond it."""
        return 0 if self.ending is None else (self.source.size + 64) * INT16.size

    @property
    def zero_bytes(self) -> int:
        """Bytes of an input row, and of what the last whole vector reads beyond it."""
        return (self.source.row + 64) * self.types.source.size

    def emit(self, frame: StepContext) -> None:
        """Each thread makes some output rows, one call of the kernel for each."""
        e, conv, source = frame.e, self.conv, self.source
        high, wide = conv.weight.shape[2:]
        row = DepthwiseRow(
            source.width, self.target.width, source.channels, (high, wide), conv.strides[1],
            conv.dilations[1], conv.pads[1], source.channels, source.channels, self.types,
            conv.activation, self.ending,
        )  # fmt: skip
        kernel = depthwise_kernel(e.module, row)
        pointer, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        if self.ending is not None:
            pointer = self._narrow(frame, pointer)
        rows = RowBuffer(pointer, source.row, source.height, source.height)
        weights = frame.weights.of(self.types.weight)
        padded = round_up(source.channels, e.lanes)
        taps = self.types.whole(high) * wide * padded * self.types.weight.size
        bias = e.part(weights, taps, self.types.sums)
        scales = []
        if self.ending is not None:
            scales = [e.part(bias, padded * self.types.sums.size, FLOAT32)]
        window = window_of(conv, source.height)
        height = self.target.height
        first, last = e.mul(frame.thread, height), e.mul(e.add(frame.thread, 1), height)
        with e.repeat(e.div(first, self.threads), e.div(last, self.threads)) as y:
            read = window_rows(e, window, rows, y, frame.zeros.of(self.types.source))
            e.call(kernel, *read, weights, bias, e.at(out, e.mul(y, self.target.row)), *scales)

    def _narrow(self, frame: StepContext, source: Pointer) -> Pointer:
        """The map as int16, which all threads make together."""
        e, height, row = frame.e, self.source.height, self.source.row
        narrow = frame.scratch.of(INT16)
        first, last = e.mul(frame.thread, height), e.mul(e.add(frame.thread, 1), height)
        with e.repeat(e.div(first, self.threads), e.div(last, self.threads)) as y:
            at = e.mul(y, row)
            widen(e, e.at(source, at), e.at(narrow, at), row, self.conv.zero_point)
        wait(frame, self.threads)
        return narrow
