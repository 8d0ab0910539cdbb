"""The one dict: a name and its constructor."""

from collections.abc import Callable
from typing import Any

from mobilenets.models.classifier import Classifier, mobilenet_v1, mobilenet_v2
from mobilenets.models.geometry import unknown_name

MODELS: dict[str, Callable[..., Classifier]] = {
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}


def build(name: str, **arguments: Any) -> Classifier:
    """The network called `name`, with random weights; ValueError for a bad name or argument."""
    if name not in MODELS:
        raise ValueError(unknown_name(name, MODELS))
    try:
        return MODELS[name](**arguments)
    except TypeError as error:
        raise ValueError(f"{name}: {str(error).split('() ')[-1]}") from error
