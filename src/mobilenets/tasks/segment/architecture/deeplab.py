"""DeepLabv3 and Mobile DeepLabv3 on a MobileNet (paper 2, section 6.3; arXiv 1706.05587)."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.models.modules.backbone import Backbone
from mobilenets.models.modules.bodies import module_of
from mobilenets.models.modules.carded import Carded, remembering
from mobilenets.models.modules.layers import ConvNormAct, Norm, initialise
from mobilenets.models.network import Network
from mobilenets.tasks.segment.architecture import ON_V1, ON_V2
from mobilenets.tasks.segment.architecture.geometry import (
    HEAD_CHANNELS,
    HEAD_NORM_EPS,
    HEAD_NORM_MOMENTUM,
    SCALES,
    atrous_rates,
    scaled_side,
)


class DeepLab(Carded):
    """(N, 3, H, W) images -> (N, classes, H, W) logits of every pixel, of any size.

    The head reads the backbone's last feature map, of V2 that of 320 channels (the last
    convolution is not there): a branch that is the whole map's mean, a 1x1 branch, and with ASPP
    three 3x3 branches that are dilated; side by side they become 256 channels, then logits, and
    those are brought to the image's size bilinearly, corners on corners. `card` says what the
    weights are and how to feed them; None for a network just built.
    """

    def __init__(
        self, backbone: Backbone, classes: int, rates: Sequence[int], dropout: float
    ) -> None:
        super().__init__()
        channels = backbone.channels
        self.backbone = backbone
        self.pool = _unit(channels)
        self.branches = nn.ModuleList([_unit(channels), *(_unit(channels, r) for r in rates)])
        self.project = _unit(HEAD_CHANNELS * (1 + len(self.branches)))
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Conv2d(HEAD_CHANNELS, classes, 1)

    def coarse(self, x: Tensor) -> Tensor:
        """(N, classes, h, w): the logits of the feature map's places."""
        out: Tensor = self.classifier(self.dropout(self.hidden(self.backbone(x))))
        return out

    def hidden(self, features: Tensor) -> Tensor:
        """(N, 256, h, w): what the classifier reads, of the backbone's map."""
        # Of an adaptive pool of one image torch's exporter makes strides that no runtime knows.
        mean = self.pool(features.mean((2, 3), keepdim=True)).expand(-1, -1, *features.shape[2:])
        joined = torch.cat([mean, *(branch(features) for branch in self.branches)], 1)
        out: Tensor = self.project(joined)
        return out

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return resize(self.coarse(x), x.shape[2], x.shape[3])


class Labelled(nn.Module):
    """A network with the choice of the best class behind it: (N, 3, H, W) -> (N, H, W) int64."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.network(x)
        return out.argmax(1)


class MultiScale(nn.Module):
    """The mean of a network's probabilities over sizes and flips: (N, classes, H, W).

    The paper's MF: scales 0.5 to 1.75 in steps of 0.25, each also mirrored. The input is scaled
    with corners on corners (513 becomes 257 to 897), and the logits are brought back to (H, W)
    before their softmax.
    """

    def __init__(
        self, network: nn.Module, *, scales: Sequence[float] = SCALES, flip: bool = True
    ) -> None:
        if not scales or not all(0 < scale <= 4 for scale in scales):
            raise ValueError(f"scales must be numbers above 0 and at most 4, got {scales!r}")
        super().__init__()
        self.network, self.scales, self.flip = network, tuple(scales), flip

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        height, width = x.shape[2:]
        total: Tensor | None = None
        for scale in self.scales:
            seen = resize(x, scaled_side(height, scale), scaled_side(width, scale))
            for mirrored in (False, True) if self.flip else (False,):
                logits = self.network(seen.flip(3) if mirrored else seen)
                logits = logits.flip(3) if mirrored else logits
                share = resize(logits, height, width).softmax(1)
                total = share if total is None else total + share
        assert total is not None
        return total / (len(self.scales) * (2 if self.flip else 1))


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, the corners' centres on each other, as TensorFlow's `align_corners`."""
    if x.shape[2:] == (height, width):
        return x
    return F.interpolate(x, (height, width), mode="bilinear", align_corners=True)


def deeplabv3_mobilenet_v1(**knobs: Any) -> DeepLab:
    """DeepLabv3 on MobileNetV1.

    Knobs, all keyword arguments: `classes` (21, the background among them, where the data has
    one), `aspp` (False; True for the full head, whose atrous rates are 6, 12 and 18 at output
    stride 16, twice that at 8, half at 32), `output_stride` (16), `dropout` (0.1); of the body
    `width`, `padding`, `norm_eps`, `norm_momentum`, `activation`, `negative_slope`. Raises
    ValueError for a knob that there is not, or out of range.
    """
    return _segmenter(ON_V1, knobs)


def deeplabv3_mobilenet_v2(**knobs: Any) -> DeepLab:
    """Mobile DeepLabv3 (paper 2, Table 7); the knobs are those of `deeplabv3_mobilenet_v1`.

    `classes`, `aspp`, `output_stride`, `dropout`, `width`, `padding`, `norm_eps`,
    `norm_momentum`, `activation`, `negative_slope`, and `divisor`: channels are
    multiples of it, 8, but 1 in the released networks of width 0.5.
    """
    return _segmenter(ON_V2, knobs)


def _segmenter(network: Network, knobs: Mapping[str, Any]) -> DeepLab:
    """DeepLabv3 on a MobileNet.

    The head starts as the backbone does; the authors' own starts from Xavier's uniform and a
    classifier of 0.01, from which AdamW learned more slowly here.
    """
    body, own = network.settle(knobs)
    trunk = module_of(body)
    trunk.last = nn.Identity()  # V2's: the head reads the last block
    trunk.channels = body.blocks[-1].c_out
    rates = atrous_rates(body.output_stride) if own["aspp"] else ()
    made = DeepLab(trunk, own["classes"], rates, own["dropout"])
    for part in (made.pool, made.branches, made.project, made.classifier):
        initialise(part)
    return remembering(made, network, knobs)


def _unit(c_in: int, rate: int = 0) -> ConvNormAct:
    """Convolution, norm and ReLU to 256 channels: 1x1, or 3x3 dilated by `rate`."""
    norm = Norm(HEAD_NORM_EPS, HEAD_NORM_MOMENTUM)
    kernel = 3 if rate else 1
    unit = ConvNormAct(c_in, HEAD_CHANNELS, kernel, dilation=rate or 1, norm=norm)
    unit.act = nn.ReLU()
    return unit
