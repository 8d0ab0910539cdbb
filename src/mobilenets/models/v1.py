"""MobileNetV1 (paper 1: Howard et al. 2017, arXiv 1704.04861)."""

from collections.abc import Sequence

from torch import nn

from mobilenets.models.backbone import Backbone
from mobilenets.models.geometry import (
    BN_EPS,
    Block,
    OutputStride,
    Padding,
    check,
    v1_blocks,
    v1_stem,
)
from mobilenets.models.layers import ConvNormAct, DepthwiseSeparable, Norm, initialise


class MobileNetV1(Backbone):
    """Table 1's body, up to the average pool: (N, 3, H, W) -> (N, channels, H / 32, W / 32).

    `separable=False` is Table 4's network of full convolutions; `shallow` is Table 5's.
    """

    def __init__(
        self,
        *,
        width: float = 1.0,
        output_stride: OutputStride = 32,
        padding: Padding = "same",
        norm_eps: float = BN_EPS,
        norm_momentum: float = 0.0003,
        separable: bool = True,
        shallow: bool = False,
        early_strides: Sequence[int] = (2, 2),
    ) -> None:
        check(
            width=width,
            output_stride=output_stride,
            padding=padding,
            norm_eps=norm_eps,
            norm_momentum=norm_momentum,
            early_strides=early_strides,
            separable=separable,
            shallow=shallow,
        )
        norm = Norm(norm_eps, norm_momentum)
        blocks = v1_blocks(
            width, output_stride=output_stride, shallow=shallow, early_strides=early_strides
        )

        def build(block: Block) -> nn.Module:
            if separable:
                return DepthwiseSeparable(block, padding=padding, norm=norm)
            return ConvNormAct(
                block.c_in,
                block.c_out,
                3,
                stride=block.stride,
                dilation=block.dilation,
                padding=padding,
                norm=norm,
            )

        super().__init__(
            ConvNormAct(3, v1_stem(width), 3, stride=early_strides[0], padding=padding, norm=norm),
            [build(block) for block in blocks],
            nn.Identity(),
            blocks[-1].c_out,
        )
        initialise(self)
