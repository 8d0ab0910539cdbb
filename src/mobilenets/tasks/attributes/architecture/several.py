"""A backbone, an average pool, dropout and a fully connected layer: each output by itself."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mobilenets.models.modules.pooled import PooledNet, pooled_network
from mobilenets.tasks.attributes.architecture import ON_V1, ON_V2


class Attributes(PooledNet):
    """(N, 3, H, W) images -> (N, attributes) logits, for any H and W from 32 pixels.

    `card` says what the weights are and how to feed them; None for a network just built.
    """


class Scored(nn.Module):
    """A network with scores behind it, 0 to 1: (N, 3, H, W) -> (N, attributes).

    A sigmoid of each logit; of the outputs in each of `groups`, which exclude each other, a
    softmax.
    """

    def __init__(self, network: nn.Module, groups: Sequence[Sequence[int]] = ()) -> None:
        super().__init__()
        self.network = network
        self.groups = [list(group) for group in groups]

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        logits: Tensor = self.network(x)
        if not self.groups:
            return logits.sigmoid()
        grouped = [i for group in self.groups for i in group]
        alone = [i for i in range(logits.shape[1]) if i not in grouped]
        parts = [logits[:, group].softmax(1) for group in self.groups]
        if alone:
            parts.append(logits[:, alone].sigmoid())
        order = [*grouped, *alone]
        back = [order.index(i) for i in range(len(order))]
        return torch.cat(parts, 1)[:, back]


def attributes_mobilenet_v1(**knobs: Any) -> Attributes:
    """MobileNetV1 for attributes, several of an image (paper 1, section 4.5).

    Knobs, all keyword arguments: `classes` (40, the attributes), `dropout` (0.001); of the body
    `width` (1.0), `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"),
    `norm_eps`, `norm_momentum`, `separable`, `shallow`, `early_strides` (of the stem and of the
    second block), `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a
    leaky ReLU). Raises ValueError for a knob that there is not, or out of range.
    """
    return pooled_network(Attributes, ON_V1, knobs)


def attributes_mobilenet_v2(**knobs: Any) -> Attributes:
    """MobileNetV2 for attributes, several of an image.

    Knobs, all keyword arguments: `classes` (40, the attributes), `dropout` (0.2); of the body
    `width` (1.0), `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"),
    `norm_eps`, `norm_momentum`, `finegrained` (whether the last layer keeps 1280 channels below
    width 1), `expansion` (6), `linear_bottleneck`, `shortcut` ("bottleneck", "expansion" or
    "none"), `early_strides` (of the stem and of the second stage), `divisor` (8, of channels),
    `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a leaky ReLU).
    Raises ValueError for a knob that there is not, or out of range.
    """
    return pooled_network(Attributes, ON_V2, knobs)
