"""From the tensors of a network to its name and arguments: no torch, only names and shapes."""

import bisect
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from mobilenets.errors import WeightsError
from mobilenets.models.deeplab_geometry import HEAD_CHANNELS
from mobilenets.models.geometry import (
    NETWORKS,
    Block,
    v1_blocks,
    v1_stem,
    v2_blocks,
    v2_last,
    v2_stem,
)
from mobilenets.models.ssd_geometry import anchor_shapes, extra_channels

PUBLISHED_WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
STEP = 1e-6  # widths are told apart down to this
WIDEST = 16

Shape = tuple[int, ...]


class Shaped(Protocol):
    """Anything with a shape: an array, a tensor, or the header entry of one."""

    @property
    def shape(self) -> Shape:
        """Length of every axis."""
        ...


def infer(tensors: Mapping[str, Shaped]) -> tuple[str, dict[str, Any]]:
    """Find a network's name in the zoo and its constructor's arguments.

    `tensors` are called as in our state dict; only their shapes are read. The width is one of
    the published ones if that gives these very channels, otherwise the roundest number that
    does. Left to the caller, since no shape shows them: padding, norm eps, strides.

    Raises WeightsError for tensors of another network, for missing or unknown ones, and for
    channels that no width gives.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    segments = "branches.0.conv.weight" in shapes
    if "backbone.blocks.0.project.conv.weight" in shapes:
        name, arguments = "mobilenet_v2", _v2_segmenter(shapes) if segments else _v2(shapes)
    else:
        name, arguments = "mobilenet_v1", _v1(shapes)
    if "extras.0.squeeze.conv.weight" in shapes:
        name, arguments = _detector(shapes, name, arguments)
    elif segments:
        name, arguments = _segmenter(shapes, name, arguments)
    else:
        arguments["classes"] = _shape(shapes, "classifier.weight")[0]
    check_shapes(shapes, name, arguments)
    return name, arguments


def _detector(
    shapes: Mapping[str, Shape], backbone: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    unusual = arguments.keys() - {"width"}
    if unusual:
        raise WeightsError(f"a detector on a {backbone} with another {', '.join(sorted(unusual))}")
    head = _shape(shapes, "scores.0.predict.weight", "detector")
    arguments["classes"] = head[0] // len(anchor_shapes()[0]) - 1
    if "extras.0.depthwise.conv.weight" in shapes:
        return f"ssdlite_{backbone}", arguments
    return f"ssd_{backbone}", {**arguments, "head_kernel": head[-1]}


def _segmenter(
    shapes: Mapping[str, Shape], backbone: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    unusual = arguments.keys() - {"width", "divisor"}
    if unusual:
        raise WeightsError(
            f"segmentation on a {backbone} with another {', '.join(sorted(unusual))}"
        )
    arguments["classes"] = _shape(shapes, "classifier.weight", "segmentation network")[0]
    arguments["aspp"] = "branches.1.conv.weight" in shapes
    return f"deeplabv3_{backbone}", arguments


def check_shapes(shapes: Mapping[str, Shape], name: str, arguments: Mapping[str, Any]) -> None:
    """Raise WeightsError unless `shapes` are those of this network, no more and no fewer."""
    expected = expected_shapes(name, arguments)
    for tensor, shape in expected.items():
        if tensor not in shapes:
            raise WeightsError(f"{name} needs a tensor {tensor}, there is none")
        if shapes[tensor] != shape:
            raise WeightsError(f"{tensor} must be {shape}, got {shapes[tensor]}")
    for tensor in shapes:
        if tensor not in expected and not tensor.endswith("num_batches_tracked"):
            raise WeightsError(f"{name} has no place for the tensor {tensor}")


def expected_shapes(name: str, arguments: Mapping[str, Any]) -> dict[str, Shape]:
    """The state dict of a network of the zoo as name -> shape; nothing is allocated.

    WeightsError for a network that no weights are read for.
    """
    task, backbone = NETWORKS[name].task, NETWORKS[name].backbone
    if backbone not in ("mobilenet_v1", "mobilenet_v2"):
        raise WeightsError(f"no weights are read for {name}")
    shapes, channels = _backbone(backbone, arguments)
    if task == "detect":
        return {**shapes, **_detector_shapes(name, arguments, channels)}
    if task == "segment":
        return _segmenter_shapes(shapes, arguments)
    classes = arguments.get("classes", 1000)
    return {**shapes, "classifier.weight": (classes, channels[-1]), "classifier.bias": (classes,)}


def _backbone(name: str, arguments: Mapping[str, Any]) -> tuple[dict[str, Shape], list[int]]:
    """Its tensors, and the channels of the two maps that SSD reads, of which its output is one."""
    width = arguments.get("width", 1.0)
    if name == "mobilenet_v1":
        blocks = v1_blocks(width, shallow=arguments.get("shallow", False))
        shapes = _unit("backbone.stem", v1_stem(width), 3, 3)
        for index, block in enumerate(blocks):
            separable = arguments.get("separable", True)
            shapes |= _v1_block(f"backbone.blocks.{index}", block, separable=separable)
        last = blocks[-1].c_out
    else:
        divisor = arguments.get("divisor", 8)
        blocks = v2_blocks(width, expansion=arguments.get("expansion", 6), divisor=divisor)
        shapes = _unit("backbone.stem", v2_stem(width, divisor=divisor), 3, 3)
        for index, block in enumerate(blocks):
            shapes |= _v2_block(f"backbone.blocks.{index}", block)
        finegrained = arguments.get("finegrained", True)
        last = v2_last(width, finegrained=finegrained, divisor=divisor)
        shapes |= _unit("backbone.last", last, blocks[-1].c_out, 1)
    to_32 = next(block for block in reversed(blocks) if block.stride == 2)
    return shapes, [to_32.c_in * to_32.expansion, last]


def _detector_shapes(
    name: str, arguments: Mapping[str, Any], maps: Sequence[int]
) -> dict[str, Shape]:
    """Extras and heads of a detector on maps of that many channels."""
    lite = name.startswith("ssdlite")
    kernel = 1 if lite else arguments.get("head_kernel", 1 if name == "ssd_mobilenet_v1" else 3)
    channels, shapes = list(maps), dict[str, Shape]()
    for index, c_out in enumerate(extra_channels(arguments.get("width", 1.0))):
        inner, extra = c_out // 2, f"extras.{index}"
        shapes |= _unit(f"{extra}.squeeze", inner, channels[-1], 1)
        if lite:
            shapes |= _unit(f"{extra}.depthwise", inner, 1, 3)
        shapes |= _unit(f"{extra}.expand", c_out, inner, 1 if lite else 3)
        channels.append(c_out)
    places = [len(anchors) for anchors in anchor_shapes()]
    for head, values in ("boxes", 4), ("scores", 1 + arguments.get("classes", 80)):
        for index, (c_in, place) in enumerate(zip(channels, places, strict=True)):
            if lite:
                shapes |= _unit(f"{head}.{index}.depthwise", c_in, 1, 3)
            shapes[f"{head}.{index}.predict.weight"] = (place * values, c_in, kernel, kernel)
            shapes[f"{head}.{index}.predict.bias"] = (place * values,)
    return shapes


def _segmenter_shapes(
    backbone: Mapping[str, Shape], arguments: Mapping[str, Any]
) -> dict[str, Shape]:
    """A segmentation network's tensors from those of its backbone, whose last block it reads."""
    shapes = {k: v for k, v in backbone.items() if not k.startswith("backbone.last.")}
    c_in = [shape[0] for shape in shapes.values()][-1]
    branches = 4 if arguments.get("aspp", False) else 1
    classes = arguments.get("classes", 21)
    shapes |= _unit("pool", HEAD_CHANNELS, c_in, 1)
    for index in range(branches):
        shapes |= _unit(f"branches.{index}", HEAD_CHANNELS, c_in, 3 if index else 1)
    shapes |= _unit("project", HEAD_CHANNELS, (1 + branches) * HEAD_CHANNELS, 1)
    return {
        **shapes,
        "classifier.weight": (classes, HEAD_CHANNELS, 1, 1),
        "classifier.bias": (classes,),
    }


