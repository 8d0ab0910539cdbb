"""The papers' tables and the arithmetic on them: no torch, no weights, only shapes.

Both the torch modules and the cost model are built from what this file returns, so they cannot
disagree about a channel count or a stride.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Literal, NamedTuple, get_args

OutputStride = Literal[8, 16, 32]
Padding = Literal["same", "symmetric", "keras"]
Shortcut = Literal["bottleneck", "expansion", "none"]
Rectifier = Literal["relu6", "relu", "leaky_relu"]
"""What follows a convolution's norm: the papers' ReLU6, or that of other people's networks."""

NEGATIVE_SLOPE = 0.01
"""Of a leaky ReLU below 0, where nobody says otherwise: torch's."""

BN_EPS = 1e-3
"""Epsilon of every batch normalisation in Google's code; torchvision uses 1e-5."""

SMALLEST_SIDE = 16
"""Pixels, half of what most networks take together in their last map: less is a mistake."""


class Stage(NamedTuple):
    """A row of a paper's table: `n` blocks of `c` channels, the first with stride `s`.

    `t` is the expansion factor of paper 2; 1 means that there is no expansion convolution.
    """

    c: int
    n: int
    s: int
    t: int = 1


class Block(NamedTuple):
    """One block, with every number that its module needs."""

    c_in: int
    c_out: int
    stride: int
    dilation: int
    expansion: int


V1_STEM = 32
V1_TABLE = (
    Stage(64, 1, 1),
    Stage(128, 1, 2),
    Stage(128, 1, 1),
    Stage(256, 1, 2),
    Stage(256, 1, 1),
    Stage(512, 1, 2),
    Stage(512, 5, 1),
    Stage(1024, 1, 2),
    Stage(1024, 1, 1),
)
"""Paper 1, Table 1. The table prints stride 2 for the last row, a typo: 7x7 comes out of it."""

V2_STEM = 32
V2_LAST = 1280
V2_TABLE = (
    Stage(16, 1, 1, t=1),
    Stage(24, 2, 2, t=6),
    Stage(32, 3, 2, t=6),
    Stage(64, 4, 2, t=6),
    Stage(96, 3, 1, t=6),
    Stage(160, 3, 2, t=6),
    Stage(320, 1, 1, t=6),
)
"""Paper 2, Table 2."""


def truncate_channels(channels: float) -> int:
    """Paper 1's width rule: the integer part, at least 8; not rounded to a multiple of 8."""
    return max(int(channels), 8)


def round_channels(channels: float, divisor: int = 8) -> int:
    """Paper 2's width rule: the nearest multiple of `divisor`, never under 90 % of `channels`."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded


def unroll(
    table: Sequence[Stage],
    c_in: int,
    *,
    channels: Callable[[float], int],
    width: float = 1.0,
    stride: int = 2,
    output_stride: OutputStride = 32,
) -> list[Block]:
    """Turn a paper's table into blocks.

    `c_in` and `stride` are the stem's channels and stride. Once the running stride has reached
    `output_stride`, a block's stride becomes 1 and the blocks after it are dilated instead (the
    block itself keeps the rate so far), as the authors' code does for segmentation.
    """
    blocks = []
    rate = 1
    for stage in table:
        for index in range(stage.n):
            s = stage.s if index == 0 else 1
            c_out = channels(stage.c * width)
            if stride >= output_stride:
                blocks.append(Block(c_in, c_out, 1, rate, stage.t))
                rate *= s
            else:
                blocks.append(Block(c_in, c_out, s, rate, stage.t))
                stride *= s
            c_in = c_out
    return blocks


def v1_stem(width: float = 1.0) -> int:
    """Channels of V1's first convolution."""
    return truncate_channels(V1_STEM * width)


def v1_blocks(
    width: float = 1.0,
    *,
    output_stride: OutputStride = 32,
    shallow: bool = False,
    early_strides: Sequence[int] = (2, 2),
) -> list[Block]:
    """V1's blocks; `shallow` leaves out the five of 14x14x512 (paper 1, Table 5)."""
    table = [row for row in V1_TABLE if not (shallow and row.n == 5)]
    table[1] = table[1]._replace(s=early_strides[1])
    return unroll(
        table,
        v1_stem(width),
        channels=truncate_channels,
        width=width,
        stride=early_strides[0],
        output_stride=output_stride,
    )


def v2_stem(width: float = 1.0, *, divisor: int = 8) -> int:
    """Channels of V2's first convolution."""
    return round_channels(V2_STEM * width, divisor)


