"""Keras' MobileNets, as Keras, tf.keras and TensorFlow.js write them.

A model saved whole (`.h5`, `.keras`, `model.json`) says what its layers do: that is read, layer by
layer, from its configuration (`config`, `walk`, `head`, `feeding`). Weights alone (the published
`mobilenet_1_0_224_tf.h5`, `.weights.h5`) are taken for Keras applications' networks by their names
and shapes (`names`); they do not say whether V2 was built for one size or for any, so one size is
assumed (it matters for odd ones only).
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mobilenets.card import Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.runtime.foreign.beside import read_json
from mobilenets.weights.containers import tfjs
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.hdf5 import DAMAGE, Variables, read_variables
from mobilenets.weights.containers.stored import foreign, is_v1, module_names
from mobilenets.weights.containers.tflite.rules import padding_of, shortcut_of, strides_of
from mobilenets.weights.infer import infer
from mobilenets.weights.sources.keras import activations
from mobilenets.weights.sources.keras.config import KerasLayer, layers_of
from mobilenets.weights.sources.keras.feeding import KerasFeed, feed_of
from mobilenets.weights.sources.keras.head import WEIGHTED, KerasHead, describe, head_of
from mobilenets.weights.sources.keras.names import keras_layers, parted
from mobilenets.weights.sources.keras.unusual import always_training, refuse_unusual
from mobilenets.weights.sources.keras.variables import LayerVariables
from mobilenets.weights.sources.keras.walk import KerasWalk

STRANGE = (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError)
"""What a value of another type than Keras writes can raise."""
PUBLISHED_SIZES = (96, 128, 160, 192, 224)
MOMENTUM_V1, MOMENTUM_V2 = 0.01, 0.001
"""Of the batch normalisations, as torch counts it: V1 keeps Keras' own .99, V2 has .999."""


def read(path: Path) -> Foreign:
    """The network in a Keras file.

    Raises WeightsError, naming `path`, for a damaged file, for one without a classifier and for
    another network.
    """
    try:
        variables, config = read_variables(path)
    except DAMAGE as error:
        raise WeightsError(f"{path}: damaged, or not written by Keras ({error})") from error
    return assemble(path, variables, config, "Keras")


def read_tfjs(path: Path) -> Foreign:
    """The network in a TensorFlow.js layers model, which is one of Keras applications.

    Raises WeightsError, naming the file, for a damaged model, a shard that is missing or too
    short, a graph model and another network.
    """
    variables, config = tfjs.read_variables(path)
    return _named(path, assemble(path, variables, config, "TensorFlow.js"))


def _named(path: Path, found: Foreign) -> Foreign:
    """With the names of the classes, where Teachable Machine's metadata.json beside it has them."""
    names = read_json(path.with_name("metadata.json")).get("labels")
    classes = found.card.arguments.get("classes")
    if found.unread or not isinstance(names, list):
        return found
    if len(names) != classes:
        wrong = f"metadata.json beside it has {len(names)} names for {classes} outputs, left aside"
        return replace(found, remarks=(*found.remarks, wrong))
    card = found.card.replace(labels=tuple(map(str, names)))
    return replace(found, card=card.replace(source=f"{card.source}; labels from metadata.json"))


def assemble(path: Path, variables: Variables, config: Any, source: str) -> Foreign:
    """Name and check the variables of a Keras model, however they were stored.

    `config` is the model's configuration as JSON, None where the file has none.
    """
    try:
        layers = layers_of(config)
        if layers:
            return _configured(path, variables, config, layers, source)
        return _weights_alone(path, variables, config, source)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except STRANGE as error:
        raise WeightsError(f"{path}: its configuration is damaged ({error!r:.150})") from error


def _weights_alone(path: Path, variables: Variables, config: Any, source: str) -> Foreign:
    """As Keras applications' own networks are built."""
    body, head = parted(keras_layers(variables))
    sides = input_size(config)
    known = published_size(path)
    height, width = sides or (known, known)
    # V1 pads its strided depthwise convolutions by one at the bottom and the right, always;
    # V2 only where it was built without an input size, else its padding is TensorFlow's SAME.
    v1 = is_v1(body)
    padding = "keras" if v1 or None in (height, width) else "same"
    return foreign(
        body,
        head,
        infer,
        arguments={"padding": padding, "norm_momentum": MOMENTUM_V1 if v1 else MOMENTUM_V2},
        preprocessing=Preprocessing(size=(height or known, width or known)),
        source=f"{source}, weights alone: taken as Keras applications' network with ReLU6, "
        "fed [-1, 1], scores by softmax",
    )


