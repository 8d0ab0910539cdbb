"""Recognising a classifier by its tensors."""

from collections.abc import Mapping
from typing import Any

from mobilenets.card import ModelCard
from mobilenets.models.bodies import V2
from mobilenets.models.costs import Shape
from mobilenets.tasks.classify.read import INDEPENDENT_LOGITS, LIKENESS, LOGITS
from mobilenets.weights.containers.arrays import shape_of
from mobilenets.weights.containers.heads import Row, renamed


def recognise(
    shapes: Mapping[str, Shape], backbone: str, arguments: dict[str, Any]
) -> tuple[str, dict[str, Any]]:
    """A body with a classifier has the body's name; WeightsError where there is no classifier."""
    if backbone == V2.name:
        shape_of(shapes, "backbone.last.conv.weight")
    found = {**arguments, "classes": shape_of(shapes, "classifier.weight")[0]}
    if "hidden.weight" in shapes:
        found["hidden"] = shape_of(shapes, "hidden.weight")[0]
    if "known.centroids.weight" in shapes:
        found["known"] = True
    return backbone, found


def finish(card: ModelCard, scores: str) -> ModelCard:
    """The card with what its outputs are: `scores` is what the file says is done with them.

    After a sigmoid each is a score by itself; and so is one output alone, whatever it says, since
    a softmax over it would be 1.
    """
    if card.arguments.get("known") and len(card.outputs) == 1:
        card = card.replace(outputs=(card.output, LIKENESS))
    said = card.output.meaning != LOGITS[0].meaning
    if said or not (scores == "sigmoid" or card.arguments.get("classes") == 1):
        return card
    return card.replace(outputs=INDEPENDENT_LOGITS)


def head_names(layers: Mapping[str, Row]) -> dict[str, str]:
    """What a torch user put in the classifier's place: a dense layer, or two and ReLU between."""
    allowed: dict[tuple[str, ...], tuple[str, ...]] = {("Linear",): ("classifier",)}
    if "hidden" not in layers:
        allowed["Linear", "ReLU", "Linear"] = ("hidden", "classifier")
    return renamed(layers.get("classifier", ()), allowed)
