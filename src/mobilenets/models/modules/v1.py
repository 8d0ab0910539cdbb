"""MobileNetV1 (paper 1: Howard et al. 2017, arXiv 1704.04861)."""

from typing import Any

from torch import nn

from mobilenets.models.bodies import V1
from mobilenets.models.geometry import Block
from mobilenets.models.modules.backbone import Backbone, of_every_layer
from mobilenets.models.modules.layers import ConvNormAct, DepthwiseSeparable, initialise


class MobileNetV1(Backbone):
    """Table 1's body, up to the average pool: (N, 3, H, W) -> (N, channels, H / 32, W / 32).

    The knobs are the fields of `models.bodies.V1`.
    """

    name = V1.name

    def __init__(self, **knobs: Any) -> None:
        body = V1(**knobs)
        common = of_every_layer(body)

        def build(block: Block) -> nn.Module:
            if body.separable:
                return DepthwiseSeparable(block, **common)
            return ConvNormAct(
                block.c_in,
                block.c_out,
                3,
                stride=block.stride,
                dilation=block.dilation,
                **common,
            )

        stride = body.early_strides[0]
        super().__init__(
            ConvNormAct(3, body.stem, 3, stride=stride, **common),
            [build(block) for block in body.blocks],
            nn.Identity(),
            body.blocks[-1].c_out,
        )
        initialise(self)
