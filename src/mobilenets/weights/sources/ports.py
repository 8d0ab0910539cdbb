"""State dicts of the many PyTorch ports, recognised by what they hold, not by what it is called.

The convolutions of a state dict, in the order of the network, have shapes that only MobileNetV1
or V2 have; each is followed by its norm. So one reader takes `features.3.conv.0.weight`
(tonylins, d-li14), `model.5.3.weight` (marvis), `layers.2.conv1.weight` (kuangliu, V1) and
whatever else keeps that order. Padding is symmetric and epsilon 1e-5, torch's default.

Names do tell of three ports that they use ReLU where the paper has ReLU6: see `lift`.
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import TORCHVISION, ModelCard, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.weights.containers.arrays import Arrays, gather
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.infer import infer

V1 = re.compile("(DP)+")
V2 = re.compile("P?DPP?(PDPP?)*P")
"""Depthwise 3x3 and pointwise 1x1 after the stem, in order. The P? are what some ports have too
much: an expansion in the first block, a convolution in a shortcut. They are refused by name."""
NORM_EPS = 1e-5
CLIP = 6.0
DEVIATIONS = 64.0
"""How far out, in standard deviations of a norm's output, the clip of ReLU6 is moved."""
CIFAR = Preprocessing(
    size=(32, 32),
    crop_fraction=1.0,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)
"""Of kuangliu's training script."""


@dataclass(frozen=True)
class Port:
    """What a port's names say of it beyond its tensors."""

    name: str
    names: str
    """A regular expression that one of its tensors' names matches from the start."""
    relu: bool = False
    """Activates with ReLU, not ReLU6."""
    early_strides: tuple[int, int] = (2, 2)
    preprocessing: Preprocessing = TORCHVISION


PORTS = (
    Port("marvis/pytorch-mobilenet", r"model\.1\.3\.weight", relu=True),
    Port("mit-han-lab/amc-models", r"features\.1\.3\.weight", relu=True),
    Port(
        "kuangliu/pytorch-cifar",
        r"layers\.0\.conv2\.weight",
        relu=True,
        early_strides=(1, 2),
        preprocessing=CIFAR,
    ),
    Port("tonylins/pytorch-mobilenet-v2 or d-li14/mobilenetv2.pytorch", r"features\.1\.conv\.0\."),
    Port("a PyTorch port", ""),
)
"""Tried in this order; the last fits all."""


@dataclass(frozen=True)
class _PortLayer:
    conv: str
    norm: str
    shape: tuple[int, ...]

    @property
    def kind(self) -> str:
        """D for a depthwise 3x3, P for a 1x1, X for any other."""
        kinds: dict[tuple[int, ...], str] = {(1, 3, 3): "D", (self.shape[1], 1, 1): "P"}
        return kinds.get(self.shape[1:], "X")


