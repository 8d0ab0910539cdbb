"""The layers of a Keras file that holds weights alone, told by names, counters and shapes."""

import re
from collections.abc import Iterator, Mapping, Sequence

from mobilenets.errors import WeightsError
from mobilenets.weights.containers.hdf5 import Variables
from mobilenets.weights.containers.stored import FloatArray, StoredLayer

_NORM = ("gamma", "beta", "moving_mean", "moving_variance")
_ROLES = {
    "conv2d": ("kernel", "bias"),
    "depthwise_conv2d": ("kernel", "bias"),
    "dense": ("kernel", "bias"),
    "batch_normalization": _NORM,
}
"""What Keras 3 numbers 0, 1, ... in a layer of this class."""


def parted(layers: Sequence[StoredLayer]) -> tuple[list[StoredLayer], list[StoredLayer]]:
    """The convolutions of a body, and the layers on it: from the first dense one on.

    Or the last one, where it has no norm: MobileNetV1's classifier is a convolution.
    """
    ends = next((i for i, layer in enumerate(layers) if layer.dense), len(layers))
    if ends == len(layers) and layers and layers[-1].norm is None and not layers[-1].depthwise:
        ends -= 1
    return list(layers[:ends]), list(layers[ends:])


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
        kind = _class_and_number(name)[0]
        if kind not in of_class:
            raise WeightsError(f"not a MobileNet of Keras applications: layer {name!r:.80}")
        of_class[kind].append(name)
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
