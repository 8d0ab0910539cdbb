"""SSD300 and SSD512 on VGG-16 (Liu et al. 2016, arXiv 1512.02325): what the papers compare with.

As trained on COCO. They are here to be measured, cost and speed; no weights are read for them.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.models.modules.carded import remembering
from mobilenets.models.network import Network
from mobilenets.tasks.detect.architecture import VGG_300, VGG_512
from mobilenets.tasks.detect.architecture.geometry import (
    VGG,
    VGG_FC,
    VGG_NORM,
    VGG_TAPS,
    VggLayer,
    vgg_anchor_shapes,
    vgg_layers,
)
from mobilenets.tasks.detect.architecture.ssd import SSD, Head


class L2Norm(nn.Module):
    """Each pixel's channels divided by their length, times a learnt scale of each channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((channels,), VGG_NORM))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.weight[:, None, None] * F.normalize(x)


class VGG16(nn.Module):
    """VGG-16 up to fc7, its layers by the paper's names: (N, 3, H, W) -> (N, 1024, H/16, W/16)."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        c_in = 3
        for layer in vgg_layers():
            self.layers[layer.name] = _module(layer, c_in)
            c_in = layer.channels or c_in
            if layer.name == VGG_TAPS[0]:
                self.norm = L2Norm(c_in)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return self.taps(x, VGG_TAPS)[VGG_TAPS[1]]

    def taps(self, x: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        """The maps called `names` from one pass: a layer's, or `norm`, that of conv4_3."""
        unknown = set(names) - {*self.layers, "norm"}
        if unknown:
            known = ["norm", *self.layers]
            raise ValueError(f"tap must be one of {known}, got {sorted(unknown)[0]!r}")
        found = {}
        for name, layer in self.layers.items():
            x = layer(x)
            if name in names:
                found[name] = x
            if name == VGG_TAPS[0] and "norm" in names:
                found["norm"] = self.norm(x)
        return found


def ssd300_vgg16(**knobs: Any) -> SSD:
    """SSD300: 8732 anchors at 300 x 300.

    Knobs: `classes` (80, of objects, the background not counted), `scores` ("softmax").
    """
    return _ssd(VGG_300, knobs)


def ssd512_vgg16(**knobs: Any) -> SSD:
    """SSD512: 24564 anchors at 512 x 512; the knobs `classes` and `scores` as SSD300's."""
    return _ssd(VGG_512, knobs)


def _ssd(network: Network, knobs: Mapping[str, Any]) -> SSD:
    _, own = network.settle(knobs)
    name = network.name
    trunk = VGG16()
    channels = [trunk.norm.weight.numel(), VGG_FC]
    extras = []
    for inner, c_out, kernel, stride, padding in VGG[name].extras:
        extras.append(
            nn.Sequential(
                _relu(nn.Conv2d(channels[-1], inner, 1)),
                _relu(nn.Conv2d(inner, c_out, kernel, stride, padding)),
            )
        )
        channels.append(c_out)
    per_place = [len(shapes) for shapes in vgg_anchor_shapes(name)]
    heads = [
        [
            Head(c, shapes, values, lite=False, kernel=3)
            for c, shapes in zip(channels, per_place, strict=True)
        ]
        for values in (4, 1 + own["classes"])
    ]
    made = SSD(trunk, ("norm", VGG_TAPS[1]), extras, (heads[0], heads[1]), own["scores"])
    for part in (made.extras, made.boxes, made.scores):
        for module in part.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
    return remembering(made, network, knobs)


def _relu(conv: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(conv, nn.ReLU(inplace=True))


def _module(layer: VggLayer, c_in: int) -> nn.Module:
    kernel, stride, padding = layer.kernel, layer.stride, layer.padding
    if not layer.channels:
        return nn.MaxPool2d(kernel, stride, padding, ceil_mode=layer.ceil)
    return _relu(nn.Conv2d(c_in, layer.channels, kernel, stride, padding, dilation=layer.dilation))
