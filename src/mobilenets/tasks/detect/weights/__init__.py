"""Recognising a detector by its tensors."""

from collections.abc import Mapping
from typing import Any

from mobilenets.models.costs import Shape
from mobilenets.tasks.detect.architecture.geometry import anchor_shapes
from mobilenets.weights.containers.arrays import check_body, shape_of


def recognise(
    shapes: Mapping[str, Shape], backbone: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]] | None:
    """SSD or SSDLite on that body; None where there are no extras.

    WeightsError for a body that ours does not stand on.
    """
    if "extras.0.squeeze.conv.weight" not in shapes:
        return None
    check_body(f"a detector on a {backbone}", arguments, {"width"})
    head = shape_of(shapes, "scores.0.predict.weight", "detector")
    found = {**arguments, "classes": head[0] // len(anchor_shapes()[0]) - 1}
    if "extras.0.depthwise.conv.weight" in shapes:
        return f"ssdlite_{backbone}", found
    return f"ssd_{backbone}", {**found, "head_kernel": head[-1]}
