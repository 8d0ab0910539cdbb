"""The configuration of a Keras model as one list of layers, in the order in which they run.

Keras 2 and 3, tf.keras and TensorFlow.js write it, as a sequence of layers or as a graph; a model
may be a layer of another one. All of that is laid flat here.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mobilenets.errors import WeightsError

MAX_LAYERS = 5000
"""Of one file; MobileNetV2 has about 160."""
MODELS = ("Sequential", "Functional", "Model")


@dataclass(frozen=True)
class KerasLayer:
    """A layer as it is called once."""

    kind: str
    """Its class in Keras, without the package: `Conv2D`."""
    name: str
    path: str
    """Where Keras 3 keeps its variables: classes, counted in each model: `functional/conv2d_3`."""
    settings: Mapping[str, Any]
    inputs: tuple[str, ...]
    """The layers whose outputs it gets, by their `output`."""
    output: str
    call: Any = None
    """How it was called, as it stands in the file: numbers among the arguments are there."""
    training: bool = False
    """Whether it, or the model that it is in, is called as in training, whenever it is called."""


def layers_of(config: Any) -> list[KerasLayer]:
    """The layers of a model that are needed for its outputs; [] for what is no such configuration.

    WeightsError for a model with several outputs or inputs, or that calls a layer twice.
    """
    node = _model(config)
    if node is None:
        return []
    found: list[KerasLayer] = []
    _add(node, "", "", None, found)
    return found


def _model(config: Any) -> Mapping[str, Any] | None:
    """The model itself, which some writers wrap."""
    for _ in range(3):
        if not isinstance(config, Mapping):
            return None
        if config.get("class_name") in MODELS:
            return config
        config = config.get("model_config", config.get("modelTopology", config.get("config")))
    return None


def _add(
    node: Mapping[str, Any],
    prefix: str,
    path: str,
    source: str | None,
    found: list[KerasLayer],
    training: bool = False,
) -> str:
    """Add a model's layers to `found`; the name of its output. `source` is what it reads."""
    inner = node.get("config")
    sequence = inner if isinstance(inner, list) else (inner or {}).get("layers")
    if not isinstance(sequence, list) or not all(isinstance(one, Mapping) for one in sequence):
        raise WeightsError("its configuration has a model without a list of layers")
    if len(found) + len(sequence) > MAX_LAYERS or prefix.count("/") > 8:
        raise WeightsError(f"its configuration has more than {MAX_LAYERS} layers")
    chain = node.get("class_name") == "Sequential"
    outputs: dict[str, str] = {}
    before = source
    for layer, where in _ordered(sequence, inner, chain=chain):
        name = _name(layer)
        given = [outputs[x] for x in _inbound(layer)] if not chain else [before] if before else []
        here = f"{path}{where}"
        call = layer.get("inbound_nodes", layer.get("inboundNodes"))
        trains = training or _trains(call)
        if layer.get("class_name") in MODELS:
            if len(given) > 1:
                raise WeightsError(f"its part {name!r} has {len(given)} inputs")
            start = given[0] if given else None
            before = _add(layer, f"{prefix}{name}/", f"{here}/", start, found, trains)
        else:
            kind, settings = _kind(layer), layer.get("config")
            if kind == "InputLayer" and not chain and source:
                given = [source]  # of a model in another one
            settings = settings if isinstance(settings, Mapping) else {}
            before = f"{prefix}{name}"
            found.append(KerasLayer(kind, name, here, settings, tuple(given), before, call, trains))
        outputs[name] = before
    ends = list(outputs)[-1:] if chain else _ends(inner)
    if len(ends) != 1 or ends[0] not in outputs:
        raise WeightsError(f"its model {_name(node)!r} has {len(ends)} outputs, must be one")
    return outputs[ends[0]]


def _ordered(
    sequence: Sequence[Mapping[str, Any]], inner: Any, *, chain: bool
) -> Iterator[tuple[Mapping[str, Any], str]]:
    """Layers, each after those that it reads, with Keras 3's word for it in this model."""
    counted: dict[str, int] = {}
    words: dict[str, str] = {}
    by_name: dict[str, Mapping[str, Any]] = {}
    for layer in sequence:
        word = _snake(_kind(layer))
        number = counted[word] = counted.get(word, -1) + 1
        name = _name(layer)
        if name in by_name:
            raise WeightsError(f"its configuration has two layers called {name!r}")
        words[name] = f"{word}_{number}" if number else word
        by_name[name] = layer
    if chain:
        yield from ((layer, words[_name(layer)]) for layer in sequence)
        return
    pending, state = list(reversed(_ends(inner))), dict.fromkeys(by_name, 0)
    while pending:
        name = pending[-1]
        if name not in by_name:
            raise WeightsError(f"its configuration reads a layer {name!r} that is not in it")
        missing = [x for x in _inbound(by_name[name]) if state.get(x, 0) < 2]
        if state[name] == 2 or not missing:
            pending.pop()
            if state[name] < 2:
                state[name] = 2
                yield by_name[name], words[name]
            continue
        if state[name] == 1 and any(state.get(x) == 1 for x in missing):
            raise WeightsError(f"its configuration has a circle at layer {name!r}")
        state[name] = 1
        pending.append(missing[0])


def _ends(inner: Any) -> list[str]:
    """The layers that a graph's outputs come from."""
    found = inner.get("output_layers", inner.get("outputLayers")) if isinstance(inner, dict) else 0
    return list(dict.fromkeys(_references(found)))


def _inbound(layer: Mapping[str, Any]) -> list[str]:
    """The layers that one reads, in order; WeightsError where it is called more than once."""
    nodes = layer.get("inbound_nodes", layer.get("inboundNodes")) or []
    if isinstance(nodes, list) and len(nodes) > 1:
        raise WeightsError(f"its layer {_name(layer)!r} is used {len(nodes)} times")
    return list(_references(nodes))


def _references(value: Any, depth: int = 0) -> Iterator[str]:
    """Names in `["conv1", 0, 0]`, the way every version of Keras writes a tensor."""
    if depth > 12:
        return
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _references(one, depth + 1)
    elif isinstance(value, (list, tuple)):
        numbers = len(value) >= 3 and all(type(one) is int for one in value[1:3])
        if numbers and isinstance(value[0], str):
            if value[0] != "_CONSTANT_VALUE":
                yield value[0]
            yield from _references(value[3:], depth + 1)
            return
        for one in value:
            yield from _references(one, depth + 1)


def _trains(call: Any, depth: int = 0) -> bool:
    """Whether `training=True` is among a layer's arguments, in any version's form."""
    if depth > 6:
        return False
    if isinstance(call, Mapping):
        return call.get("training") is True or any(_trains(v, depth + 1) for v in call.values())
    return isinstance(call, list) and any(_trains(one, depth + 1) for one in call)


def _name(layer: Mapping[str, Any]) -> str:
    settings = layer.get("config")
    own = settings.get("name") if isinstance(settings, Mapping) else None
    return str(layer.get("name") or own or layer.get("class_name"))


def _kind(layer: Mapping[str, Any]) -> str:
    """`Conv2D` of `Conv2D`, `Custom>Conv2D` and `keras.layers.Conv2D`."""
    return re.split(r"[>.]", str(layer.get("class_name")))[-1]


def _snake(name: str) -> str:
    """Keras' own way from `DepthwiseConv2D` to `depthwise_conv2d`."""
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
