"""MobileNetV2 (paper 2: Sandler et al. 2018, arXiv 1801.04381)."""

from typing import Any

from mobilenets.models.bodies import V2
from mobilenets.models.modules.backbone import Backbone, of_every_layer
from mobilenets.models.modules.layers import ConvNormAct, InvertedResidual, initialise


class MobileNetV2(Backbone):
    """Table 2's body, up to the average pool: (N, 3, H, W) -> (N, channels, H / 32, W / 32).

    The knobs are the fields of `models.bodies.V2`. Where shortcuts join expansions, a block that
    would have had a shortcut hands its expanded tensor on, and the next adds it to its own.
    """

    name = V2.name

    def __init__(self, **knobs: Any) -> None:
        body = V2(**knobs)
        common = of_every_layer(body)
        stride = body.early_strides[0]
        super().__init__(
            ConvNormAct(3, body.stem, 3, stride=stride, **common),
            [
                InvertedResidual(
                    block,
                    **common,
                    linear=body.linear_bottleneck,
                    shortcut=body.shortcut,
                )
                for block in body.blocks
            ],
            ConvNormAct(body.blocks[-1].c_out, body.last, **common),
            body.last,
        )
        initialise(self)
