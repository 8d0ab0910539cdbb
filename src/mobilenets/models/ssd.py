"""SSD and SSDLite on a MobileNet (paper 1, section 4.6; paper 2, section 6.2)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mobilenets.card import ModelCard
from mobilenets.models.geometry import check, unknown_name
from mobilenets.models.layers import ConvNormAct, Norm, initialise
from mobilenets.models.ssd_geometry import (
    CODE_WEIGHTS,
    TAPS,
    Scores,
    anchor_shapes,
    check_head_kernel,
    check_scores,
    extra_channels,
)
from mobilenets.models.v1 import MobileNetV1
from mobilenets.models.v2 import MobileNetV2

KNOBS = ("width", "padding", "norm_eps", "norm_momentum")
"""The backbone's arguments that a detector takes; the others would move its taps."""
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


class SSD(nn.Module):
    """(N, 3, H, W) images -> (N, anchors, 4 + 1 + classes): box codes, then logits.

    Logit 0 is the background's. A code is what `encode` says, of the anchor in the same place of
    `anchors_of`. `card` says what the weights are and how to feed them; None for a network just
    built. `scores` is how logits become scores; `Decoded` does both.
    """

    card: ModelCard | None = None

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
        found = self.backbone.taps(x, self.taps)  # type: ignore[operator]
        maps = [found[name] for name in self.taps]
        for extra in self.extras:
            maps.append(extra(maps[-1]))
        return maps

    def predictions(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Box codes (N, anchors, 4) and logits (N, anchors, 1 + classes), by themselves."""
        maps = self.maps(x)
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


def ssd_mobilenet_v1(
    *, classes: int = 80, scores: Scores = "sigmoid", head_kernel: int = 1, **knobs: Any
) -> SSD:
    """SSD on MobileNetV1, heads 1x1 as in the authors' code; the arguments are `detector`'s."""
    return detector("mobilenet_v1", classes, scores, head_kernel=head_kernel, **knobs)


def ssd_mobilenet_v2(
    *, classes: int = 80, scores: Scores = "sigmoid", head_kernel: int = 3, **knobs: Any
) -> SSD:
    """SSD on MobileNetV2; the arguments are `detector`'s."""
    return detector("mobilenet_v2", classes, scores, head_kernel=head_kernel, **knobs)


def ssdlite_mobilenet_v1(*, classes: int = 80, scores: Scores = "sigmoid", **knobs: Any) -> SSD:
    """SSDLite on MobileNetV1 (paper 2, Table 6); the arguments are `detector`'s."""
    return detector("mobilenet_v1", classes, scores, **knobs)


def ssdlite_mobilenet_v2(*, classes: int = 80, scores: Scores = "sigmoid", **knobs: Any) -> SSD:
    """SSDLite on MobileNetV2 (paper 2, Table 6); the arguments are `detector`'s."""
    return detector("mobilenet_v2", classes, scores, **knobs)


def detector(
    backbone: str,
    classes: int,
    scores: Scores,
    *,
    head_kernel: int | None = None,
    **knobs: Any,
) -> SSD:
    """SSD on the backbone of that name, SSDLite where `head_kernel` is None.

    `classes` are those of objects: the network adds one for the background. `head_kernel`, 1 or
    3, is that of SSD's heads. `knobs` are KNOBS, the backbone's. Raises ValueError for a knob
    out of range or of another name.
    """
    for knob in knobs:
        if knob not in KNOBS:
            raise ValueError(unknown_name(knob, KNOBS, "argument"))
    check(classes=classes)
    check_scores(scores)
    lite = head_kernel is None
    if head_kernel is not None:
        check_head_kernel(head_kernel)
    trunk = {"mobilenet_v1": MobileNetV1, "mobilenet_v2": MobileNetV2}[backbone](**knobs)
    stem = trunk.stem
    assert isinstance(stem, ConvNormAct)
    padding = knobs.get("padding", "same")
    common: dict[str, Any] = {
        "padding": "same" if padding == "keras" else padding,
        "norm": Norm(stem.norm.eps, stem.norm.momentum or 0.0),
    }
    tap = TAPS[backbone]
    channels = [_tap_channels(trunk, tap), trunk.channels]
    extras = []
    for c_out in extra_channels(knobs.get("width", 1.0)):
        extras.append(Extra(channels[-1], c_out, lite=lite, **common))
        channels.append(c_out)
    per_place = [len(shapes) for shapes in anchor_shapes()]
    heads = [
        [
            Head(c, shapes, values, lite=lite, kernel=head_kernel or 1, **common)
            for c, shapes in zip(channels, per_place, strict=True)
        ]
        for values in (4, 1 + classes)
    ]
    network = SSD(trunk, (tap, "last"), extras, (heads[0], heads[1]), scores)
    for part in (network.extras, network.boxes, network.scores):
        initialise(part, SIGMA)
    return network


def _tap_channels(trunk: nn.Module, tap: str) -> int:
    """Channels of the map at a tap: those of the last convolution inside it."""
    convolutions = [m for m in trunk.get_submodule(tap).modules() if isinstance(m, nn.Conv2d)]
    return convolutions[-1].out_channels