def _configured(
    path: Path, variables: Variables, config: Any, layers: list[KerasLayer], source: str
) -> Foreign:
    """As the file's configuration says."""
    refuse_unusual(layers)
    height, width = input_size(config) or (None, None)
    known = published_size(path)
    stored = LayerVariables(variables)
    walk = KerasWalk(layers, stored, (height or 0, width or 0))
    names, surplus = _body(walk)
    steps = walk.steps
    arguments: dict[str, Any] = {
        "padding": padding_of(steps),
        **strides_of(steps, names),
        **shortcut_of(walk, names),
        **activations.of_body(names, walk.activations, [step.layer.name for step in steps]),
    }
    momentum = next((m for m in walk.momenta if 0 < m <= 1), None)
    if momentum is not None:
        arguments["norm_momentum"] = round(momentum, 6)
    start = Preprocessing(size=(height or known, width or known))
    feed, unfed = _feed(walk, stored, start)
    head = head_of(walk.head, stored, walk.side, walk.reason)
    if surplus:
        head = KerasHead((), False, f"behind its backbone it has layers {', '.join(surplus)}")
    weighted = [one.name for one in walk.head if one.kind in WEIGHTED]
    found = foreign(
        [step.layer for step in steps],
        head.layers,
        infer,
        arguments=arguments,
        preprocessing=feed.preprocessing,
        source=f"{source}; {feed.said}",
        independent=head.independent,
        rectified=len(head.layers) == 2,
        unread="; ".join(filter(None, (unfed, head.unread, always_training(layers)))),
    )
    return replace(found, left_out=(*surplus, *weighted)) if found.unread else found


def _body(walk: KerasWalk) -> tuple[list[str], list[str]]:
    """Our names of a body's convolutions, and theirs of those that stand behind it.

    WeightsError, with what ended the walk, where there is no body.
    """
    first: WeightsError | None = None
    for count in range(len(walk.steps), max(len(walk.steps) - 4, -1), -1):
        kept, rest = walk.steps[:count], walk.steps[count:]
        try:
            names = module_names([step.layer for step in kept])
        except WeightsError as error:
            first = first or error
            continue
        walk.cut(count)
        return names, [step.layer.name for step in rest]
    behind = f"; after them comes {describe(walk.head[0])}" if walk.head else ""
    raise WeightsError(f"{first}{behind}")


def _feed(walk: KerasWalk, stored: LayerVariables, start: Preprocessing) -> tuple[KerasFeed, str]:
    """How images are prepared, and why that is not known where a layer does what no card says."""
    try:
        return feed_of(walk.feed, stored, start), ""
    except WeightsError as error:
        return KerasFeed(start, "how images are prepared is not known"), str(error)


def published_size(path: Path) -> int:
    """The resolution in the name of a published file, `..._1.0_192.h5`; 224 where there is none."""
    found = [int(digits) for digits in re.findall(r"_(\d+)(?=[_.])", path.name)]
    return next((size for size in reversed(found) if size in PUBLISHED_SIZES), 224)


def input_size(config: Any) -> tuple[int | None, int | None] | None:
    """(height, width) in a Keras model's configuration; a side that it leaves open is None.

    None where the configuration says nothing.
    """
    pending = [config]
    while pending:
        node = pending.pop()
        if isinstance(node, Mapping):
            for key in ("batch_shape", "batch_input_shape", "batchInputShape"):
                shape = node.get(key)
                if isinstance(shape, (list, tuple)) and len(shape) == 4:
                    first = shape[1] in (1, 3) and shape[3] not in (1, 3)  # channels first
                    two = shape[2:4] if first else shape[1:3]
                    sides = [s if isinstance(s, int) and s > 0 else None for s in two]
                    return sides[0], sides[1]
            pending.extend(reversed(list(node.values())))
        elif isinstance(node, (list, tuple)):
            pending.extend(reversed(node))
    return None
