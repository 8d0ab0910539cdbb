"""The layers of our own networks, from the papers' tables alone: nothing is built or allocated."""

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mobilenets.cost import backbones, detectors, segmenters
from mobilenets.cost.layers import Layers
from mobilenets.cost.measure import IMAGE, Cost, LayerCost, Shape
from mobilenets.models import geometry
from mobilenets.models.geometry import (
    BN_EPS,
    OutputStride,
    Padding,
    Shortcut,
    check,
    unknown_name,
)


def mobilenet_v1(
    image: Shape,
    *,
    classes: int = 1000,
    dropout: float = 0.001,
    width: float = 1.0,
    output_stride: OutputStride = 32,
    padding: Padding = "same",
    norm_eps: float = BN_EPS,
    norm_momentum: float = 0.0003,
    separable: bool = True,
    shallow: bool = False,
    early_strides: Sequence[int] = (2, 2),
) -> list[LayerCost]:
    """V1's layers, for the same knobs as `mobilenets.models.classifier.mobilenet_v1`."""
    check(
        width=width,
        classes=classes,
        output_stride=output_stride,
        padding=padding,
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
        dropout=dropout,
        early_strides=early_strides,
    )
    layers = Layers(image, padding)
    last = backbones.mobilenet_v1(
        layers,
        width=width,
        output_stride=output_stride,
        separable=separable,
        shallow=shallow,
        early_strides=early_strides,
    )
    layers.classifier(last, classes)
    return layers.found


def mobilenet_v2(
    image: Shape,
    *,
    classes: int = 1000,
    dropout: float = 0.2,
    width: float = 1.0,
    output_stride: OutputStride = 32,
    padding: Padding = "same",
    norm_eps: float = BN_EPS,
    norm_momentum: float = 0.003,
    finegrained: bool = True,
    expansion: int = 6,
    linear_bottleneck: bool = True,
    shortcut: Shortcut = "bottleneck",
    early_strides: Sequence[int] = (2, 2),
    divisor: int = 8,
) -> list[LayerCost]:
    """V2's layers, for the same knobs as `mobilenets.models.classifier.mobilenet_v2`."""
    check(
        width=width,
        classes=classes,
        output_stride=output_stride,
        padding=padding,
        norm_eps=norm_eps,
        norm_momentum=norm_momentum,
        dropout=dropout,
        expansion=expansion,
        shortcut=shortcut,
        early_strides=early_strides,
        divisor=divisor,
    )
    layers = Layers(image, padding)
    last = backbones.mobilenet_v2(
        layers,
        width=width,
        output_stride=output_stride,
        finegrained=finegrained,
        expansion=expansion,
        shortcut=shortcut,
        early_strides=early_strides,
        divisor=divisor,
    )
    layers.classifier(last, classes)
    return layers.found


NETWORKS: dict[str, Callable[..., list[LayerCost]]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "ssd_mobilenet_v1": detectors.ssd_mobilenet_v1,
    "ssd_mobilenet_v2": detectors.ssd_mobilenet_v2,
    "ssdlite_mobilenet_v1": detectors.ssdlite_mobilenet_v1,
    "ssdlite_mobilenet_v2": detectors.ssdlite_mobilenet_v2,
    "ssd300_vgg16": detectors.ssd300_vgg16,
    "ssd512_vgg16": detectors.ssd512_vgg16,
    "deeplabv3_mobilenet_v1": segmenters.deeplabv3_mobilenet_v1,
    "deeplabv3_mobilenet_v2": segmenters.deeplabv3_mobilenet_v2,
    "deeplabv3_resnet101": segmenters.deeplabv3_resnet101,
}


def profile(
    name: str,
    *,
    resolution: int | tuple[int, int] | None = None,
    bytes_per_element: int = 4,
    multi_scale: bool = False,
    **knobs: Any,
) -> Cost:
    """The cost of the network called `name` for one RGB image, with any knob of its constructor.

    `resolution` is in pixels, one side or (height, width), the network's paper's unless given:
    224 to classify, 320 to detect, 513 to segment. `multi_scale` is for a segmentation network:
    the image seen at six scales, each also mirrored. Raises ValueError for an unknown name, a
    knob that this network does not have, or a value out of range.
    """
    if name not in NETWORKS:
        raise ValueError(unknown_name(name, NETWORKS))
    height, width = image_size(geometry.NETWORKS[name].size if resolution is None else resolution)
    if not (isinstance(bytes_per_element, int) and bytes_per_element > 0):
        raise ValueError(f"bytes_per_element must be a positive integer, got {bytes_per_element!r}")
    known = {
        key: parameter.default
        for key, parameter in inspect.signature(NETWORKS[name]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    for knob in knobs:
        if knob not in known:
            raise ValueError(f"a knob of {name} must be one of {', '.join(known)}, got {knob!r}")
    image = (3, height, width)
    arguments = {**known, **knobs}
    if multi_scale:
        task = geometry.NETWORKS[name].task
        if task != "segment":
            raise ValueError(f"multi_scale is for networks to segment, {name} is to {task}")
        layers = segmenters.multi_scale(image, partial(NETWORKS[name], **knobs))
        arguments["multi_scale"] = True
    else:
        layers = NETWORKS[name](image, **knobs)
    return Cost(name, tuple(layers), {IMAGE: image}, arguments, bytes_per_element)


def image_size(resolution: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of a resolution given as one side or as both; ValueError if not positive."""
    sides = [resolution] * 2 if isinstance(resolution, int) else list(resolution)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f"resolution must be a positive integer or (height, width), got {resolution!r}"
        )
    return sides[0], sides[1]
