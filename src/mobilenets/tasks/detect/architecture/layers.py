"""The layers of the detectors, in the order that `architecture.ssd.SSD` runs them.

The heads' outputs are the network's answer: where they are put side by side, no layer is counted.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from mobilenets.models.bodies import Body, MobileNet
from mobilenets.models.costs import IMAGE, LayerCost
from mobilenets.models.geometry import check
from mobilenets.models.listing import Layers
from mobilenets.tasks.detect.architecture.geometry import (
    TAPS,
    VGG,
    VGG_TAPS,
    Scores,
    anchor_shapes,
    check_head_kernel,
    check_scores,
    extra_channels,
    vgg_anchor_shapes,
    vgg_layers,
    vgg_map_sizes,
)


def ssd(
    layers: Layers,
    body: MobileNet,
    *,
    classes: int = 80,
    scores: Scores = "sigmoid",
    head_kernel: int = 3,
) -> None:
    """SSD on a MobileNet: extras of plain 3x3 convolutions, heads of one convolution each."""
    check_head_kernel(head_kernel)
    _on_mobilenet(layers, body, classes, scores, head_kernel)


def ssdlite(
    layers: Layers, body: MobileNet, *, classes: int = 80, scores: Scores = "sigmoid"
) -> None:
    """SSDLite on a MobileNet: extras and heads of separable convolutions."""
    _on_mobilenet(layers, body, classes, scores, None)


def ssd_on_vgg(
    name: str, layers: Layers, body: Body, *, classes: int = 80, scores: Scores = "softmax"
) -> None:
    """SSD on VGG-16, of the sizes that `name` has; ValueError for an image too small for it."""
    check(classes=classes)
    check_scores(scores)
    _, height, width = layers.shapes[IMAGE]
    sizes = vgg_map_sizes((height, width), name)
    maps = ["backbone.norm", body.add(layers)]
    for index, (inner, c_out, kernel, stride, _) in enumerate(VGG[name].extras):
        first, second = f"extras.{index}.0", f"extras.{index}.1"
        x = layers.conv(first, maps[-1], inner, bias=True, inner="0")
        size = sizes[index + 2]
        maps.append(
            layers.conv(second, x, c_out, kernel, stride=stride, bias=True, inner="0", size=size)
        )
    shapes = [len(shapes) for shapes in vgg_anchor_shapes(name)]
    heads(layers, maps, shapes, classes, 3)


def _on_mobilenet(
    layers: Layers, body: MobileNet, classes: int, scores: Scores, head_kernel: int | None
) -> None:
    """SSD's layers behind those of a body; SSDLite's where there is no `head_kernel`."""
    check(classes=classes)
    check_scores(scores)
    last = body.add(layers)
    if layers.padding == "keras":
        layers.padding = "same"  # that rule is the backbone's alone
    tap = f"backbone.{TAPS[body.name]}"
    # An expansion that SSD reads is written, and so no part of its block any more.
    layers.found = [replace(x, block="") if x.name == tap else x for x in layers.found]
    # A tap that is a whole block is its last layer's output.
    tapped = [x.name for x in layers.found if f"{x.name}.".startswith(f"{tap}.")][-1]
    maps = [tapped, last]
    lite = head_kernel is None
    for index, c_out in enumerate(extra_channels(body.width)):
        maps.append(extra(layers, f"extras.{index}", maps[-1], c_out, lite=lite))
    shapes = [len(shapes) for shapes in anchor_shapes()]
    heads(layers, maps, shapes, classes, head_kernel)


def extra(layers: Layers, name: str, x: str, c_out: int, *, lite: bool) -> str:
    """One of the maps that SSD adds: half the channels, then stride 2."""
    inner = c_out // 2
    x = layers.conv(f"{name}.squeeze", x, inner)
    if not lite:
        return layers.conv(f"{name}.expand", x, c_out, 3, stride=2)
    x = layers.conv(f"{name}.depthwise", x, inner, 3, stride=2, depthwise=True, block=name)
    return layers.conv(f"{name}.expand", x, c_out, block=name)


def heads(
    layers: Layers, maps: Sequence[str], shapes: Sequence[int], classes: int, kernel: int | None
) -> None:
    """Boxes from every map, then scores; a depthwise convolution first where `kernel` is None."""
    for kind, values in (("boxes", 4), ("scores", 1 + classes)):
        for index, (x, count) in enumerate(zip(maps, shapes, strict=True)):
            name, block = f"{kind}.{index}", ""
            if kernel is None:
                block = name
                channels = layers.shapes[x][0]
                x = layers.conv(f"{name}.depthwise", x, channels, 3, depthwise=True, block=block)
            layers.conv(f"{name}.predict", x, count * values, kernel or 1, bias=True, block=block)


@dataclass(frozen=True, kw_only=True)
class VggBody(Body):
    """VGG-16 up to fc7, and the norm beside it of what SSD reads earlier."""

    name: ClassVar[str] = "vgg16"

    def add_blocks(self, layers: Layers) -> str:
        """Convolutions and pools; the norm is the layer `backbone.norm`."""
        x = IMAGE
        for layer in vgg_layers():
            shape = layers.shapes[x]
            size = layer.output(shape[1]), layer.output(shape[2])
            name, kernel = f"backbone.layers.{layer.name}", layer.kernel
            if layer.channels:
                x = layers.conv(
                    name,
                    x,
                    layer.channels,
                    kernel,
                    dilation=layer.dilation,
                    bias=True,
                    inner="0",
                    size=size,
                )
            else:
                output = (shape[0], *size)
                x = layers.add(
                    LayerCost(name, "pool", shape, output, kernel, layer.stride, reads=(x,))
                )
            if layer.name == VGG_TAPS[0]:
                layers.add(_l2_norm(layers, x))
        return x


def _l2_norm(layers: Layers, x: str) -> LayerCost:
    """A scale for each channel of `x`."""
    shape = layers.shapes[x]
    channels = shape[:1]
    tensors = {"backbone.norm.weight": channels}
    return LayerCost(
        "backbone.norm", "norm", shape, shape, norm=channels[0], reads=(x,), tensors=tensors
    )
