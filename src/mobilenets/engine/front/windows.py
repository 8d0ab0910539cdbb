"""Where the windows of a convolution or a pool lie, whatever kind of file says it."""

import math
from collections.abc import Sequence

from mobilenets.engine.ir.graph import Pads
from mobilenets.errors import WeightsError


def same_pads(
    sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int], *, upper: bool = True
) -> Pads:
    """Pads for as many windows as there are strides in height and width; the odd one comes last.

    `upper` False: the odd one comes first.
    """
    before, after = [], []
    for size, extent, stride in zip(sizes, extents, strides, strict=True):
        total = max((math.ceil(size / stride) - 1) * stride + extent - size, 0)
        less, more = total // 2, total - total // 2
        before.append(less if upper else more)
        after.append(more if upper else less)
    return before[0], before[1], after[0], after[1]


def count_windows(
    sizes: Sequence[int], extents: Sequence[int], strides: Sequence[int], pads: Pads
) -> tuple[int, int]:
    """How many windows fit along height and width; WeightsError where none does."""
    counts = []
    for axis in (0, 1):
        room = sizes[axis] + pads[axis] + pads[axis + 2] - extents[axis]
        if room < 0:
            raise WeightsError(f"its kernel is larger than its padded input {tuple(sizes)}")
        counts.append(room // strides[axis] + 1)
    return counts[0], counts[1]
