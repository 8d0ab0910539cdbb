"""MobileNetV2 (paper 2: Sandler et al. 2018, arXiv 1801.04381)."""

from collections.abc import Sequence

from mobilenets.models.backbone import Backbone
from mobilenets.models.geometry import (
    BN_EPS,
    OutputStride,
    Padding,
    Shortcut,
    check,
    v2_blocks,
    v2_last,
    v2_stem,
)
from mobilenets.models.layers import ConvNormAct, InvertedResidual, Norm, initialise


class MobileNetV2(Backbone):
    """Table 2's body, up to the average pool: (N, 3, H, W) -> (N, channels, H / 32, W / 32).

    The ablations of Figure 6: `linear_bottleneck=False` puts ReLU6 after the projection;
    `shortcut` joins bottlenecks, expansions or nothing. Joining expansions, a block that would
    have had a shortcut hands its expanded tensor on, and the next block adds it to its own.
    Channels are multiples of `divisor`.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        output_stride: OutputStride = 32,
        padding: Padding = "same",
        norm_eps: float = BN_EPS,
        norm_momentum: float = 0.003,
        finegrained: bool = True,
        expansion: int = 6,
        linear_bottleneck: bool = True,
        shortcut: Shortcut = "bottleneck",
        early_strides: Sequence[int] = (2, 2),
        divisor: int = 8,
    ) -> None:
        check(
            width=width,
            output_stride=output_stride,
            padding=padding,
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
            expansion=expansion,
            shortcut=shortcut,
            early_strides=early_strides,
            divisor=divisor,
            finegrained=finegrained,
            linear_bottleneck=linear_bottleneck,
        )
        norm = Norm(norm_eps, norm_momentum)
        blocks = v2_blocks(
            width,
            output_stride=output_stride,
            expansion=expansion,
            early_strides=early_strides,
            divisor=divisor,
        )
        stem = v2_stem(width, divisor=divisor)
        last = v2_last(width, finegrained=finegrained, divisor=divisor)
        super().__init__(
            ConvNormAct(3, stem, 3, stride=early_strides[0], padding=padding, norm=norm),
            [
                InvertedResidual(
                    block, padding=padding, norm=norm, linear=linear_bottleneck, shortcut=shortcut
                )
                for block in blocks
            ],
            ConvNormAct(blocks[-1].c_out, last, norm=norm),
            last,
        )
        initialise(self)