def matches(tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Whether its convolutions are those of V1 or V2 in kind and order, of any channels."""
    try:
        layers = _layers(tensors)
    except WeightsError:
        return False
    kinds = "".join(layer.kind for layer in layers[1:])
    return (
        len(layers) > 3
        and layers[0].shape[1:] == (3, 3, 3)
        and (V1.fullmatch(kinds) or V2.fullmatch(kinds)) is not None
    )


def convert(tensors: Arrays, path: Path) -> Foreign:
    """Our names and a card; WeightsError, with the reason, for what we cannot express."""
    port = next(p for p in PORTS if any(re.match(p.names, name) for name in tensors))
    layers = _layers(tensors)
    if layers[1].kind == "P":
        raise WeightsError(
            f"{layers[1].conv} expands in the first block, where MobileNetV2 has t = 1 and no "
            "expansion"
        )
    found = gather(tensors, _units(layers), _classifier(tensors))
    name, arguments = infer(found)
    arguments |= {"padding": "symmetric", "norm_eps": NORM_EPS}
    if port.early_strides != (2, 2):
        arguments["early_strides"] = list(port.early_strides)
    card = ModelCard(
        name,
        arguments,
        labels=imagenet_labels(arguments["classes"]),
        preprocessing=port.preprocessing,
        source=f"{port.name}: {path.name}",
    )
    return Foreign(card, lift(found) if port.relu else found)


def lift(tensors: Mapping[str, NDArray[Any]]) -> Arrays:
    """MobileNetV1 with ReLU, as weights for ReLU6 that give the same outputs.

    ReLU(s x) = s ReLU(x). Each norm is scaled down by a power of two, which is exact, until 6
    lies `DEVIATIONS` beyond its mean, so the clip is never met; the next layer is scaled up by
    the same. Fine-tuning starts from these scaled weights.
    """
    found = dict(tensors)
    units = [name.removesuffix(".conv.weight") for name in found if name.endswith(".conv.weight")]
    followers = [f"{unit}.conv.weight" for unit in units[1:]] + ["classifier.weight"]
    for unit, follower in zip(units, followers, strict=True):
        gamma, beta = found[f"{unit}.norm.weight"], found[f"{unit}.norm.bias"]
        reach = float(np.max(np.abs(beta) + DEVIATIONS * np.abs(gamma), initial=0.0))
        power = max(math.ceil(math.log2(reach / CLIP)), 0) if 0 < reach < math.inf else 0
        found[f"{unit}.norm.weight"] = gamma * np.float32(0.5**power)
        found[f"{unit}.norm.bias"] = beta * np.float32(0.5**power)
        found[follower] = found[follower] * np.float32(2.0**power)
    return found


def _layers(tensors: Mapping[str, NDArray[Any]]) -> list[_PortLayer]:
    """Convolutions and their norms, paired in the order of the network."""
    names = sorted(tensors, key=_rank) if _sorted_by_name(tensors) else list(tensors)
    head = _classifier(tensors)
    convs = [
        name.removesuffix(".weight")
        for name in names
        if tensors[name].ndim == 4 and name.endswith(".weight") and name != f"{head}.weight"
    ]
    norms = [name.removesuffix(".running_mean") for name in names if name.endswith("running_mean")]
    if len(convs) != len(norms):
        raise WeightsError(f"{len(convs)} convolutions and {len(norms)} norms do not pair up")
    return [
        _PortLayer(conv, norm, tensors[f"{conv}.weight"].shape)
        for conv, norm in zip(convs, norms, strict=True)
    ]


def _sorted_by_name(tensors: Mapping[str, Any]) -> bool:
    """Whether the file lost the order of the network, as safetensors does."""
    return list(tensors) == sorted(tensors)


def _rank(name: str) -> tuple[Any, ...]:
    """Sorts as the network runs: stem, numbered layers by number, last convolution, classifier.

    A top-level `conv`, `conv_last` or `bn_last` without number follows the numbered layers.
    """
    first = name.split(".")[0]
    numbered = any(part.isdigit() for part in name.split(".")[1:])
    stem = re.fullmatch(r"(conv|bn)_?1|stem|conv_stem|first.*", first) is not None
    place = 0 if stem else 1 if numbered and first not in ("conv", "last", "head") else 2
    parts = tuple((0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"[._]", name))
    return (place, parts)


def _classifier(tensors: Mapping[str, NDArray[Any]]) -> str:
    """The layer with a bias as long as its weight, and no norm: the last of them."""
    found = [
        name.removesuffix(".weight")
        for name, tensor in tensors.items()
        if name.endswith(".weight")
        and tensor.ndim in (2, 4)
        and f"{name.removesuffix('.weight')}.bias" in tensors
    ]
    if not found:
        raise WeightsError("not a classifier: no fully connected layer with a bias")
    return found[-1]


def _units(layers: list[_PortLayer]) -> Iterator[tuple[str, str, str]]:
    """Our name, their convolution and their norm, for every layer."""
    yield "backbone.stem", layers[0].conv, layers[0].norm
    body = layers[1:]
    if V1.fullmatch("".join(layer.kind for layer in body)):
        for k, layer in enumerate(body):
            part = "pointwise" if k % 2 else "depthwise"
            yield f"backbone.blocks.{k // 2}.{part}", layer.conv, layer.norm
        return
    last = body.pop()
    parts = ["depthwise", "project", *["expand", "depthwise", "project"] * len(body)]
    block = 0
    for part, layer in zip(parts, body, strict=False):
        yield f"backbone.blocks.{block}.{part}", layer.conv, layer.norm
        block += part == "project"
    yield "backbone.last", last.conv, last.norm
