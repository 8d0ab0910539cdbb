"""Steps of one convolution by itself: a matrix product per pixel, and a depthwise one."""

from dataclasses import replace
from typing import Literal

from mobilenets.engine.ir.graph import Activation, Conv
from mobilenets.engine.kernels.depthwise import DepthwiseRow, depthwise_kernel
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
from mobilenets.engine.kernels.types import Types
from mobilenets.engine.kernels.values import Pointer
from mobilenets.engine.steps.step import ParallelStep, StepContext, round_up, share_rows
from mobilenets.engine.targets.target import Target


class PointwiseStep(ParallelStep):
    """A matrix product per pixel, or one for all; with `pool`, averaged over the pixels.

    `added`: what else goes into the sums, the first of two inputs: a map as the output, or a
    vector for all pixels.
    """

    kind = "matrix"

    def __init__(
        self, name: str, pixels: int, weight: AnyArray, bias: AnyArray, activation: Activation,
        types: Types, inputs: tuple[str, ...], output: str, threads: int, *,
        pool: bool = False, added: Literal["", "map", "vector"] = "",
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.pixels, self.matrix, self.bias, self.pool = pixels, weight, bias, pool
        self.activation, self.types, self.added = activation, types, added

    @property
    def vectors(self) -> int:
        """Vectors of a panel: many for a single pixel, to keep many loads in flight."""
        return 8 if self.pixels == 1 else 0

    def weights(self, target: Target) -> list[AnyArray]:
        """The matrix packed in panels, then the bias in whole vectors."""
        return [pack(target, self.matrix, self.vectors), pad_channels(target, self.bias)]

    def scratch(self, target: Target) -> int:
        """Each thread's biases with the vector that is added, in whole vectors."""
        return self.threads * round_up(self.bias.nbytes) if self.added == "vector" else 0

    def in_place(self, target: Target) -> bool:
        """Of a map that is added, each tile is read before it is written over."""
        return self.added == "map"

    def emit(self, frame: StepContext) -> None:
        """One thread's panels, or its pixels where there are few panels."""
        e = frame.e
        depth, channels = self.matrix.shape
        out, added = frame.tensors[self.output], frame.tensors[self.inputs[0]]
        types, padded = self.types, round_up(channels, e.lanes)
        weights = frame.weights.of(types.weight)
        bias = e.part(weights, depth * padded * types.weight.size, types.sums)
        if self.added == "vector":
            bias = self._summed(frame, bias, added)
        product = Product(
            ((0, 0, depth),), depth, channels, types,
            "shortcut" if self.added == "map" else "bias", self.activation, self.pool,
            count=self.pixels, channels=channels, vectors=self.vectors,
            streamed=self.pixels > 1,
        )  # fmt: skip
        source, others = frame.tensors[self.inputs[-1]], (weights, out, bias, added)
        firsts = [panel[0] for panel in panels(e.module.target, channels, self.vectors)]
        if len(firsts) < self.threads <= self.pixels and not self.pool:
            self._pixels(frame, product, source, others)
            return
        for thread, share in enumerate(share_rows(len(firsts), self.threads)):
            if share[0] == share[1]:
                continue
            with e.when(e.compare("eq", frame.thread, thread)):
                low, high = firsts[share[0]], [*firsts, channels][share[1]]
                sums = e.at(out, low)
                if self.pool:
                    fill(e, sums, high - low, 0)
                emit_product(e, product, [source], others, share)
                if self.pool:
                    scale(e, sums, high - low, 1 / self.pixels)

    def _pixels(
        self, frame: StepContext, product: Product, source: Pointer,
        others: tuple[Pointer, Pointer, Pointer, Pointer],
    ) -> None:  # fmt: skip
        """All panels of a thread's own pixels."""
        e = frame.e
        weights, out, bias, added = others
        for thread, (low, high) in enumerate(share_rows(self.pixels, self.threads)):
            with e.when(e.compare("eq", frame.thread, thread)):
                to, of = (e.at(pointer, low * product.c_step) for pointer in (out, added))
                own = [e.at(source, low * product.a_step)]
                emit_product(e, replace(product, count=high - low), own, (weights, to, bias, of))

    def _summed(self, frame: StepContext, bias: Pointer, vector: Pointer) -> Pointer:
        """The thread's own biases, for this image."""
        e, channels = frame.e, self.bias.size
        own = e.item(frame.scratch.of(bias.element), frame.thread, round_up(self.bias.nbytes))

        def body(p: list[Pointer], lanes: int) -> None:
            write(e, e.fadd(read(e, p[1], 1, lanes), read(e, p[2], 1, lanes)), p[0], lanes)

        emit_nest(e, Nest((channels,), ((1,),) * 3), [own, bias, vector], body)
        return own


class DepthwiseStep(ParallelStep):
    """A depthwise convolution of a whole map that belongs to no block."""

    kind = "depthwise"

    def __init__(
        self, name: str, conv: Conv, source: ImageShape, target: ImageShape, types: Types,
        inputs: tuple[str, ...], output: str, threads: int,
    ) -> None:  # fmt: skip
        super().__init__(name, inputs, output, threads)
        self.conv, self.source, self.target, self.types = conv, source, target, types

    def weights(self, target: Target) -> list[AnyArray]:
        """Taps by whole vectors of channels, and the bias."""
        taps = self.conv.weight[:, 0].reshape(self.source.channels, -1).T
        return [pad_channels(target, taps), pad_channels(target, self.conv.bias)]

    @property
    def zero_bytes(self) -> int:
        """Bytes of an input row, and of what the last whole vector reads beyond it."""
        return self.source.row_bytes + 64 * self.source.element.size

    def emit(self, frame: StepContext) -> None:
        """Each thread makes some output rows, one call of the kernel for each."""
        e, conv, source = frame.e, self.conv, self.source
        high, wide = conv.weight.shape[2:]
        row = DepthwiseRow(
            source.width, self.target.width, source.channels, (high, wide), conv.strides[1],
            conv.dilations[1], conv.pads[1], source.channels, source.channels, self.types,
            conv.activation,
        )  # fmt: skip
        kernel = depthwise_kernel(e.module, row)
        pointer, out = frame.tensors[self.inputs[0]], frame.tensors[self.output]
        rows = RowBuffer(pointer, source.row, source.height, source.height)
        weights = frame.weights.of(self.types.weight)
        taps = high * wide * round_up(source.channels, e.lanes) * self.types.weight.size
        bias = e.part(weights, taps, self.types.sums)
        window = window_of(conv, source.height)
        height = self.target.height
        first, last = e.mul(frame.thread, height), e.mul(e.add(frame.thread, 1), height)
        with e.repeat(e.div(first, self.threads), e.div(last, self.threads)) as y:
            read = window_rows(e, window, rows, y, frame.zeros.of(self.types.source))
            e.call(kernel, *read, weights, bias, e.at(out, e.mul(y, self.target.row)))
