"""Keras applications' MobileNet and MobileNetV2, as Keras writes them.

Read are the published whole-weights files (`mobilenet_1_0_224_tf.h5`, `mobilenet_v2_weights_
tf_dim_ordering_tf_kernels_1.0_224.h5`), Keras 3's `.weights.h5`, and models saved whole as `.h5`
or `.keras`; every alpha, and a model of one's own that puts a pool and one dense layer on such a
backbone. Of a `no_top` file, and of one with another head, the backbone is read. Weights alone do
not say whether V2 was built for one size or for any; one size is assumed (it matters for odd ones
only).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mobilenets.card import Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.weights.containers import tfjs
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.containers.hdf5 import DAMAGE, Variables, read_variables
from mobilenets.weights.containers.stored import FloatArray, StoredLayer, foreign, is_v1
from mobilenets.weights.infer import infer

PUBLISHED_SIZES = (96, 128, 160, 192, 224)
MOMENTUM_V1, MOMENTUM_V2 = 0.01, 0.001
"""Of the batch normalisations, as torch counts it: V1 keeps Keras' own .99, V2 has .999."""

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_ROLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": _NORM,
}
"""What Keras 3 numbers 0, 1, ... in a layer of this class."""


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
    return assemble(path, variables, config, "TensorFlow.js")


def assemble(path: Path, variables: Variables, config: Any, source: str) -> Foreign:
    """Name and check the variables of a Keras model, however they were stored.

    `config` is the model's configuration as JSON, None where the file has none.
    """
    try:
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
            source=source,
        )
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error


def parted(layers: Sequence[StoredLayer]) -> tuple[list[StoredLayer], list[StoredLayer]]:
    """The convolutions of a body, and the layers on it: from the first dense one on.

    Or the last one, where it has no norm: MobileNetV1's classifier is a convolution.
    """
    ends = next((i for i, layer in enumerate(layers) if layer.dense), len(layers))
    if ends == len(layers) and layers and layers[-1].norm is None and not layers[-1].depthwise:
        ends -= 1
    return list(layers[:ends]), list(layers[ends:])


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
                    sides = [s if isinstance(s, int) and s > 0 else None for s in shape[1:3]]
                    return sides[0], sides[1]
            pending.extend(reversed(list(node.values())))
        elif isinstance(node, (list, tuple)):
            pending.extend(reversed(node))
    return None


def keras_layers(variables: Variables) -> list[StoredLayer]:
    """Layers in order of execution, the classifier last if there is one.

    Raises WeightsError for variables that belong to no convolution.
    """
    by_layer = _by_layer(variables)
    layers: list[StoredLayer] = []
    for name in _in_order(list(by_layer)):
        values = by_layer[name]
        if "kernel" in values and "gamma" not in values:
            layers.append(_layer(name, values))
        elif set(_NORM) <= set(values) and layers and layers[-1].norm is None:
            before = layers[-1]
            norm = (values[_NORM[0]], values[_NORM[1]], values[_NORM[2]], values[_NORM[3]])
            layers[-1] = StoredLayer(
                before.name, before.weight, before.depthwise, before.bias, norm
            )
        else:
            raise WeightsError(f"not a MobileNet of Keras applications: layer {name!r} is no part")
    return layers


def _layer(name: str, values: Mapping[str, FloatArray]) -> StoredLayer:
    """From Keras' (kernel, kernel, in, out), or (in, out) of a dense layer."""
    kernel = values["kernel"]
    if kernel.ndim == 2:
        return StoredLayer(name, kernel.T[:, :, None, None], bias=values.get("bias"), dense=True)
    if kernel.ndim != 4:
        raise WeightsError(f"the kernel of {name!r} must have 2 or 4 axes, got {kernel.shape}")
    # A depthwise kernel is (3, 3, channels, 1), and no other convolution has one 3x3 output.
    if kernel.shape[0] > 1 and kernel.shape[3] == 1:
        return StoredLayer(name, kernel.transpose(2, 3, 0, 1), True, values.get("bias"))
    return StoredLayer(name, kernel.transpose(3, 2, 0, 1), False, values.get("bias"))