def _unit(name: str, c_out: int, c_in: int, kernel: int) -> dict[str, Shape]:
    norm = ("weight", "bias", "running_mean", "running_var")
    return {
        f"{name}.conv.weight": (c_out, c_in, kernel, kernel),
        **{f"{name}.norm.{part}": (c_out,) for part in norm},
    }


def _v1_block(name: str, block: Block, *, separable: bool) -> dict[str, Shape]:
    if not separable:
        return _unit(name, block.c_out, block.c_in, 3)
    return {
        **_unit(f"{name}.depthwise", block.c_in, 1, 3),
        **_unit(f"{name}.pointwise", block.c_out, block.c_in, 1),
    }


def _v2_block(name: str, block: Block) -> dict[str, Shape]:
    hidden = block.c_in * block.expansion
    expand = _unit(f"{name}.expand", hidden, block.c_in, 1) if block.expansion > 1 else {}
    return {
        **expand,
        **_unit(f"{name}.depthwise", hidden, 1, 3),
        **_unit(f"{name}.project", block.c_out, hidden, 1),
    }


def _v1(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    separable = "backbone.blocks.0.pointwise.conv.weight" in shapes
    part = ".pointwise.conv.weight" if separable else ".conv.weight"
    found = _channels(shapes, part)
    shallow = len(found) == 1 + len(v1_blocks(shallow=True))

    def channels(width: float) -> Shape:
        return v1_stem(width), *(block.c_out for block in v1_blocks(width, shallow=shallow))

    arguments: dict[str, Any] = {"width": _width("mobilenet_v1", found, channels)}
    return (
        arguments
        | ({"shallow": True} if shallow else {})
        | ({} if separable else {"separable": False})
    )


def _v2(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    last = _shape(shapes, "backbone.last.conv.weight")[0]
    found = (*_channels(shapes, ".project.conv.weight"), last)

    def channels(width: float, finegrained: bool = True) -> Shape:
        blocks = v2_blocks(width)
        last = v2_last(width, finegrained=finegrained)
        return v2_stem(width), *(block.c_out for block in blocks), last

    expand = shapes.get("backbone.blocks.1.expand.conv.weight", (1, 1))
    expansion = max(expand[0] // max(expand[1], 1), 1) if len(expand) > 1 else 1
    arguments: dict[str, Any] = {} if expansion == 6 else {"expansion": expansion}
    try:
        return {"width": _width("mobilenet_v2", found, channels), **arguments}
    except WeightsError:
        coarse = _fit(found, lambda width: channels(width, finegrained=False))
        if coarse is None:
            raise
        return {"width": coarse, "finegrained": False, **arguments}


def _v2_segmenter(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """As `_v2`, without a last convolution; 1 is the divisor of released ones of width 0.5."""
    found = _channels(shapes, ".project.conv.weight")

    def channels(width: float, divisor: int = 8) -> Shape:
        blocks = v2_blocks(width, divisor=divisor)
        return v2_stem(width, divisor=divisor), *(block.c_out for block in blocks)

    try:
        return {"width": _width("mobilenet_v2", found, channels)}
    except WeightsError:
        width = _fit(found, lambda width: channels(width, 1))
        if width is None:
            raise
        return {"width": width, "divisor": 1}


def _shape(shapes: Mapping[str, Shape], name: str, what: str = "classifier") -> Shape:
    shape = shapes.get(name)
    if not shape:
        raise WeightsError(f"not a MobileNet {what}: there is no {name}")
    return shape


def _channels(shapes: Mapping[str, Shape], part: str) -> Shape:
    """Output channels of the stem and of every block's `part`, in order."""
    found = [_shape(shapes, "backbone.stem.conv.weight")[0]]
    while shape := shapes.get(f"backbone.blocks.{len(found) - 1}{part}"):
        found.append(shape[0])
    return tuple(found)


def _width(name: str, found: Shape, channels: Callable[[float], Shape]) -> float:
    width = _fit(found, channels)
    if width is None:
        raise WeightsError(
            f"no width of {name} has these channels: stem {found[0]}, "
            f"then {', '.join(map(str, found[1:]))}"
        )
    return width


def _fit(found: Shape, channels: Callable[[float], Shape]) -> float | None:
    """The width whose `channels` are `found`, a published one if possible, or None.

    Every channel count grows with the width, so the widths that fit are one interval.
    """
    if len(channels(1.0)) != len(found):
        return None
    for width in PUBLISHED_WIDTHS:
        if channels(width) == found:
            return width
    grid = range(1, round(WIDEST / STEP) + 1)

    def enough(i: int) -> bool:
        return all(c >= f for c, f in zip(channels(i * STEP), found, strict=True))

    def too_many(i: int) -> bool:
        return any(c > f for c, f in zip(channels(i * STEP), found, strict=True))

    low = 1 + bisect.bisect_left(grid, True, key=enough)
    high = 1 + bisect.bisect_left(grid, True, key=too_many)
    for digits in range(1, 7):
        unit = 10 ** (6 - digits)
        candidate = math.ceil(low / unit) * unit
        if candidate < high and candidate <= grid[-1]:
            return float(round(candidate * STEP, digits))
    return None
