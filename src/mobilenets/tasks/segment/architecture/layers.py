"""The layers of the segmentation networks, in the order that `architecture.deeplab` runs them.

Bringing a map to another size and putting maps side by side cost no multiply-adds, but each
writes a tensor: both are layers.
"""

from collections.abc import Callable
from dataclasses import replace

from mobilenets.models.bodies import Body
from mobilenets.models.costs import IMAGE, LayerCost, Shape
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers
from mobilenets.tasks.segment.architecture.geometry import (
    DROPOUT,
    HEAD_CHANNELS,
    SCALES,
    atrous_rates,
    scaled_side,
)


def deeplab(
    layers: Layers,
    body: Body,
    *,
    classes: int = 21,
    aspp: bool = False,
    output_stride: int = 16,
    dropout: float = DROPOUT,
) -> None:
    """DeepLabv3 on a MobileNet's last block: the mobile head, or the full one with `aspp`.

    `output_stride` is the body's as well.
    """
    check(dropout=dropout)
    full(layers, body, classes=classes, aspp=aspp, output_stride=output_stride)


def full(
    layers: Layers, body: Body, *, classes: int = 21, aspp: bool = True, output_stride: int = 16
) -> None:
    """The same without dropout, as ResNet-101 has it here for its cost alone (paper 2, Table 7)."""
    check(classes=classes, aspp=aspp)
    x = body.add_blocks(layers)
    shape = layers.shapes[x]
    mean = layers.add(LayerCost("mean", "pool", shape, (shape[0], 1, 1), reads=(x,)))
    branches = [
        layers.conv("pool", mean, HEAD_CHANNELS),
        layers.conv("branches.0", x, HEAD_CHANNELS),
    ]
    for index, rate in enumerate(atrous_rates(output_stride) if aspp else (), 1):
        name = f"branches.{index}"
        branches.append(layers.conv(name, x, HEAD_CHANNELS, 3, dilation=rate))
    joined = (HEAD_CHANNELS * len(branches), *shape[1:])
    side_by_side = LayerCost("concat", "concat", joined, joined, reads=tuple(branches))
    x = layers.conv("project", layers.add(side_by_side), HEAD_CHANNELS)
    x = layers.conv("classifier", x, classes, bias=True)
    resize(layers, "resize", x, layers.shapes[IMAGE])


def resize(layers: Layers, name: str, x: str, shape: Shape) -> str:
    """Bring a map to the height and width of `shape`; the map itself where it has them."""
    before = layers.shapes[x]
    if before[1:] == shape[1:]:
        return x
    return layers.add(LayerCost(name, "resize", before, (before[0], *shape[1:]), reads=(x,)))


def multi_scale(image: Shape, network: Callable[[Shape], list[LayerCost]]) -> list[LayerCost]:
    """The layers of `network` run at six scales, each also mirrored (paper 2, Table 7: MF).

    As `architecture.deeplab.MultiScale` does it. The weights are the same in every pass,
    and so counted in the first alone.
    """
    layers = Layers(image)
    total = ""
    for scale in SCALES:
        size = (3, scaled_side(image[1], scale), scaled_side(image[2], scale))
        seen = resize(layers, f"x{scale}.image", IMAGE, size)
        for mirrored in (False, True):
            prefix = f"x{scale}.mirrored" if mirrored else f"x{scale}"
            source = flip(layers, f"{prefix}.image", seen) if mirrored else seen
            for layer in network(size):
                layers.add(one_pass(layer, prefix, source, counted=not total))
            x = layers.found[-1].name
            x = flip(layers, f"{prefix}.back", x) if mirrored else x
            share = resize(layers, f"{prefix}.share", x, image)
            if total:  # added where the share is: no tensor of its own
                last = layers.found.pop()
                layers.add(replace(last, reads=(*last.reads, total)))
            total = share
    return layers.found


def flip(layers: Layers, name: str, x: str) -> str:
    """A map mirrored from left to right, a tensor of its own."""
    shape = layers.shapes[x]
    return layers.add(LayerCost(name, "flip", shape, shape, reads=(x,)))


def one_pass(layer: LayerCost, prefix: str, source: str, *, counted: bool) -> LayerCost:
    """A layer under another name, `source` instead of the image; with no weights if not counted."""
    return replace(
        layer,
        name=f"{prefix}.{layer.name}",
        block=layer.block and f"{prefix}.{layer.block}",
        reads=tuple(source if name == IMAGE else f"{prefix}.{name}" for name in layer.reads),
        parameters=layer.parameters if counted else 0,
        norm=layer.norm if counted else 0,
    )
