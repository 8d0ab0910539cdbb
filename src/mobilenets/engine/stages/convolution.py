"""Dense convolutions of any kernel as a stage: rows padded once, then one matrix product a row."""

from dataclasses import dataclass

import numpy as np

from mobilenets.engine.ir.graph import Conv
from mobilenets.engine.ir.types import FLOAT32
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.integers import widen
from mobilenets.engine.kernels.matrix import (
    AnyArray,
    Product,
    emit_product,
    pack,
    pad_channels,
)
from mobilenets.engine.kernels.memory import copy, fill
from mobilenets.engine.kernels.rows import ImageShape, RowBuffer, Window, window_of, window_rows
from mobilenets.engine.kernels.types import (
    Types,
    ending_of,
    scales_of,
    types_of,
    weights_of,
)
from mobilenets.engine.kernels.values import Index, Pointer, null
from mobilenets.engine.stages.stage import Job
from mobilenets.engine.targets.target import Target


@dataclass(frozen=True, eq=False)
class ConvStage:
    """A convolution, of groups too. `planar`: its input lies plane by plane, as files have it."""

    source: ImageShape
    target: ImageShape
    conv: Conv
    planar: bool = False

    @property
    def types(self) -> Types:
        """What it computes with."""
        return types_of(self.conv, self.target.element)

    @property
    def integers(self) -> bool:
        """Whether it computes with integers."""
        return self.conv.requantize is not None

    @property
    def window(self) -> Window:
        """Rows of inputs that an output row reads."""
        return window_of(self.conv, self.source.height)

    @property
    def prepares(self) -> bool:
        """Whether rows are copied, to get pads at their sides or as int16; else read in place."""
        wide = self.conv.weight.shape[3]
        reach = (self.target.width - 1) * self.conv.strides[1] + (wide - 1) * self.conv.dilations[1]
        return self.planar or self.integers or self.conv.pads[1] > 0 or reach >= self.source.width

    @property
    def _padded(self) -> int:
        """Columns of a prepared row: as many as the outputs read, or more."""
        _, left, _, right = self.conv.pads
        return self.source.width + left + max(right, 0)

    @property
    def _row(self) -> int:
        """Elements of a prepared row, and of what a last pair reads beyond it."""
        return self._padded * self.source.channels + (2 if self.integers else 0)

    def groups(self, target: Target) -> int:
        """Always 1: all channels are done together."""
        return 1

    def ring_bytes(self, target: Target, slots: int, *, shared: bool) -> int:
        """Bytes of a ring of `slots` padded rows; 0 where rows are read in place."""
        return slots * self._row * self.types.source.size if self.prepares else 0

    def work_bytes(self, target: Target, count: int) -> int:
        """Always 0: rows go from the ring straight to the outputs."""
        return 0

    @property
    def zero_bytes(self) -> int:
        """Bytes of a row of zeros, which stands for rows outside the image."""
        return self._row * self.types.source.size

    def pack(self, target: Target) -> list[AnyArray]:
        """Weights in the order in which the segments read inputs; then the bias."""
        parts: list[AnyArray] = []
        for weight in np.split(weights_of(self.conv), self.conv.groups):
            matrix = self._matrix(weight)
            parts.append(pack(target, matrix, group=self.types.group))
        biases = np.split(self.conv.bias, self.conv.groups)
        scales = np.split(scales_of(self.conv), self.conv.groups)
        return parts + [pad_channels(target, x) for x in (*biases, *scales)]

    def _matrix(self, weight: AnyArray) -> AnyArray:
        """A group's weights (O, C, rows, columns) as (depth, O), as the segments read inputs."""
        order = (2, 1, 3, 0) if self.planar else (2, 3, 1, 0)
        _, _, length = self._segments()[0]
        whole = weight.transpose(order).reshape(len(self._segments()), -1, len(weight))
        more = np.zeros((len(whole), length - whole.shape[1], len(weight)), weight.dtype)
        return np.concatenate([whole, more], axis=1).reshape(-1, len(weight))

    def bias_offset(self, target: Target) -> int:
        """Where the bias lies in the weights, in bytes."""
        weights = self._group_bias(target) * self._depth * self.conv.groups
        return weights * self.types.weight.size

    @property
    def _depth(self) -> int:
        return sum(length for _, _, length in self._segments())

    def _group_bias(self, target: Target) -> int:
        """Numbers of a group's bias: whole vectors."""
        channels = self.target.channels // self.conv.groups
        return -(-channels // target.lanes) * target.lanes

    def _segments(self) -> tuple[tuple[int, int, int], ...]:
        """Runs of inputs: of a row of a plane, of a row's pixels, or of one pixel's channels."""
        _, channels, high, wide = self.conv.weight.shape
        apart, step = self.conv.dilations[1], self.source.channels
        if self.planar and apart == 1:
            planes = [(i, c * self._padded, wide) for i in range(high) for c in range(channels)]
            return tuple(planes)
        if self.planar:
            offsets = [c * self._padded + j * apart for c in range(channels) for j in range(wide)]
            return tuple((i, offset, 1) for i in range(high) for offset in offsets)
        whole = self.types.whole
        if apart == 1 and self.conv.groups == 1:
            return tuple((i, 0, whole(wide * channels)) for i in range(high))
        length = whole(channels)
        return tuple((i, j * apart * step, length) for i in range(high) for j in range(wide))

    def emit(self, e: Emitter, job: Job) -> None:
        """Pad the new rows, then make `job.count` rows of outputs."""
        source = job.source
        if self.prepares:
            ring = job.ring.of(self.types.source)
            source = RowBuffer(ring, self._row, job.slots, self.source.height)
            with e.repeat(job.begin, job.end) as row:
                self._copy(e, job.source, row, source.at(e, row))
        step = self.conv.strides[1] * (1 if self.planar else self.source.channels)
        inputs = self.conv.weight.shape[1]
        outputs, padded = (
            self.target.channels // self.conv.groups,
            self._group_bias(e.module.target),
        )
        product = Product(
            self._segments(), step, self.target.channels, self.types,
            activation=self.conv.activation, count=self.target.width, channels=outputs,
            ending=ending_of(self.conv, self.target.element),
        )  # fmt: skip
        with e.repeat(0, job.count) as i:
            row = e.add(job.first, i)
            rows = window_rows(e, self.window, source, row, job.zeros.of(self.types.source))
            out = job.target.at(e, row)
            with e.repeat(0, self.conv.groups) as group:
                weights = e.at(
                    job.weights.of(self.types.weight), e.mul(group, self._depth * padded)
                )
                bias = e.at(job.bias, e.mul(group, padded))
                others = (weights, e.at(out, e.mul(group, outputs)), bias, null(self.types.target))
                own = [e.at(source, e.mul(group, inputs)) for source in rows]
                emit_product(e, product, own, others, scales=self._scales(e, job, group, padded))

    def _scales(self, e: Emitter, job: Job, group: Index, padded: int) -> Pointer | None:
        """Where a group's scales lie, behind all biases."""
        if not self.integers:
            return None
        size = self.conv.groups * padded * self.types.sums.size
        return e.at(e.part(job.bias, size, FLOAT32), e.mul(group, padded))

    def _copy(self, e: Emitter, source: RowBuffer, row: Index, out: Pointer) -> None:
        """One row, or a row of each plane, with zeros at its sides."""
        inner = 1 if self.planar else self.source.channels
        _, left, _, right = self.conv.pads
        width, padded = self.source.width * inner, self._padded * inner
        start = source.at(e, row)
        with e.repeat(0, self.source.channels if self.planar else 1) as plane:
            a = e.at(start, e.mul(plane, self.source.height * self.source.width))
            c = e.at(out, e.mul(plane, padded))
            fill(e, c, left * inner, 0)
            if self.integers:
                widen(e, a, e.at(c, left * inner), width, self.conv.zero_point)
            else:
                copy(e, a, e.at(c, left * inner), width)
            fill(e, e.at(c, left * inner + width), right * inner, 0)
