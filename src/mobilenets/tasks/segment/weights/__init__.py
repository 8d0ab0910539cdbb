"""Recognising a segmentation network by its tensors."""

from collections.abc import Mapping
from typing import Any

from mobilenets.models.costs import Shape
from mobilenets.weights.containers.arrays import check_body, shape_of
from mobilenets.weights.containers.heads import Row, renamed


def recognise(
    shapes: Mapping[str, Shape], backbone: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]] | None:
    """DeepLabv3 on that body; None where there are no branches.

    WeightsError for a body that ours does not stand on.
    """
    if "branches.0.conv.weight" not in shapes:
        return None
    check_body(f"segmentation on a {backbone}", arguments, {"width", "divisor"})
    classes = shape_of(shapes, "classifier.weight", "segmentation network")[0]
    aspp = "branches.1.conv.weight" in shapes
    return f"deeplabv3_{backbone}", {**arguments, "classes": classes, "aspp": aspp}


def head_names(layers: Mapping[str, Row]) -> dict[str, str]:
    """What a torch user put in the classifier's place: a convolution, perhaps in a row."""
    return renamed(layers.get("classifier", ()), {("Conv2d",): ("classifier",)})
