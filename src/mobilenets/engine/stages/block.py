"""An inverted residual as a stage, of which chains and groups are built.

It expands input rows once, into a ring of its own, and makes output rows from a window over the
ring. So an expanded tensor exists as a few rows, of all channels or of one group of them.
"""

from dataclasses import dataclass, replace

import numpy as np

from mobilenets.engine.ir.graph import LINEAR, Array, Conv
from mobilenets.engine.kernels.depthwise import DepthwiseRow, depthwise_kernel
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.matrix import Product, emit_product, pack, pad_channels
from mobilenets.engine.kernels.rows import ImageShape, RowBuffer, Window, window_of, window_rows
from mobilenets.engine.kernels.values import NULL, Index, Value
from mobilenets.engine.stages.stage import Job
from mobilenets.engine.targets.target import Target

_RESIDENT = 16 * 1024  # floats


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
        """Floats between pixels of a group: whole vectors."""
        return -(-self.group // target.lanes) * target.lanes

    def ring_floats(self, target: Target, slots: int, *, shared: bool) -> int:
        """Floats of a ring of `slots` expanded rows; `shared`: the groups use one after another."""
        if not self.prepares:
            return 0
        one = slots * self.source.width * self._width(target)
        return one if shared else one * self.groups(target)

    def work_floats(self, target: Target, count: int) -> int:
        """Floats that hold the depthwise outputs of `count` rows of one group."""
        return count * self.target.width * self._width(target)

    @property
    def zero_floats(self) -> int:
        """Floats of a row of zeros, which stands for rows outside the image."""
        return self.source.width * (-(-max(self.middle, self.group) // 64) * 64)

    def pack(self, target: Target) -> list[Array]:
        """Weights: per group expansion, depthwise, projection; then the projection's bias."""
        parts: list[Array] = []
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

    def _sizes(self, target: Target) -> tuple[int, int, int, int]:
        """Floats of the parts of a group's weights: expansion, its bias, taps, projection."""
        width = self._width(target)
        padded = -(-self.target.channels // target.lanes) * target.lanes
        expansion = self.source.channels * width if self.prepares else 0
        real = min(self.group, self.middle)
        return expansion, width if self.prepares else 0, self._taps * width, real * padded

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
        sizes = self._sizes(target)
        width = self._width(target)
        base = e.at(job.weights, e.mul(group, sum(sizes) + width))
        taps = e.at(base, sizes[0] + sizes[1])
        if self.expand is None:
            source = replace(job.source, pointer=e.at(job.source.pointer, e.mul(group, self.group)))
            a_step = self.source.channels
        else:
            step = self.source.width * width
            ring = e.at(job.ring, 0 if job.shared else e.mul(group, job.slots * step))
            source = RowBuffer(ring, step, job.slots, self.source.height)
            self._expand(e, job, (base, e.at(base, sizes[0])), source)
            a_step = width
        self._depthwise(e, job, source, (taps, e.at(taps, sizes[2])), a_step)
        self._project(e, job, e.at(taps, sizes[2] + width), start, last=last)

    def _expand(
        self, e: Emitter, job: "Job", weights: tuple[Value, Value], ring: RowBuffer
    ) -> None:
        assert self.expand is not None
        channels, width = self.source.channels, self._width(e.module.target)
        product = Product(
            ((0, 0, channels),), channels, width, activation=self.expand.activation,
            count=self.source.width, channels=min(self.group, self.middle),
            streamed=self._streamed,
        )  # fmt: skip
        if job.flat:
            product = replace(product, count=self.source.width * self.source.height)
            others = (weights[0], ring.pointer, weights[1], NULL)
            return emit_product(e, product, [job.source.pointer], others)
        with e.repeat(job.begin, job.end) as row:
            others = (weights[0], ring.at(e, row), weights[1], NULL)
            emit_product(e, product, [job.source.at(e, row)], others)
        return None

    def _depthwise(
        self, e: Emitter, job: "Job", source: RowBuffer, weights: tuple[Value, Value], a_step: int
    ) -> None:
        conv, width = self.depthwise, self._width(e.module.target)
        row = DepthwiseRow(
            self.source.width, self.target.width, min(self.group, self.middle),
            (conv.weight.shape[2], conv.weight.shape[3]), conv.strides[1], conv.dilations[1],
            conv.pads[1], a_step, width, conv.activation,
        )  # fmt: skip
        kernel = depthwise_kernel(e.module, row)
        with e.repeat(0, job.count) as i:
            rows = window_rows(e, self.window, source, e.add(job.first, i), job.zeros)
            out = e.at(job.work, e.mul(i, self.target.width * width))
            e.call(kernel, *rows, *weights, out)

    def _project(self, e: Emitter, job: "Job", weights: Value, start: str, *, last: bool) -> None:
        out, width = self.target, self._width(e.module.target)
        product = Product(
            ((0, 0, min(self.group, self.middle)),), width, out.channels, start,
            self.project.activation if last else LINEAR,
            count=out.width, channels=out.channels, streamed=self._streamed,
        )  # fmt: skip
        source = job.source if self.shortcut else job.target
        if not job.target.ring and not source.ring:
            product = replace(product, count=job.count * out.width)
            others = (weights, job.target.at(e, job.first), job.bias, source.at(e, job.first))
            return emit_product(e, product, [job.work], others)
        with e.repeat(0, job.count) as i:
            row = e.add(job.first, i)
            others = (weights, job.target.at(e, row), job.bias, source.at(e, row))
            emit_product(e, product, [e.at(job.work, e.mul(i, out.width * width))], others)
        return None

    def bias_offset(self, target: Target) -> int:
        """Where the projection's bias lies in the weights, in floats; zeros follow it."""
        return (sum(self._sizes(target)) + self._width(target)) * self.groups(target)
