"""Small untrained networks for the built-in shapes: seconds to run, export and train."""

import torch

from mobilenets.card import ModelCard, Preprocessing, ResizeRule
from mobilenets.data.shapes import Shapes
from mobilenets.tasks.classify.architecture.classifier import Classifier
from mobilenets.tasks.registry import build


def of_shapes(
    size: int,
    name: str = "mobilenet_v2",
    *,
    width: float = 0.25,
    resize: ResizeRule = "crop",
    **knobs: object,
) -> Classifier:
    """A classifier of shapes `size` pixels wide, the same weights every time, and its card."""
    torch.manual_seed(0)
    labels = Shapes(size).classes
    arguments = {"width": width, "classes": len(labels), **knobs}
    model = build(name, **arguments)
    rule = Preprocessing((size, size), resize)
    model.card = ModelCard(name, arguments, labels=labels, preprocessing=rule)
    return model
