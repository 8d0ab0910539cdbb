"""What a Keras layer activates with, in one word, whatever way it is written."""

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from mobilenets.errors import WeightsError
from mobilenets.models.geometry import Rectifier

LEAKY = 0.3
"""Keras' slope of LeakyReLU where a file is silent."""
LEAKY_FUNCTION = 0.2
"""And that of the function `leaky_relu`."""

Activated = tuple[str, float]
"""A word, such as `relu6`, `leaky_relu`, `softmax` or `linear`, and the slope below 0."""

LAYERS = ("Activation", "ReLU", "LeakyReLU", "Softmax", "PReLU", "ELU", "ThresholdedReLU")
"""Layers that only activate."""
LINEAR = ("linear", 0.0)
OURS = get_args(Rectifier)


def of_setting(value: Any) -> Activated:
    """The `activation` of a convolution, a dense layer or an Activation."""
    if value is None:
        return LINEAR
    if isinstance(value, Mapping):  # a function, or a layer, written out
        inner = value.get("config")
        if isinstance(inner, Mapping):
            return of_layer(str(value.get("class_name")), inner)
        value = inner if isinstance(inner, str) else value.get("class_name")
    word = str(value).rsplit(">", 1)[-1].rsplit(".", 1)[-1]
    return word, LEAKY_FUNCTION if word == "leaky_relu" else 0.0


def of_layer(kind: str, settings: Mapping[str, Any]) -> Activated:
    """What a layer of LAYERS does."""
    kind = kind.rsplit(">", 1)[-1]
    if kind == "Activation":
        return of_setting(settings.get("activation"))
    if kind == "LeakyReLU":
        slope = number(settings.get("negative_slope", settings.get("alpha", LEAKY)))
        return "leaky_relu", LEAKY if slope is None else slope
    if kind != "ReLU":
        return kind.lower(), 0.0
    ceiling, slope, threshold = (
        number(settings.get(key)) for key in ("max_value", "negative_slope", "threshold")
    )
    if threshold:
        return f"relu from {threshold:g} on", 0.0
    if ceiling is None:
        return ("leaky_relu", slope) if slope else ("relu", 0.0)
    return ("relu6" if ceiling == 6 and not slope else f"relu up to {ceiling:g}"), 0.0


def number(value: Any) -> float | None:
    """A number, or one that Keras wrapped; None for anything else."""
    if isinstance(value, Mapping):
        inner = value.get("config")
        value = value.get("value", inner.get("value") if isinstance(inner, Mapping) else inner)
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    return float(value) if isinstance(value, (int, float)) else None


def of_body(
    names: Sequence[str], found: Sequence[Activated], theirs: Sequence[str]
) -> dict[str, Any]:
    """The arguments of a body whose convolutions, by our `names`, activate so.

    WeightsError, with the layer's own name in `theirs`, for what our bodies cannot do.
    """
    linear = [name.endswith("project") for name in names]
    common = next((one for one, skip in zip(found, linear, strict=True) if not skip), LINEAR)
    tight = any(skip and one != LINEAR for one, skip in zip(found, linear, strict=True))
    for name, one, skip in zip(theirs, found, linear, strict=True):
        expected = LINEAR if skip and not tight else common
        if one != expected or (not skip and one[0] not in OURS):
            raise WeightsError(
                f"its layer {name!r} activates with {one[0]}; our bodies have "
                f"{', '.join(OURS)}, the same behind every layer, and none behind a projection"
            )
    arguments: dict[str, Any] = {} if common[0] == "relu6" else {"activation": common[0]}
    if common[0] == "leaky_relu":
        arguments["negative_slope"] = round(common[1], 6)
    return arguments | ({"linear_bottleneck": False} if tight else {})
