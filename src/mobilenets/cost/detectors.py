"""The layers of the detectors, in the order that `mobilenets.models.ssd.SSD` runs them.

The heads' outputs are the network's answer: where they are put side by side, no layer is counted.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from mobilenets.cost import backbones
from mobilenets.cost.layers import Layers
from mobilenets.cost.measure import LayerCost, Shape
from mobilenets.models.geometry import BN_EPS, Padding, check
from mobilenets.models.ssd_geometry import (
    TAPS,
    VGG,
    Scores,
    anchor_shapes,
    check_head_kernel,
    check_scores,
    extra_channels,
    vgg_anchor_shapes,
    vgg_map_sizes,
)


def ssd_mobilenet_v1(
    image: Shape,
    *,
    classes: int = 80,
    scores: Scores = "sigmoid",
    head_kernel: int = 1,
    width: float = 1.0,
    padding: Padding = "same",
    norm_eps: float = BN_EPS,
    norm_momentum: float = 0.0003,
) -> list[LayerCost]:
    """The layers for the same knobs as `mobilenets.models.ssd.ssd_mobilenet_v1`."""
    check_knobs(classes, scores, width, padding, norm_eps=norm_eps, norm_momentum=norm_momentum)
    check_head_kernel(head_kernel)
    return on_mobilenet(image, "mobilenet_v1", classes, width, padding, head_kernel)


def ssd_mobilenet_v2(
    image: Shape,
    *,
    classes: int = 80,
    scores: Scores = "sigmoid",
    head_kernel: int = 3,
    width: float = 1.0,
    padding: Padding = "same",
    norm_eps: float = BN_EPS,
    norm_momentum: float = 0.003,
) -> list[LayerCost]:
    """The layers for the same knobs as `mobilenets.models.ssd.ssd_mobilenet_v2`."""
    check_knobs(classes, scores, width, padding, norm_eps=norm_eps, norm_momentum=norm_momentum)
    check_head_kernel(head_kernel)
    return on_mobilenet(image, "mobilenet_v2", classes, width, padding, head_kernel)


def ssdlite_mobilenet_v1(
    image: Shape,
    *,
    classes: int = 80,
    scores: Scores = "sigmoid",
    width: float = 1.0,
    padding: Padding = "same",
    norm_eps: float = BN_EPS,
    norm_momentum: float = 0.0003,
) -> list[LayerCost]:
    """The layers for the same knobs as `mobilenets.models.ssd.ssdlite_mobilenet_v1`."""
    check_knobs(classes, scores, width, padding, norm_eps=norm_eps, norm_momentum=norm_momentum)
    return on_mobilenet(image, "mobilenet_v1", classes, width, padding)


def ssdlite_mobilenet_v2(
    image: Shape,
    *,
    classes: int = 80,
    scores: Scores = "sigmoid",
    width: float = 1.0,
    padding: Padding = "same",
    norm_eps: float = BN_EPS,
    norm_momentum: float = 0.003,
) -> list[LayerCost]:
    """The layers for the same knobs as `mobilenets.models.ssd.ssdlite_mobilenet_v2`."""
    check_knobs(classes, scores, width, padding, norm_eps=norm_eps, norm_momentum=norm_momentum)
    return on_mobilenet(image, "mobilenet_v2", classes, width, padding)


def ssd300_vgg16(image: Shape, *, classes: int = 80, scores: Scores = "softmax") -> list[LayerCost]:
    """The layers for the same knobs as `mobilenets.models.vgg.ssd300_vgg16`."""
    return on_vgg(image, "ssd300_vgg16", classes, scores)


def ssd512_vgg16(image: Shape, *, classes: int = 80, scores: Scores = "softmax") -> list[LayerCost]:
    """The layers for the same knobs as `mobilenets.models.vgg.ssd512_vgg16`."""
    return on_vgg(image, "ssd512_vgg16", classes, scores)


def check_knobs(classes: int, scores: Scores, width: float, padding: str, **norm: Any) -> None:
    """Raise ValueError for a knob out of range."""
    check(classes=classes, width=width, padding=padding, **norm)
    check_scores(scores)


def on_mobilenet(
    image: Shape,
    backbone: str,
    classes: int,
    width: float,
    padding: Padding,
    head_kernel: int | None = None,
) -> list[LayerCost]:
    """SSD's layers on the MobileNet of that name; SSDLite's where there is no `head_kernel`."""
    layers = Layers(image, padding)
    if backbone == "mobilenet_v1":
        last = backbones.mobilenet_v1(layers, width=width)
    else:
        last = backbones.mobilenet_v2(layers, width=width)
    if padding == "keras":
        layers.padding = "same"  # that rule is the backbone's alone
    tap = f"backbone.{TAPS[backbone]}"
    # An expansion that SSD reads is written, and so no part of its block any more.
    layers.found = [replace(x, block="") if x.name == tap else x for x in layers.found]
    # A tap that is a whole block is its last layer's output.
    tapped = [x.name for x in layers.found if f"{x.name}.".startswith(f"{tap}.")][-1]
    maps = [tapped, last]
    lite = head_kernel is None
    for index, c_out in enumerate(extra_channels(width)):
        maps.append(extra(layers, f"extras.{index}", maps[-1], c_out, lite=lite))
    shapes = [len(shapes) for shapes in anchor_shapes()]
    heads(layers, maps, shapes, classes, head_kernel)
    return layers.found


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


def on_vgg(image: Shape, name: str, classes: int, scores: Scores) -> list[LayerCost]:
    """The layers of SSD on VGG-16; ValueError for an image too small for its smallest map."""
    check(classes=classes)
    check_scores(scores)
    sizes = vgg_map_sizes((image[1], image[2]), name)
    layers = Layers(image)
    maps = ["backbone.norm", backbones.vgg16(layers)]
    for index, (inner, c_out, kernel, stride, _) in enumerate(VGG[name].extras):
        x = layers.conv(f"extras.{index}.0", maps[-1], inner, bias=True)
        maps.append(
            layers.conv(
                f"extras.{index}.1",
                x,
                c_out,
                kernel,
                stride=stride,
                bias=True,
                size=sizes[index + 2],
            )
        )
    shapes = [len(shapes) for shapes in vgg_anchor_shapes(name)]
    heads(layers, maps, shapes, classes, 3)
    return layers.found
