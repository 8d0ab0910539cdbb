"""The layers of our own networks, from the papers' tables alone: nothing is built or allocated."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from mobilenets.cost.measure import IMAGE, Cost, LayerCost, Shape, elements
from mobilenets.models.geometry import (
    BN_EPS,
    Block,
    OutputStride,
    Padding,
    Shortcut,
    check,
    output_size,
    unknown_name,
    v1_blocks,
    v1_stem,
    v2_blocks,
    v2_last,
    v2_stem,
)


class Layers:
    """Layers one after another; every method adds one and returns its name."""

    def __init__(self, image: Shape, padding: Padding) -> None:
        self.shapes = {IMAGE: image}
        self.padding = padding
        self.found: list[LayerCost] = []

    def conv(
        self,
        name: str,
        source: str,
        channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        depthwise: bool = False,
        block: str = "",
        adds: str = "",
    ) -> str:
        """A convolution without bias, a norm, ReLU6; then the output of the layer `adds`, added."""
        c_in, height, width = self.shapes[source]
        output = (
            channels,
            output_size(height, stride, self.padding, depthwise=depthwise),
            output_size(width, stride, self.padding, depthwise=depthwise),
        )
        weights = channels * (1 if depthwise else c_in) * kernel**2
        return self.add(
            LayerCost(
                name,
                "depthwise" if depthwise else f"conv{kernel}x{kernel}",
                self.shapes[source],
                output,
                kernel,
                stride,
                parameters=weights,
                norm=2 * channels,
                madds=weights * elements(output[1:]),
                reads=(source, adds) if adds else (source,),
                block=block,
            )
        )

    def head(self, source: str, classes: int) -> str:
        """The average pool and the fully connected layer."""
        shape = self.shapes[source]
        channels = shape[0]
        pool = self.add(LayerCost("pool", "pool", shape, (channels,), reads=(source,)))
        weights = channels * classes
        return self.add(
            LayerCost(
                "classifier",
                "fc",
                (channels,),
                (classes,),
                parameters=weights + classes,
                madds=weights,
                reads=(pool,),
            )
        )

    def add(self, layer: LayerCost) -> str:
        """Any layer; its name."""
        self.found.append(layer)
        self.shapes[layer.name] = layer.output
        return layer.name


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
                depthwise=True,
                block=name,
            )
            x = layers.conv(f"{name}.pointwise", x, block.c_out, block=name)
        else:
            x = layers.conv(name, x, block.c_out, 3, stride=block.stride, block=name)
    layers.head(x, classes)
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
    )
    layers = Layers(image, padding)
    x = layers.conv("backbone.stem", IMAGE, v2_stem(width), 3, stride=early_strides[0])
    blocks = v2_blocks(
        width, output_stride=output_stride, expansion=expansion, early_strides=early_strides
    )
    carried = ""
    for index, block in enumerate(blocks):
        name = f"backbone.blocks.{index}"
        x, carried = inverted_residual(layers, name, x, block, shortcut, carried)
    x = layers.conv("backbone.last", x, v2_last(width, finegrained=finegrained))
    layers.head(x, classes)
    return layers.found


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
        f"{name}.depthwise", inner, hidden, 3, stride=block.stride, depthwise=True, block=name
    )
    adds = x if keeps_shape and shortcut == "bottleneck" else ""
    y = layers.conv(f"{name}.project", y, block.c_out, block=name, adds=adds)
    return y, inner if passes else ""


NETWORKS: dict[str, Callable[..., list[LayerCost]]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}


def profile(
    name: str,
    *,
    resolution: int | tuple[int, int] = 224,
    bytes_per_element: int = 4,
    **knobs: Any,
) -> Cost:
    """The cost of the network called `name` for one RGB image, with any knob of its constructor.

    `resolution` is in pixels, one side or (height, width). Raises ValueError for an unknown name,
    a knob that this network does not have, or a value out of range.
    """
    if name not in NETWORKS:
        raise ValueError(unknown_name(name, NETWORKS))
    height, width = image_size(resolution)
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
    layers = NETWORKS[name](image, **knobs)
    return Cost(name, tuple(layers), {IMAGE: image}, {**known, **knobs}, bytes_per_element)


def image_size(resolution: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of a resolution given as one side or as both; ValueError if not positive."""
    sides = [resolution] * 2 if isinstance(resolution, int) else list(resolution)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f"resolution must be a positive integer or (height, width), got {resolution!r}"
        )
    return sides[0], sides[1]
