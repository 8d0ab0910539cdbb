"""The layers of the backbones: each function adds them and returns the last one's name."""

from collections.abc import Sequence

from mobilenets.cost.layers import Layers
from mobilenets.cost.measure import IMAGE, LayerCost
from mobilenets.models.geometry import (
    Block,
    OutputStride,
    Shortcut,
    output_size,
    v1_blocks,
    v1_stem,
    v2_blocks,
    v2_last,
    v2_stem,
)
from mobilenets.models.ssd_geometry import VGG_TAPS, vgg_layers

RESNET_101 = ((64, 3, 2), (128, 4, 2), (256, 23, 2), (512, 3, 1))
"""He et al. 2016, Table 1: inner channels and units of a stage, and the stride of its last unit."""

RESNET_STEM = ((64, 2), (64, 1), (128, 1))
"""Channels and strides of the three 3x3 convolutions that stand where ResNet had one of 7x7."""

MULTI_GRID = (1, 2, 4)
"""Times the atrous rate: the last stage's units (arXiv 1706.05587, section 4.1)."""


def mobilenet_v1(
    layers: Layers,
    *,
    width: float = 1.0,
    output_stride: OutputStride = 32,
    separable: bool = True,
    shallow: bool = False,
    early_strides: Sequence[int] = (2, 2),
) -> str:
    """V1 up to the average pool."""
    x = layers.conv("backbone.stem", IMAGE, v1_stem(width), 3, stride=early_strides[0])
    blocks = v1_blocks(
        width, output_stride=output_stride, shallow=shallow, early_strides=early_strides
    )
    for index, block in enumerate(blocks):
        name = f"backbone.blocks.{index}"
        if separable:
            x = layers.conv(
                f"{name}.depthwise",
                x,
                block.c_in,
                3,
                stride=block.stride,
                dilation=block.dilation,
                depthwise=True,
                block=name,
            )
            x = layers.conv(f"{name}.pointwise", x, block.c_out, block=name)
        else:
            x = layers.conv(
                name,
                x,
                block.c_out,
                3,
                stride=block.stride,
                dilation=block.dilation,
                block=name,
            )
    return x


def mobilenet_v2(
    layers: Layers,
    *,
    width: float = 1.0,
    output_stride: OutputStride = 32,
    finegrained: bool = True,
    expansion: int = 6,
    shortcut: Shortcut = "bottleneck",
    early_strides: Sequence[int] = (2, 2),
    divisor: int = 8,
    last: bool = True,
) -> str:
    """V2 up to the average pool, or without `last` up to the convolution before it."""
    stem = v2_stem(width, divisor=divisor)
    x = layers.conv("backbone.stem", IMAGE, stem, 3, stride=early_strides[0])
    blocks = v2_blocks(
        width,
        output_stride=output_stride,
        expansion=expansion,
        early_strides=early_strides,
        divisor=divisor,
    )
    carried = ""
    for index, block in enumerate(blocks):
        name = f"backbone.blocks.{index}"
        x, carried = inverted_residual(layers, name, x, block, shortcut, carried)
    if not last:
        return x
    channels = v2_last(width, finegrained=finegrained, divisor=divisor)
    return layers.conv("backbone.last", x, channels)


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
    y = layers.conv(
        f"{name}.depthwise",
        inner,
        hidden,
        3,
        stride=block.stride,
        dilation=block.dilation,
        depthwise=True,
        block=name,
    )
    adds = x if keeps_shape and shortcut == "bottleneck" else ""
    y = layers.conv(f"{name}.project", y, block.c_out, block=name, adds=adds)
    return y, inner if passes else ""


def vgg16(layers: Layers) -> str:
    """VGG-16 up to fc7, and the norm beside it of what SSD reads earlier."""
    x = IMAGE
    for layer in vgg_layers():
        shape = layers.shapes[x]
        size = layer.output(shape[1]), layer.output(shape[2])
        name = f"backbone.layers.{layer.name}"
        if layer.channels:
            x = layers.conv(
                name,
                x,
                layer.channels,
                layer.kernel,
                dilation=layer.dilation,
                bias=True,
                size=size,
            )
        else:
            output = (shape[0], *size)
            pool = LayerCost(name, "pool", shape, output, layer.kernel, layer.stride, reads=(x,))
            x = layers.add(pool)
        if layer.name == VGG_TAPS[0]:
            shape = layers.shapes[x]
            layers.add(LayerCost("backbone.norm", "norm", shape, shape, norm=shape[0], reads=(x,)))
    return x


def resnet101(layers: Layers, *, output_stride: OutputStride = 16) -> str:
    """ResNet-101 as DeepLabv3's authors released it, up to its map of 2048 channels.

    Three 3x3 convolutions at the start, and strides in a stage's last unit, not in its first.
    """
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
            if running >= output_stride:
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
    """A pool of stride 2."""
    shape = layers.shapes[x]
    output = (shape[0], output_size(shape[1], 2), output_size(shape[2], 2))
    return layers.add(LayerCost(name, "pool", shape, output, kernel, 2, reads=(x,)))
