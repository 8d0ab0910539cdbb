"""SSD and SSDLite on a MobileNet (paper 1, section 4.6; paper 2, section 6.2)."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mobilenets.models.modules.bodies import module_of
from mobilenets.models.modules.carded import Carded, remembering
from mobilenets.models.modules.layers import ConvNormAct, Norm, initialise
from mobilenets.models.network import Network
from mobilenets.tasks.detect.architecture import SSD_V1, SSD_V2, SSDLITE_V1, SSDLITE_V2
from mobilenets.tasks.detect.architecture.geometry import (
    CODE_WEIGHTS,
    TAPS,
    Scores,
    anchor_shapes,
    extra_channels,
)

SIGMA = 0.03
"""Deviation of the new layers' weights at the start, in the authors' configuration."""


class Extra(nn.Module):
    """1x1 to half of the channels, then 3x3 with stride 2; SSDLite: depthwise, then 1x1."""

    def __init__(self, c_in: int, c_out: int, *, lite: bool, **common: Any) -> None:
        super().__init__()
        inner = c_out // 2
        self.squeeze = ConvNormAct(c_in, inner, **common)
        self.depthwise: nn.Module = (
            ConvNormAct(inner, inner, 3, stride=2, groups=inner, **common)
            if lite
            else nn.Identity()
        )
        self.expand = (
            ConvNormAct(inner, c_out, **common)
            if lite
            else ConvNormAct(inner, c_out, 3, stride=2, **common)
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.expand(self.depthwise(self.squeeze(x)))
        return out


class Head(nn.Module):
    """Predicts `values` numbers for each of a map's anchors: (N, C, H, W) -> (N, boxes, values).

    A convolution with bias; in SSDLite a depthwise 3x3 with norm and ReLU6, then 1x1.
    """

    def __init__(
        self, channels: int, per_place: int, values: int, *, lite: bool, kernel: int, **common: Any
    ) -> None:
        super().__init__()
        self.values = values
        self.depthwise: nn.Module = (
            ConvNormAct(channels, channels, 3, groups=channels, **common) if lite else nn.Identity()
        )
        self.predict = nn.Conv2d(
            channels, per_place * values, kernel, padding=(kernel - 1) // 2, bias=True
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.predict(self.depthwise(x))  # (N, shapes * values, H, W)
        return out.permute(0, 2, 3, 1).reshape(out.shape[0], -1, self.values)


class SSD(Carded):
    """(N, 3, H, W) images -> (N, anchors, 4 + 1 + classes): box codes, then logits.

    Logit 0 is the background's. A code is what `encode` says, of the anchor in the same place of
    `anchors_of`. `card` says what the weights are and how to feed them; None for a network just
    built. `scores` is how logits become scores; `Decoded` does both.
    """

    def __init__(
        self,
        backbone: nn.Module,
        taps: Sequence[str],
        extras: Sequence[nn.Module],
        heads: tuple[Sequence[nn.Module], Sequence[nn.Module]],
        scores: Scores,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.taps = tuple(taps)
        self.extras = nn.ModuleList(extras)
        self.boxes, self.scores = (nn.ModuleList(head) for head in heads)
        self.score_function = scores

    def maps(self, x: Tensor) -> list[Tensor]:
        """The feature maps that the heads read, the finest first."""
        return self.with_extras(self.tapped(x))

    def tapped(self, x: Tensor) -> list[Tensor]:
        """The first of the maps: those that the backbone gives."""
        found = self.backbone.taps(x, self.taps)  # type: ignore[operator]
        return [found[name] for name in self.taps]

    def with_extras(self, tapped: Sequence[Tensor]) -> list[Tensor]:
        """All maps, from those of the backbone."""
        maps = list(tapped)
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return maps

    def predictions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Box codes (N, anchors, 4) and logits (N, anchors, 1 + classes), by themselves."""
        return self.predicted(self.maps(x))

    def predicted(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """The same from all of the maps."""
        boxes = torch.cat([head(m) for head, m in zip(self.boxes, maps, strict=True)], 1)
        scores = torch.cat([head(m) for head, m in zip(self.scores, maps, strict=True)], 1)
        return boxes, scores

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return torch.cat(self.predictions(x), 2)  # (N, anchors, 4 + 1 + classes)


class Decoded(nn.Module):
    """A detector with its decoding: (N, 3, H, W) -> (N, anchors, 4 + classes).

    Boxes as left, top, right, bottom in shares of the image, not clipped; then scores, without
    the background's. `anchors` are those of one image size. `background`: whether the network
    computes the background's logits at all, which a sigmoid's scores do without.
    """

    anchors: Tensor
    background = True

    def __init__(self, network: SSD, anchors: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("anchors", anchors)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        codes, logits = self.network.predictions(x)
        softmax = self.network.score_function == "softmax"
        scores = logits.softmax(2) if softmax else logits.sigmoid()
        scores = scores[..., 1:] if self.background else scores
        return torch.cat([decode_boxes(codes, self.anchors), scores], 2)


def without_background(decoded: Decoded) -> Decoded:
    """A copy that does not compute the background's scores, which nobody reads.

    With a softmax the others depend on them: then it is `decoded` itself.
    """
    if decoded.network.score_function == "softmax":
        return decoded
    decoded = copy.deepcopy(decoded)
    decoded.background = False
    for head in decoded.network.scores:
        assert isinstance(head, Head)
        _drop_first(head.predict, head.values)
        head.values -= 1
    return decoded


def _drop_first(conv: nn.Conv2d, values: int) -> None:
    """Take from a convolution the first of each `values` outputs."""
    keep = [channel for channel in range(conv.out_channels) if channel % values]
    assert conv.bias is not None
    conv.out_channels = len(keep)
    conv.weight = nn.Parameter(conv.weight.detach()[keep])
    conv.bias = nn.Parameter(conv.bias.detach()[keep])


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Codes of `boxes` (..., 4), left, top, right, bottom, against `anchors` (..., 4).

    Anchors are centre x, centre y, width, height. A code is the shift of the centre in widths
    and heights of the anchor, and the logarithms of the sides' ratios, times 10, 10, 5, 5.
    """
    sides = boxes[..., 2:] - boxes[..., :2]
    shift = ((boxes[..., :2] + boxes[..., 2:]) / 2 - anchors[..., :2]) / anchors[..., 2:]
    codes = torch.cat([shift, torch.log(sides / anchors[..., 2:])], -1)
    return codes * codes.new_tensor(CODE_WEIGHTS)


def decode_boxes(codes: Tensor, anchors: Tensor) -> Tensor:
    """Boxes (..., 4), left, top, right, bottom, from their codes: what `encode_boxes` undoes."""
    weights = codes.new_tensor(CODE_WEIGHTS)
    # What depends on the anchors alone is worked out when a network is exported.
    centres = codes[..., :2] * (anchors[..., 2:] / weights[:2]) + anchors[..., :2]
    half = torch.exp(codes[..., 2:] / weights[2:]) * (anchors[..., 2:] / 2)
    return torch.cat([centres - half, centres + half], -1)


def ssd_mobilenet_v1(**knobs: Any) -> SSD:
    """SSD on MobileNetV1, heads 1x1 as in the authors' code.

    Knobs, all keyword arguments: `classes` (80, of objects: the network adds one for the
    background), `scores` ("sigmoid" or "softmax", how logits become scores), `head_kernel`
    (1 or 3); of the body `width`, `padding`, `norm_eps`, `norm_momentum`, `activation`,
    `negative_slope`. Raises ValueError for a knob that there is not, or out of range.
    """
    return _detector(SSD_V1, knobs)


def ssd_mobilenet_v2(**knobs: Any) -> SSD:
    """SSD on MobileNetV2, heads 3x3; the knobs are those of `ssd_mobilenet_v1`.

    `classes`, `scores`, `head_kernel`, `width`, `padding`, `norm_eps`, `norm_momentum`,
    `activation`, `negative_slope`.
    """
    return _detector(SSD_V2, knobs)


def ssdlite_mobilenet_v1(**knobs: Any) -> SSD:
    """SSDLite on MobileNetV1 (paper 2, Table 6); the knobs are those of `ssd_mobilenet_v1`.

    But for `head_kernel`: `classes`, `scores`, `width`, `padding`, `norm_eps`, `norm_momentum`,
    `activation`, `negative_slope`.
    """
    return _detector(SSDLITE_V1, knobs)


def ssdlite_mobilenet_v2(**knobs: Any) -> SSD:
    """SSDLite on MobileNetV2 (paper 2, Table 6); the knobs are those of `ssd_mobilenet_v1`.

    But for `head_kernel`: `classes`, `scores`, `width`, `padding`, `norm_eps`, `norm_momentum`,
    `activation`, `negative_slope`.
    """
    return _detector(SSDLITE_V2, knobs)


def _detector(network: Network, knobs: Mapping[str, Any]) -> SSD:
    """SSD on a MobileNet, SSDLite where the network has no `head_kernel`."""
    body, own = network.settle(knobs)
    kernel = own.get("head_kernel")
    lite = kernel is None
    trunk = module_of(body)
    common: dict[str, Any] = {
        "padding": "same" if body.padding == "keras" else body.padding,
        "norm": Norm(body.norm_eps, body.norm_momentum),
    }
    tap = TAPS[body.name]
    channels = [_tap_channels(trunk, tap), trunk.channels]
    extras = []
    for c_out in extra_channels(body.width):
        extras.append(Extra(channels[-1], c_out, lite=lite, **common))
        channels.append(c_out)
    per_place = [len(shapes) for shapes in anchor_shapes()]
    heads = [
        [
            Head(c, shapes, values, lite=lite, kernel=kernel or 1, **common)
            for c, shapes in zip(channels, per_place, strict=True)
        ]
        for values in (4, 1 + own["classes"])
    ]
    made = SSD(trunk, (tap, "last"), extras, (heads[0], heads[1]), own["scores"])
    for part in (made.extras, made.boxes, made.scores):
        initialise(part, SIGMA)
    return remembering(made, network, knobs)


def _tap_channels(trunk: nn.Module, tap: str) -> int:
    """Channels of the map at a tap: those of the last convolution inside it."""
    convolutions = [m for m in trunk.get_submodule(tap).modules() if isinstance(m, nn.Conv2d)]
    return convolutions[-1].out_channels
