"""An inverted residual as a stage, of which chains and groups are built.

It expands input rows once, into a ring of its own, and makes output rows from a window over the
ring. So an expanded tensor exists as a few rows, of all channels or of one group of them.
"""

from dataclasses import dataclass, replace

import numpy as np

from mobilenets.engine.ir.graph import LINEAR, Conv
from mobilenets.engine.ir.types import FLOAT32, INT16, ElementType
from mobilenets.engine.kernels.depthwise import DepthwiseRow, depthwise_kernel, pack_taps
from mobilenets.engine.kernels.emit import Emitter
from mobilenets.engine.kernels.integers import widen
from mobilenets.engine.kernels.matrix import (
    AnyArray,
    Product,
    emit_product,
    pack,
    pad_channels,
)
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

    @property
    def types(self) -> Types:
        """What its last layer computes with."""
        return types_of(self.project, self.target.element)

    @property
    def integers(self) -> bool:
        """Whether it computes with integers: then all channels are one group."""
        return self.project.requantize is not None

    @property
    def inner(self) -> ElementType:
        """What is in its ring, and between its last two layers."""
        return INT16 if self.integers else FLOAT32

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
        """Whether it has a ring of expanded rows; without expansion the input is read in place.

        Of integers that are not expanded, the ring has the input's rows as int16.
        """
        return self.expand is not None or self.integers

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
        one = slots * self.source.width * self._width(target) * self.inner.size
        rings = one if shared else one * self.groups(target)
        return rings + self._narrow_bytes

    @property
    def _narrow_bytes(self) -> int:
        """Bytes of a row of integers as int16, and of what a last pair reads beyond it."""
        return (self.source.row + 2) * INT16.size if self.integers and self.expand else 0

    def work_bytes(self, target: Target, count: int) -> int:
        """Bytes that hold the depthwise outputs of `count` rows of one group."""
        return count * self.target.width * self._width(target) * self.inner.size

    @property
    def zero_bytes(self) -> int:
        """Bytes of a row of zeros, which stands for rows outside the image."""
        channels = -(-max(self.middle, self.group) // 64) * 64
        return self.source.width * channels * self.inner.size

    def pack(self, target: Target) -> list[AnyArray]:
        """Weights: per group expansion, depthwise, projection; then the projection's bias."""
        parts: list[AnyArray] = []
        for first in range(0, self.middle, self.group):
            of = slice(first, first + self.group)
            for layer in (self.expand, self.depthwise):
                if layer is None:
                    continue
                parts.append(self._packed(target, layer, of))
                parts += [pad_channels(target, x[of]) for x in (layer.bias, scales_of(layer))]
            parts.append(self._packed(target, self.project, of))
        bias = pad_channels(target, self.project.bias)
        scales = pad_channels(target, scales_of(self.project))
        return [*parts, bias, np.zeros_like(bias), scales]

    def _packed(self, target: Target, layer: Conv, of: slice) -> AnyArray:
        """The weights of a group's channels."""
        weight, group = weights_of(layer), self.types.group
        if layer is self.depthwise:
            return pack_taps(target, weight[of, 0], group)
        matrix = weight[:, of, 0, 0].T if layer is self.project else weight[of, :, 0, 0].T
        return pack(target, np.pad(matrix, ((0, -len(matrix) % group), (0, 0))), group=group)

    @property
    def _streamed(self) -> bool:
        """Whether the weights are too many to stay in the caches from one image to the next."""
        expansion = 0 if self.expand is None else self.expand.weight.size
        return expansion + self.project.weight.size > _RESIDENT

    @property
    def _taps(self) -> int:
        """Weights of a channel, those that fill up a last row among them."""
        high, wide = self.depthwise.weight.shape[2:]
        return int(self.types.whole(high) * wide)

    def _sizes(self, target: Target) -> tuple[int, ...]:
        """Bytes of a group's weights: expansion, taps, projection, each but the last with what
        belongs to its channels: (weights, biases, scales) twice, and weights.
        """
        width, types = self._width(target), self.types
        padded = -(-self.target.channels // target.lanes) * target.lanes
        expansion = types.whole(self.source.channels) * width
        taps, last = self._taps * width, types.whole(min(self.group, self.middle)) * padded
        biases, scales = width * types.sums.size, width * FLOAT32.size * self.integers
        first = (expansion * types.weight.size, biases, scales) if self.expand else (0, 0, 0)
        return *first, taps * types.weight.size, biases, scales, last * types.weight.size

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
        taps = e.part(base, sum(sizes[:3]), types.weight)
        if not self.prepares:
            source = replace(job.source, pointer=e.at(job.source.pointer, e.mul(group, self.group)))
            a_step = self.source.channels
        else:
            step = self.source.width * width
            ring = job.ring.of(self.inner)
            ring = e.at(ring, 0 if job.shared else e.mul(group, job.slots * step))
            source = RowBuffer(ring, step, job.slots, self.source.height)
            if self.expand is None:
                self._widened(e, job, source)
            else:
                bias = e.part(base, sizes[0], types.sums)
                scales = self._scales(e, base, sum(sizes[:2]))
                self._expand(e, job, (base, bias, *scales), source)
            a_step = width
        bias = e.part(taps, sizes[3], types.sums)
        scales = self._scales(e, taps, sum(sizes[3:5]))
        self._depthwise(e, job, source, (taps, bias, *scales), a_step)
        weights = e.part(taps, sum(sizes[3:6]), types.weight)
        self._project(e, job, weights, start, last=last)

    def _scales(self, e: Emitter, place: Pointer, offset: int) -> list[Pointer]:
        """Where the scales of a layer lie, if it has any."""
        return [e.part(place, offset, FLOAT32)] if self.integers else []

    def _widened(self, e: Emitter, job: "Job", ring: RowBuffer) -> None:
        """The input's rows as int16, their pixels as far apart as expanded ones."""
        channels, width = self.source.channels, self._width(e.module.target)
        with e.repeat(job.begin, job.end) as row:
            source, out = job.source.at(e, row), ring.at(e, row)
            with e.repeat(0, self.source.width) as x:
                a, c = e.at(source, e.mul(x, channels)), e.at(out, e.mul(x, width))
                widen(e, a, c, channels, self.depthwise.zero_point)

    def _expand(
        self, e: Emitter, job: "Job", weights: tuple[Pointer, ...], ring: RowBuffer
    ) -> None:
        assert self.expand is not None
        channels, width = self.source.channels, self._width(e.module.target)
        types = types_of(self.expand, self.inner)
        product = Product(
            ((0, 0, types.whole(channels)),), channels, width, types,
            activation=self.expand.activation, ending=ending_of(self.expand, self.inner),
            count=self.source.width, channels=min(self.group, self.middle),
            streamed=self._streamed,
        )  # fmt: skip
        packed, bias, *scales = weights
        nothing = null(self.inner)
        if self.integers:
            size = job.slots * self.source.width * width * self.inner.size
            narrow = e.part(job.ring, size, INT16)
            with e.repeat(job.begin, job.end) as row:
                read = job.source.at(e, row)
                widen(e, read, narrow, self.source.row, self.expand.zero_point)
                others = (packed, ring.at(e, row), bias, nothing)
                emit_product(e, product, [narrow], others, scales=scales[0])
            return None
        if job.flat:
            product = replace(product, count=self.source.width * self.source.height)
            others = (packed, ring.pointer, bias, nothing)
            return emit_product(e, product, [job.source.pointer], others)
        with e.repeat(job.begin, job.end) as row:
            others = (packed, ring.at(e, row), bias, nothing)
            emit_product(e, product, [job.source.at(e, row)], others)
        return None

    def _depthwise(
        self, e: Emitter, job: "Job", source: RowBuffer, weights: tuple[Pointer, ...],
        a_step: int,
    ) -> None:  # fmt: skip
        conv, width = self.depthwise, self._width(e.module.target)
        channels = width if self.integers else min(self.group, self.middle)
        row = DepthwiseRow(
            self.source.width, self.target.width, channels,
            (conv.weight.shape[2], conv.weight.shape[3]), conv.strides[1], conv.dilations[1],
            conv.pads[1], a_step, width, types_of(conv, self.inner), conv.activation,
            ending_of(conv, self.inner),
        )  # fmt: skip
        kernel = depthwise_kernel(e.module, row)
        taps, bias, *scales = weights
        with e.repeat(0, job.count) as i:
            zeros = job.zeros.of(self.inner)
            rows = window_rows(e, self.window, source, e.add(job.first, i), zeros)
            out = e.at(job.work.of(self.inner), e.mul(i, self.target.width * width))
            e.call(kernel, *rows, taps, bias, out, *scales)

    def _project(self, e: Emitter, job: "Job", weights: Pointer, start: str, *, last: bool) -> None:
        out, width = self.target, self._width(e.module.target)
        types = self.types
        product = Product(
            ((0, 0, types.whole(min(self.group, self.middle))),), width, out.channels, types,
            start, self.project.activation if last else LINEAR,
            ending=ending_of(self.project, self.target.element),
            count=out.width, channels=out.channels, streamed=self._streamed,
        )  # fmt: skip
        source = job.source if self.shortcut else job.target
        work = job.work.of(self.inner)
        padded = -(-out.channels // e.lanes) * e.lanes
        found = self._scales(e, job.bias, 2 * padded * types.sums.size)
        scales = found[0] if found else None
        if not job.target.ring and not source.ring:
            product = replace(product, count=job.count * out.width)
            others = (weights, job.target.at(e, job.first), job.bias, source.at(e, job.first))
            return emit_product(e, product, [work], others, scales=scales)
        with e.repeat(0, job.count) as i:
            row = e.add(job.first, i)
            others = (weights, job.target.at(e, row), job.bias, source.at(e, row))
            of = [e.at(work, e.mul(i, out.width * width))]
            emit_product(e, product, of, others, scales=scales)
        return None

    def bias_offset(self, target: Target) -> int:
        """Where the projection's bias lies in the weights, in bytes; zeros follow it."""
        return sum(self._sizes(target)) * self.groups(target)
