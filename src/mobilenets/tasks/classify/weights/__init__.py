"""Recognising a classifier by its tensors."""

from collections.abc import Mapping
from typing import Any

from mobilenets.models.bodies import V2
from mobilenets.models.costs import Shape
from mobilenets.weights.containers.arrays import shape_of


def recognise(
    shapes: Mapping[str, Shape], backbone: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A body with a classifier has the body's name; WeightsError where there is no classifier."""
    if backbone == V2.name:
        shape_of(shapes, "backbone.last.conv.weight")
    return backbone, {**arguments, "classes": shape_of(shapes, "classifier.weight")[0]}
