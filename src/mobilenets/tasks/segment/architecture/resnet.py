"""ResNet-101's layers, on which paper 2 compares DeepLabv3: here for its cost alone."""

from dataclasses import dataclass
from typing import ClassVar

from mobilenets.models.bodies import Body
from mobilenets.models.costs import IMAGE, LayerCost
from mobilenets.models.geometry import OutputStride, check, output_size
from mobilenets.models.listing import Layers

RESNET_101 = ((64, 3, 2), (128, 4, 2), (256, 23, 2), (512, 3, 1))
"""He et al. 2016, Table 1: inner channels and units of a stage, and the stride of its last unit."""

RESNET_STEM = ((64, 2), (64, 1), (128, 1))
"""Channels and strides of the three 3x3 convolutions that stand where ResNet had one of 7x7."""

MULTI_GRID = (1, 2, 4)
"""Times the atrous rate: the last stage's units (arXiv 1706.05587, section 4.1)."""


@dataclass(frozen=True, kw_only=True)
class ResnetBody(Body):
    """ResNet-101 as DeepLabv3's authors released it, up to its map of 2048 channels.

    Three 3x3 convolutions at the start, and strides in a stage's last unit, not in its first.
    """

    name: ClassVar[str] = "resnet101"
    output_stride: OutputStride = 16

    def __post_init__(self) -> None:
        check(output_stride=self.output_stride)

    def add_blocks(self, layers: Layers) -> str:
        """The stem, a pool, and the units of four stages."""
        x = IMAGE
        for index, (channels, stride) in enumerate(RESNET_STEM):
            x = layers.conv(f"backbone.stem.{index}", x, channels, 3, stride=stride)
        x = subsample(layers, "backbone.pool", x, 3)
        running, rate = 4, 1
        for index, (inner, units, last_stride) in enumerate(RESNET_101):
            for unit in range(units):
                stride = last_stride if unit == units - 1 else 1
                grid = MULTI_GRID[unit] if index == len(RESNET_101) - 1 else 1
                name = f"backbone.stages.{index}.{unit}"
                if running >= self.output_stride:
                    x = bottleneck(layers, name, x, inner, dilation=rate * grid)
                    rate *= stride
                else:
                    x = bottleneck(layers, name, x, inner, stride=stride, dilation=grid)
                    running *= stride
        return x


def bottleneck(
    layers: Layers, name: str, x: str, inner: int, *, stride: int = 1, dilation: int = 1
) -> str:
    """ResNet's unit: 1x1 to `inner` channels, 3x3, 1x1 to four times as many; and the shortcut."""
    held = x
    if layers.shapes[x][0] != 4 * inner:
        held = layers.conv(f"{name}.shortcut", x, 4 * inner, stride=stride)
    elif stride > 1:
        held = subsample(layers, f"{name}.shortcut", x, 1)
    y = layers.conv(f"{name}.conv1", x, inner)
    y = layers.conv(f"{name}.conv2", y, inner, 3, stride=stride, dilation=dilation)
    return layers.conv(f"{name}.conv3", y, 4 * inner, adds=held)


def subsample(layers: Layers, name: str, x: str, kernel: int) -> str:
    """A max pool of stride 2, SAME: half the pixels of each side, rounded up."""
    shape = layers.shapes[x]
    output = (shape[0], output_size(shape[1], 2), output_size(shape[2], 2))
    return layers.add(LayerCost(name, "pool", shape, output, kernel, 2, reads=(x,)))