def v2_last(width: float = 1.0, *, finegrained: bool = True, divisor: int = 8) -> int:
    """Channels of V2's last convolution: 1280 at least, unless `finegrained` is False."""
    return round_channels(V2_LAST * (max(width, 1.0) if finegrained else width), divisor)


def v2_blocks(
    width: float = 1.0,
    *,
    output_stride: OutputStride = 32,
    expansion: int = 6,
    early_strides: Sequence[int] = (2, 2),
    divisor: int = 8,
) -> list[Block]:
    """V2's seventeen blocks; `expansion` replaces the 6 of Table 2.

    Channels are multiples of `divisor`: 8, but 1 in the released segmentation networks of
    width 0.5, whose blocks have 12 channels where others of that width have 16.
    """
    table = [row._replace(t=expansion if row.t > 1 else 1) for row in V2_TABLE]
    table[1] = table[1]._replace(s=early_strides[1])
    return unroll(
        table,
        v2_stem(width, divisor=divisor),
        channels=lambda channels: round_channels(channels, divisor),
        width=width,
        stride=early_strides[0],
        output_stride=output_stride,
    )


def same_padding(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """TensorFlow's SAME: (before, after) so that ceil(size / stride) comes out; after >= before."""
    span = (kernel - 1) * dilation + 1
    total = max((math.ceil(size / stride) - 1) * stride + span - size, 0)
    return total // 2, total - total // 2


def output_size(
    size: int, stride: int, padding: Padding = "same", *, depthwise: bool = False
) -> int:
    """Pixels that come out of a convolution along one side.

    The paddings agree on it, but for `keras`: there a depthwise convolution of stride 2 loses
    the last pixel of an odd side.
    """
    if padding == "keras" and depthwise:
        return size // stride
    return math.ceil(size / stride)


def unknown_name(name: str, known: Iterable[str], what: str = "model") -> str:
    """The message for a name that is none of `known`, with the nearest one that is."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, 1, cutoff=0.5)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"{what} must be one of {', '.join(known)}, got {name!r}{guess}"


def check(
    *,
    width: float = 1.0,
    classes: int = 1000,
    output_stride: int = 32,
    padding: str = "same",
    norm_eps: float = BN_EPS,
    norm_momentum: float = 0.01,
    dropout: float = 0.0,
    expansion: int = 6,
    divisor: int = 8,
    shortcut: str = "bottleneck",
    early_strides: Sequence[int] = (2, 2),
    activation: str = "relu6",
    negative_slope: float = NEGATIVE_SLOPE,
    hidden: int = 0,
    **switches: object,
) -> None:
    """Raise ValueError, naming the argument, what is allowed and what it got.

    `switches` are the arguments that are true or false.
    """
    for name, value in switches.items():
        if not isinstance(value, bool):
            raise ValueError(f"{name} must be true or false, got {value!r}")
    if not (isinstance(width, (int, float)) and 0 < width <= 16):
        raise ValueError(f"width must be a number above 0 and at most 16, got {width!r}")
    for name, number in (("classes", classes), ("expansion", expansion), ("divisor", divisor)):
        if not (isinstance(number, int) and number > 0):
            raise ValueError(f"{name} must be a positive integer, got {number!r}")
    if output_stride not in get_args(OutputStride):
        raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride!r}")
    if padding not in get_args(Padding):
        raise ValueError(f"padding must be 'same', 'symmetric' or 'keras', got {padding!r}")
    if not norm_eps > 0:
        raise ValueError(f"norm_eps must be above 0, got {norm_eps!r}")
    if not 0 < norm_momentum <= 1:
        raise ValueError(f"norm_momentum must be above 0 and at most 1, got {norm_momentum!r}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout must be at least 0 and below 1, got {dropout!r}")
    if shortcut not in get_args(Shortcut):
        raise ValueError(f"shortcut must be 'bottleneck', 'expansion' or 'none', got {shortcut!r}")
    if activation not in get_args(Rectifier):
        known = "'relu6', 'relu' or 'leaky_relu'"
        raise ValueError(f"activation must be {known}, got {activation!r}")
    if not (isinstance(negative_slope, (int, float)) and 0 <= negative_slope <= 1):
        raise ValueError(f"negative_slope must be from 0 to 1, got {negative_slope!r}")
    if not (type(hidden) is int and hidden >= 0):
        raise ValueError(f"hidden must be 0 or a positive integer, got {hidden!r}")
    if len(early_strides) != 2 or not set(early_strides) <= {1, 2}:
        raise ValueError(f"early_strides must be two of 1 or 2, got {early_strides!r}")
