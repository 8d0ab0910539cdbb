"""The cost of our own networks by name, from their lists of layers: nothing is built."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from mobilenets.arguments import nearest
from mobilenets.models.costs import IMAGE, Cost
from mobilenets.tasks.registry import network_of, networks, task_for

OWN = ("resolution", "bytes_per_element", "multi_scale")
"""What `profile_network` takes beside the network's knobs."""


def profile_network(
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
    network = network_of(name)
    height, width = image_size(network.size if resolution is None else resolution)
    if not (isinstance(bytes_per_element, int) and bytes_per_element > 0):
        raise ValueError(f"bytes_per_element must be a positive integer, got {bytes_per_element!r}")
    known = network.knobs
    for knob in knobs:
        if knob not in known:
            near = nearest(knob, [*known, *OWN])
            raise ValueError(
                f"a knob of {name} must be one of {', '.join(known)}, got {knob!r}{near}"
            )
    image = (3, height, width)
    arguments = {**known, **knobs}
    if multi_scale:
        if network.repeated is None:
            able = sorted({task.name for task, one in networks().values() if one.repeated})
            raise ValueError(
                f"multi_scale is for networks to {' or '.join(able)}, "
                f"{name} is to {task_for(name).name}"
            )
        layers = network.repeated(image, partial(network.layers, **knobs))
        arguments["multi_scale"] = True
    else:
        layers = network.layers(image, **knobs)
    return Cost(name, tuple(layers), {IMAGE: image}, arguments, bytes_per_element)


def image_size(resolution: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) of a resolution given as one side or as both; ValueError if not positive."""
    sides = [resolution] * 2 if isinstance(resolution, int) else list(resolution)
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ValueError(
            f"resolution must be a positive integer or (height, width), got {resolution!r}"
        )
    return sides[0], sides[1]
