"""From the tensors of a network to its name and arguments: no torch, only names and shapes."""

import bisect
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from mobilenets.errors import WeightsError
from mobilenets.models.bodies import V1, V2
from mobilenets.models.costs import Shape
from mobilenets.models.listing import Layers
from mobilenets.tasks.registry import network_of
from mobilenets.weights.containers.arrays import shape_of
from mobilenets.weights.uses import readers

PUBLISHED_WIDTHS = (0.25, 0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
STEP = 1e-6  # widths are told apart down to this
WIDEST = 16


class Shaped(Protocol):
    """Anything with a shape: an array, a tensor, or the header entry of one."""

    @property
    def shape(self) -> Shape:
        """Length of every axis."""
        ...


def infer(tensors: Mapping[str, Shaped]) -> tuple[str, dict[str, Any]]:
    """Find a network's name in the zoo and its constructor's arguments.

    The body is recognised here; what stands on it, by the use that knows it.

    `tensors` are called as in our state dict; only their shapes are read. The width is one of
    the published ones if that gives these very channels, otherwise the roundest number that
    does. Left to the caller, since no shape shows them: padding, norm eps, strides.

    Tensors of a backbone alone give the name of the body and its arguments.

    Raises WeightsError for tensors of another network, for missing or unknown ones, and for
    channels that no width gives.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    v2 = "backbone.blocks.0.project.conv.weight" in shapes
    backbone, found = (V2.name, _v2(shapes)) if v2 else (V1.name, _v1(shapes))
    if all(name.startswith("backbone.") for name in shapes):
        _compare(shapes, backbone, _body_shapes(backbone, found, shapes))
        return backbone, found
    for reader in readers():
        if recognised := reader.recognise(shapes, backbone, found):
            name, arguments = recognised
            break
    else:
        raise WeightsError(f"no network of ours on a {backbone}")
    try:
        check_shapes(shapes, name, arguments)
    except ValueError as error:  # of a head as none of ours can be
        raise WeightsError(f"no {name}: {error}") from error
    return name, arguments


def check_shapes(shapes: Mapping[str, Shape], name: str, arguments: Mapping[str, Any]) -> None:
    """Raise WeightsError unless `shapes` are those of this network, no more and no fewer."""
    _compare(shapes, name, expected_shapes(name, arguments))


def _compare(shapes: Mapping[str, Shape], name: str, expected: Mapping[str, Shape]) -> None:
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

    WeightsError for a network that no weights are read for, ValueError for a bad argument.
    """
    network = network_of(name)
    if not network.trainable:
        raise WeightsError(f"no weights are read for {name}")
    return network.shapes(**arguments)


def _body_shapes(
    name: str, arguments: Mapping[str, Any], shapes: Mapping[str, Shape]
) -> dict[str, Shape]:
    """The tensors of a body; of V2 those of its last convolution where `shapes` has such."""
    body = (V2 if name == V2.name else V1)(**arguments)
    layers = Layers((3, 32, 32), body.image_padding)
    if "backbone.last.conv.weight" in shapes:
        body.add(layers)
    else:
        body.add_blocks(layers)
    return {tensor: shape for layer in layers.found for tensor, shape in layer.tensors.items()}


def _v1(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    separable = "backbone.blocks.0.pointwise.conv.weight" in shapes
    part = ".pointwise.conv.weight" if separable else ".conv.weight"
    found = _channels(shapes, part)
    shallow = len(found) == 1 + len(V1(shallow=True).blocks)

    def channels(width: float) -> Shape:
        body = V1(width=width, shallow=shallow)
        return body.stem, *(block.c_out for block in body.blocks)

    return (
        {"width": _width(V1.name, found, channels)}
        | ({"shallow": True} if shallow else {})
        | ({} if separable else {"separable": False})
    )


def _v2(shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """Of a body with or without its last convolution.

    Without it there is no `finegrained`, and 1 may be the divisor, as released for width 0.5.
    """
    blocks = _channels(shapes, ".project.conv.weight")
    last = shapes.get("backbone.last.conv.weight")
    found = (*blocks, last[0]) if last else blocks

    def channels(width: float, **knobs: Any) -> Shape:
        body = V2(width=width, **knobs)
        ends = (body.last,) if last else ()
        return body.stem, *(block.c_out for block in body.blocks), *ends

    expand = shapes.get("backbone.blocks.1.expand.conv.weight", (1, 1))
    expansion = max(expand[0] // max(expand[1], 1), 1) if len(expand) > 1 else 1
    arguments: dict[str, Any] = {} if expansion == V2.expansion else {"expansion": expansion}
    try:
        return {"width": _width(V2.name, found, channels), **arguments}
    except WeightsError:
        other: dict[str, Any] = {"finegrained": False} if last else {"divisor": 1}
        width = _fit(found, lambda width: channels(width, **other))
        if width is None:
            raise
        return {"width": width, **other, **arguments}


def _channels(shapes: Mapping[str, Shape], part: str) -> Shape:
    """Output channels of the stem and of every block's `part`, in order."""
    found = [shape_of(shapes, "backbone.stem.conv.weight")[0]]
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