def _by_layer(variables: Variables) -> dict[str, dict[str, FloatArray]]:
    """StoredLayer -> role -> values, in the order of the file; optimizer state is left out."""
    found: dict[str, dict[str, FloatArray]] = {}
    for path, values in variables.items():
        parts = path.split("/")
        if parts[0].startswith("optimizer"):
            continue
        role = parts[-1].split(":")[0]
        if role.isdigit() and len(parts) > 2 and parts[-2] == "vars":
            layer = "/".join(parts[:-2])
            roles = _ROLES.get(_class_and_number(layer)[0], ())
            if int(role) >= len(roles):
                raise WeightsError(f"not a MobileNet of Keras applications: variable {path!r}")
            role = roles[int(role)]
        else:
            layer = parts[-2] if len(parts) > 1 else path
            role = "kernel" if role == "depthwise_kernel" else role
        found.setdefault(layer, {})[role] = values
    return found


def _class_and_number(layer: str) -> tuple[str, int]:
    """`layers/conv2d_12` -> ("conv2d", 12), as Keras 3 counts the layers of a class."""
    match = re.fullmatch(r"(.*?)(?:_(\d+))?", layer.rsplit("/", 1)[-1])
    assert match is not None
    return match[1], int(match[2] or 0)


def _in_order(names: Sequence[str]) -> list[str]:
    """The layers as they are executed.

    Keras applications' own names say it, Keras 3's counters say it together with the network;
    for others (older releases named V2's layers differently) the order of the file is taken.
    """
    if any("/" in name for name in names):
        return _by_counters(names)
    if not {"conv_dw_1", "expanded_conv_depthwise"} & set(names):
        return list(names)
    return sorted(names, key=_position)


_PARTS = ("expand", "depthwise", "dw", "project", "pw")


def _position(name: str) -> tuple[int, int, bool]:
    """(block, layer in it, is a norm) of a layer in Keras applications' names; the rest is last."""
    norm = "bn" in name.lower().split("_")
    plain = re.sub(r"_?bn_?", "", name, flags=re.IGNORECASE)
    if plain in ("conv1", "Conv1"):
        return -1, 0, norm
    if plain == "Conv_1":
        return 1000, 0, norm
    block = re.fullmatch(r"(?:block_(\d+)|expanded_conv)_(expand|depthwise|project)", plain)
    if block:
        return int(block[1] or 0), _PARTS.index(block[2]), norm
    block = re.fullmatch(r"conv_(dw|pw)_(\d+)", plain)
    if block:
        return int(block[2]), _PARTS.index(block[1]), norm
    return 1001, 0, norm


def _by_counters(names: Sequence[str]) -> list[str]:
    """Interleave Keras 3's counted layers; how tells V1 from V2 by the number of convolutions."""
    of_class: dict[str, list[str]] = {kind: [] for kind in _ROLES}
    for name in sorted(names, key=lambda n: (n.rsplit("/", 1)[0], _class_and_number(n)[1])):
        of_class[_class_and_number(name)[0]].append(name)
    convs, depthwise = of_class["conv2d"], of_class["depthwise_conv2d"]
    count = len(depthwise)
    if count and len(convs) in (count + 1, count + 2):
        pattern = "c" + "dc" * count
    elif count and len(convs) == 2 * count + 1:
        pattern = "cdc" + "cdc" * (count - 1) + "c"
    else:
        raise WeightsError(
            f"not a MobileNet of Keras applications: {len(convs)} convolutions and {count} "
            f"depthwise ones"
        )
    queues: dict[str, Iterator[str]] = {"c": iter(convs), "d": iter(depthwise)}
    norms = iter(of_class["batch_normalization"])
    order: list[str] = []
    for kind in pattern:
        order += [next(queues[kind]), *_next(norms)]
    return [*order, *queues["c"], *norms, *of_class["dense"]]


def _next(names: Iterator[str]) -> list[str]:
    """The next name, or nothing at the end."""
    name = next(names, None)
    return [] if name is None else [name]
