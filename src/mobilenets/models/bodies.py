"""The bodies of networks: the knobs with their defaults, and the layers that follow from them.

A body's fields are its keyword arguments. They stand here alone: the torch modules take the same
ones, and the networks on a body add their own (`models.network`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from mobilenets.models.costs import IMAGE
from mobilenets.models.geometry import (
    BN_EPS,
    NEGATIVE_SLOPE,
    Block,
    OutputStride,
    Padding,
    Rectifier,
    Shortcut,
    check,
    v1_blocks,
    v1_stem,
    v2_blocks,
    v2_last,
    v2_stem,
)
from mobilenets.models.listing import Layers


@dataclass(frozen=True, kw_only=True)
class Body:
    """The part of a network that reads the image; ValueError for a knob out of range."""

    name: ClassVar[str]
    """What networks that stand on it call it."""

    @classmethod
    def knobs(cls) -> dict[str, Any]:
        """Every keyword argument, with its default."""
        return {one.name: one.default for one in fields(cls)}

    @property
    def image_padding(self) -> Padding:
        """The rule by which its convolutions are padded."""
        return "same"

    def add_blocks(self, layers: Layers) -> str:
        """Add the layers up to the last block; the name of that one's last layer."""
        raise NotImplementedError

    def add(self, layers: Layers) -> str:
        """Add all layers; the name of the last."""
        return self.add_blocks(layers)


@dataclass(frozen=True, kw_only=True)
class MobileNet(Body):
    """What V1 and V2 share: knobs of size, stride, padding and norms, a stem and blocks.

    `width` multiplies channels; `norm_momentum` is 1 - TensorFlow's decay; `activation` stands
    where the papers have ReLU6, and `negative_slope` is that of a leaky ReLU.
    """

    width: float = 1.0
    output_stride: OutputStride = 32
    padding: Padding = "same"
    norm_eps: float = BN_EPS
    norm_momentum: float = 0.003
    activation: Rectifier = "relu6"
    negative_slope: float = NEGATIVE_SLOPE

    def __post_init__(self) -> None:
        check(**vars(self))

    @property
    def image_padding(self) -> Padding:
        """As the knob `padding` says."""
        return self.padding

    @property
    def rectifier(self) -> tuple[Rectifier, float]:
        """The activation, and its slope below 0."""
        return self.activation, self.negative_slope

    @property
    def stem(self) -> int:
        """Channels of the first convolution."""
        raise NotImplementedError

    @property
    def blocks(self) -> list[Block]:
        """The blocks, with every number that their modules need."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class V1(MobileNet):
    """MobileNetV1 up to the average pool (paper 1, Table 1).

    `separable=False` is Table 4's network of full convolutions; `shallow` is Table 5's.
    """

    name: ClassVar[str] = "mobilenet_v1"
    norm_momentum: float = 0.0003
    separable: bool = True
    shallow: bool = False
    early_strides: Sequence[int] = (2, 2)

    @property
    def stem(self) -> int:
        """Channels of the first convolution."""
        return v1_stem(self.width)

    @property
    def blocks(self) -> list[Block]:
        """Thirteen, or eight where it is shallow."""
        return v1_blocks(
            self.width,
            output_stride=self.output_stride,
            shallow=self.shallow,
            early_strides=self.early_strides,
        )

    def add_blocks(self, layers: Layers) -> str:
        """The stem, then pairs of a depthwise and a pointwise convolution."""
        x = layers.conv("backbone.stem", IMAGE, self.stem, 3, stride=self.early_strides[0])
        for index, block in enumerate(self.blocks):
            name = f"backbone.blocks.{index}"
            if not self.separable:
                x = spatial(layers, name, x, block.c_out, block, name, depthwise=False)
                continue
            x = spatial(layers, f"{name}.depthwise", x, block.c_in, block, name)
            x = layers.conv(f"{name}.pointwise", x, block.c_out, block=name)
        return x


@dataclass(frozen=True, kw_only=True)
class V2(MobileNet):
    """MobileNetV2 up to the average pool (paper 2, Table 2).

    `linear_bottleneck=False` puts ReLU6 after the projection; `shortcut` joins bottlenecks,
    expansions or nothing (Figure 6). Channels are multiples of `divisor`.
    """

    name: ClassVar[str] = "mobilenet_v2"
    finegrained: bool = True
    expansion: int = 6
    linear_bottleneck: bool = True
    shortcut: Shortcut = "bottleneck"
    early_strides: Sequence[int] = (2, 2)
    divisor: int = 8

    @property
    def stem(self) -> int:
        """Channels of the first convolution."""
        return v2_stem(self.width, divisor=self.divisor)

    @property
    def last(self) -> int:
        """Channels of the last convolution."""
        return v2_last(self.width, finegrained=self.finegrained, divisor=self.divisor)

    @property
    def blocks(self) -> list[Block]:
        """The seventeen inverted residuals."""
        return v2_blocks(
            self.width,
            output_stride=self.output_stride,
            expansion=self.expansion,
            early_strides=self.early_strides,
            divisor=self.divisor,
        )

    def add_blocks(self, layers: Layers) -> str:
        """The stem, then the inverted residuals."""
        x = layers.conv("backbone.stem", IMAGE, self.stem, 3, stride=self.early_strides[0])
        carried = ""
        for index, block in enumerate(self.blocks):
            name = f"backbone.blocks.{index}"
            x, carried = inverted_residual(layers, name, x, block, self.shortcut, carried)
        return x

    def add(self, layers: Layers) -> str:
        """The blocks, then the last 1x1 convolution."""
        return layers.conv("backbone.last", self.add_blocks(layers), self.last)


def spatial(
    layers: Layers,
    name: str,
    x: str,
    channels: int,
    block: Block,
    of: str,
    *,
    depthwise: bool = True,
) -> str:
    """Add the 3x3 convolution of the block called `of`, which has its stride and dilation."""
    s, d = block.stride, block.dilation
    return layers.conv(name, x, channels, 3, stride=s, dilation=d, depthwise=depthwise, block=of)


def inverted_residual(
    layers: Layers, name: str, x: str, block: Block, shortcut: Shortcut, carried: str
) -> tuple[str, str]:
    """Add one block that reads `x`: its last layer, and the expansion it hands on ('' if none).

    `carried` is the expansion that the block before handed on, where shortcuts join expansions.
    """
    keeps_shape = block.stride == 1 and block.c_in == block.c_out
    hidden = block.c_in * block.expansion
    inner = x
    if block.expansion > 1:
        inner = layers.conv(f"{name}.expand", x, hidden, block=name, adds=carried)
    passes = keeps_shape and block.expansion > 1 and shortcut == "expansion"
    y = spatial(layers, f"{name}.depthwise", inner, hidden, block, name)
    adds = x if keeps_shape and shortcut == "bottleneck" else ""
    y = layers.conv(f"{name}.project", y, block.c_out, block=name, adds=adds)
    return y, inner if passes else ""


def knobs_of(name: str) -> dict[str, Any]:
    """The knobs of the MobileNet called `name`, with their defaults; {} for another body."""
    return next((body.knobs() for body in (V1, V2) if body.name == name), {})
