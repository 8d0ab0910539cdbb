"""Recognising an embedding network by its tensors."""

from collections.abc import Mapping
from typing import Any

from mobilenets.models.bodies import V2
from mobilenets.models.costs import Shape


def recognise(
    shapes: Mapping[str, Shape], backbone: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]] | None:
    """A body with a projection; its pool is told by that one's tensors."""
    if "projection.conv.weight" not in shapes or any(
        name.split(".")[0] not in ("backbone", "pool", "projection", "classifier")
        for name in shapes
    ):
        return None
    found = {**arguments, "dimensions": shapes["projection.conv.weight"][0]}
    if backbone == V2.name and "backbone.last.conv.weight" not in shapes:
        found["last"] = False
    if "pool.power" in shapes:
        found["pooling"] = "gem"
    elif "pool.conv.weight" not in shapes:
        found["pooling"] = "average"
    else:
        found |= {"pooling": "depthwise", "kernel": shapes["pool.conv.weight"][-1]}
    if "classifier.weight" in shapes:
        found["classes"] = shapes["classifier.weight"][0]
    return f"embedding_{backbone}", found
