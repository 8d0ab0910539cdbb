"""An inverted residual as a stage, of which chains and groups are built.

It expands input rows once, into a ring of its own, and makes output rows from a window over the
ring. So an expanded tensor exists as a few rows, of all channels or of one group of them.
"""

from dataclasses import dataclass, replace

import numpy as np

from mobilenets.engine.ir.graph import LINEAR, Conv
from mobilenets.engine.kernels.depthwise import DepthwiseRow, depthwise_kernel
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.matrix import (
    AnyArray,
    Product,
    emit_product,
    pack,
    pad_channels,
)
from mobilenets.engine.kernels.rows import ImageShape, RowBuffer, Window, window_of, window_rows
from mobilenets.engine.kernels.types import Types
from mobilenets.engine.kernels.values import Index, Pointer, null
from mobilenets.engine.stages.stage import Job
from mobilenets.engine.targets.target import Target

_RESIDENT = 16 * 1024  # weights


@dataclass(frozen=True, eq=False)
class BlockStage:
    """[1x1 expansion,] depthwise, 1x1 projection[, shortcut], `group` expanded channels at once."""

    source: ImageShape
    target: ImageShape
    expand: Conv | None
    depthwise: Conv
    project: Conv
    shortcut: bool
    group: int
    types: Types

    @property
    def window(self) -> Window:
        """Rows of the expanded tensor that an output row reads."""
        return window_of(self.depthwise, self.source.height)

    @property
    def middle(self) -> int:
        """Channels between expansion and projection."""
        return int(self.depthwise.weight.shape[0])

    @property
    def prepares(self) -> bool:
        """Whether it has a ring of expanded rows; without expansion the input is read in place."""
        return self.expand is not None

    def groups(self, target: Target) -> int:
        """How many groups the expanded channels are cut into."""
        return -(-self.middle // self._width(target))

    def _width(self, target: Target) -> int:
        """Elements between pixels of a group: whole vectors."""
        return -(-self.group // target.lanes) * target.lanes

    def ring_bytes(self, target: Target, slots: int, *, shared: bool) -> int:
        """Bytes of a ring of `slots` expanded rows; `shared`: the groups use one after another."""
        if not self.prepares:
            return 0
        one = slots * self.source.width * self._width(target) * self.types.target.size
        return one if shared else one * self.groups(target)

    def work_bytes(self, target: Target, count: int) -> int:
        """Bytes that hold the depthwise outputs of `count` rows of one group."""
        return count * self.target.width * self._width(target) * self.types.target.size

    @property
    def zero_bytes(self) -> int:
        """Bytes of a row of zeros, which stands for rows outside the image."""
        channels = -(-max(self.middle, self.group) // 64) * 64
        return self.source.width * channels * self.types.source.size

    def pack(self, target: Target) -> list[AnyArray]:
        """Weights: per group expansion, depthwise, projection; then the projection's bias."""
        parts: list[AnyArray] = []
        for first in range(0, self.middle, self.group):
            of = slice(first, first + self.group)
            if self.expand is not None:
                parts += [pack(target, self.expand.weight[of, :, 0, 0].T)]
                parts += [pad_channels(target, self.expand.bias[of])]
            taps = self.depthwise.weight[of, 0].reshape(-1, self._taps).T
            parts += [pad_channels(target, taps).ravel()]
            parts += [pad_channels(target, self.depthwise.bias[of])]
            parts += [pack(target, self.project.weight[:, of, 0, 0].T)]
        bias = pad_channels(target, self.project.bias)
        return [*parts, bias, np.zeros_like(bias)]

    @property
    def _streamed(self) -> bool:
        """Whether the weights are too many to stay in the caches from one image to the next."""
        expansion = 0 if self.expand is None else self.expand.weight.size
        return expansion + self.project.weight.size > _RESIDENT

    @property
    def _taps(self) -> int:
        return int(np.prod(self.depthwise.weight.shape[2:]))

    def _sizes(self, target: Target) -> tuple[int, int, int, int, int]:
        """Bytes of a group's weights: expansion, its bias, taps, their bias, projection."""
        width, types = self._width(target), self.types
        padded = -(-self.target.channels // target.lanes) * target.lanes
        expansion = self.source.channels * width if self.prepares else 0
        biases = width * types.sums.size
        counts = expansion, self._taps * width, min(self.group, self.middle) * padded
        first, taps, last = (count * types.weight.size for count in counts)
        return first, biases if self.prepares else 0, taps, biases, last

    def emit(self, e: Emitter, job: "Job") -> None:
        """Rows of outputs: group by group, the first from the bias, the last with activation."""
        number = self.groups(e.module.target)
        first, last = job.share or (0, number)
        if job.share is None and number == 1:
            return self._group(e, job, 0, self._start, last=True)
        if job.share is not None:
            self._group(e, job, first, "bias", last=False)
            if last - first > 1:
                with e.repeat(first + 1, last) as group:
                    self._group(e, job, group, "outputs", last=False)
            return None
        self._group(e, job, 0, self._start, last=False)
        if number > 2:
            with e.repeat(1, number - 1) as group:
                self._group(e, job, group, "outputs", last=False)
        return self._group(e, job, number - 1, "outputs", last=True)

    @property
    def _start(self) -> str:
        return "shortcut" if self.shortcut else "bias"

    def _group(self, e: Emitter, job: "Job", group: Index, start: str, *, last: bool) -> None:
        target = e.module.target
        sizes, types = self._sizes(target), self.types
        width = self._width(target)
        base = e.item(job.weights.of(types.weight), group, sum(sizes))
        taps = e.part(base, sizes[0] + sizes[1], types.weight)
        if self.expand is None:
            source = replace(job.source, pointer=e.at(job.source.pointer, e.mul(group, self.group)))
            a_step = self.source.channels
        else:
            step = self.source.width * width
            ring = job.ring.of(types.target)
            ring = e.at(ring, 0 if job.shared else e.mul(group, job.slots * step))
            source = RowBuffer(ring, step, job.slots, self.source.height)
            self._expand(e, job, (base, e.part(base, sizes[0], types.sums)), source)
            a_step = width
        bias = e.part(taps, sizes[2], types.sums)
        self._depthwise(e, job, source, (taps, bias), a_step)
        weights = e.part(taps, sizes[2] + sizes[3], types.weight)
        self._project(e, job, weights, start, last=last)

    def _expand(
        self, e: Emitter, job: "Job", weights: tuple[Pointer, Pointer], ring: RowBuffer
    ) -> None:
        assert self.expand is not None
        channels, width = self.source.channels, self._width(e.module.target)
        product = Product(
            ((0, 0, channels),), channels, width, self.types, activation=self.expand.activation,
            count=self.source.width, channels=min(self.group, self.middle),
            streamed=self._streamed,
        )  # fmt: skip
        if job.flat:
            product = replace(product, count=self.source.width * self.source.height)
            others = (weights[0], ring.pointer, weights[1], null(self.types.target))
            return emit_product(e, product, [job.source.pointer], others)
        with e.repeat(job.begin, job.end) as row:
            others = (weights[0], ring.at(e, row), weights[1], null(self.types.target))
            emit_product(e, product, [job.source.at(e, row)], others)
        return None

    def _depthwise(
        self, e: Emitter, job: "Job", source: RowBuffer, weights: tuple[Pointer, Pointer],
        a_step: int,
    ) -> None:  # fmt: skip
        conv, width = self.depthwise, self._width(e.module.target)
        row = DepthwiseRow(
            self.source.width, self.target.width, min(self.group, self.middle),
            (conv.weight.shape[2], conv.weight.shape[3]), conv.strides[1], conv.dilations[1],
            conv.pads[1], a_step, width, self.types, conv.activation,
        )  # fmt: skip
        kernel = depthwise_kernel(e.module, row)
        with e.repeat(0, job.count) as i:
            zeros = job.zeros.of(self.types.source)
            rows = window_rows(e, self.window, source, e.add(job.first, i), zeros)
            out = e.at(job.work.of(self.types.target), e.mul(i, self.target.width * width))
            e.call(kernel, *rows, *weights, out)

    def _project(self, e: Emitter, job: "Job", weights: Pointer, start: str, *, last: bool) -> None:
        out, width = self.target, self._width(e.module.target)
        product = Product(
            ((0, 0, min(self.group, self.middle)),), width, out.channels, self.types, start,
            self.project.activation if last else LINEAR,
            count=out.width, channels=out.channels, streamed=self._streamed,
        )  # fmt: skip
        source = job.source if self.shortcut else job.target
        work = job.work.of(self.types.source)
        if not job.target.ring and not source.ring:
            product = replace(product, count=job.count * out.width)
            others = (weights, job.target.at(e, job.first), job.bias, source.at(e, job.first))
            return emit_product(e, product, [work], others)
        with e.repeat(0, job.count) as i:
            row = e.add(job.first, i)
            others = (weights, job.target.at(e, row), job.bias, source.at(e, row))
            emit_product(e, product, [e.at(work, e.mul(i, out.width * width))], others)
        return None

    def bias_offset(self, target: Target) -> int:
        """Where the projection's bias lies in the weights, in bytes; zeros follow it."""
        return sum(self._sizes(target)) * self.groups(target)
