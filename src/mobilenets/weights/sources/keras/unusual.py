"""What layers can say that changes their answers and that nothing else here reads: refused."""

from collections.abc import Mapping, Sequence
from typing import Any

from mobilenets.errors import WeightsError
from mobilenets.weights.sources.keras.config import KerasLayer

_FLAT = ("Flatten", "Reshape", "GlobalAveragePooling2D", "GlobalAvgPool2D")
_TRAINED = ("BatchNormalization", "GaussianNoise", "SpatialDropout2D")
_CODES = ("int8", "int4", "float8", "gptq", "awq")
"""Words in the type of a layer whose stored numbers are not its weights but codes for them."""


def refuse_unusual(layers: Sequence[KerasLayer]) -> None:
    """WeightsError, naming the layer, for one that our layers cannot follow.

    A norm or a softmax over another axis than that of channels, layers of which some have their
    channels first, and quantised weights.
    """
    formats = {str(one.settings.get("data_format") or "channels_last") for one in layers
               if "data_format" in one.settings}  # fmt: skip
    if len(formats) > 1:
        raise WeightsError("some of its layers have channels_first and some channels_last")
    first = formats == {"channels_first"}
    flat = False
    for layer in layers:
        flat |= layer.kind in _FLAT
        axis = _axis(layer.settings.get("axis"))
        allowed = (-1, 1) if flat else (1, -3) if first else (-1, 3)
        if layer.kind in ("BatchNormalization", "Softmax") and axis not in (None, *allowed):
            raise WeightsError(
                f"its layer {layer.name!r} works along axis {axis}, not the channels"
            )
        kind = _type(layer.settings.get("dtype"))
        if any(word in kind.lower() for word in _CODES):
            raise WeightsError(f"its layer {layer.name!r} is quantised ({kind}), which is not read")


def always_training(layers: Sequence[KerasLayer]) -> str:
    """In words, the first layer that answers as in training, by each batch or at random; or ''."""
    for layer in layers:
        if layer.training and (layer.kind in _TRAINED or layer.kind.endswith("Dropout")):
            return f"its layer {layer.name!r} is called with training=True, always"
    return ""


def _axis(value: Any) -> Any:
    """An axis, which some versions write as a list of one."""
    return value[0] if isinstance(value, (list, tuple)) and len(value) == 1 else value


def _type(value: Any) -> str:
    """The name of a layer's type or of its policy, `mixed_float16`."""
    inner = value.get("config") if isinstance(value, Mapping) else value
    if isinstance(inner, Mapping):
        inner = inner.get("name") or inner.get("mode") or value.get("class_name")
    return inner if isinstance(inner, str) else ""
