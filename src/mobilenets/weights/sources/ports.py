"""State dicts of the many PyTorch ports, recognised by what they hold, not by what it is called.

The convolutions of a state dict, in the order of the network, have shapes that only MobileNetV1
or V2 have; each is followed by its norm. So one reader takes `features.3.conv.0.weight`
(tonylins, d-li14), `model.5.3.weight` (marvis), `layers.2.conv1.weight` (kuangliu, V1) and
whatever else keeps that order. Padding is symmetric and epsilon 1e-5, torch's default.

Names tell of some ports that they activate with ReLU or LeakyReLU where the paper has ReLU6.
What two ports call alike is told by the stem's width, and said in `Foreign.remarks`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mobilenets.card import TORCHVISION, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.models.geometry import NEGATIVE_SLOPE, Rectifier
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.weights.containers.arrays import Arrays
from mobilenets.weights.containers.ends import classified
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.infer import infer

V1 = re.compile("(DP)+")
V2 = re.compile("P?DPP?(PDPP?)*P")
"""Depthwise 3x3 and pointwise 1x1 after the stem, in order. The P? are what some ports have too
much: an expansion in the first block, a convolution in a shortcut. They are refused by name."""
V2_BLOCKS = re.compile("DP(PDP)*")
"""V2 without its last convolution."""
NORM_EPS = 1e-5
CIFAR = Preprocessing(
    size=(32, 32),
    crop_fraction=1.0,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)
"""Of kuangliu's training script."""
CIFAR_100 = Preprocessing(
    size=(32, 32),
    crop_fraction=1.0,
    mean=(0.50708, 0.48655, 0.44092),
    std=(0.26733, 0.25644, 0.27615),
)
"""Of weiaicunzai's."""


@dataclass(frozen=True)
class Port:
    """What a port's names say of it beyond its tensors."""

    name: str
    names: str
    """A regular expression that one of its tensors' names matches from the start."""
    activation: Rectifier = "relu6"
    negative_slope: float = NEGATIVE_SLOPE
    early_strides: tuple[int, int] = (2, 2)
    preprocessing: Preprocessing = TORCHVISION
    stem: int | None = None
    """Channels of the stem, where another port has the same names."""
    remark: str = ""
    """What was taken where two readings are possible."""


PORTS = (
    Port(
        "marvis/pytorch-mobilenet or qfgaohao/pytorch-ssd",
        r"(model\.)?1\.3\.weight",
        activation="relu",
    ),
    Port("mit-han-lab/amc-models", r"features\.1\.3\.weight", activation="relu"),
    Port(
        "kuangliu/pytorch-cifar",
        r"layers\.0\.conv2\.weight",
        activation="relu",
        early_strides=(1, 2),
        preprocessing=CIFAR,
    ),
    Port(
        "weiaicunzai/pytorch-cifar100",
        r"conv1\.0\.depthwise\.0\.weight",
        activation="relu",
        early_strides=(1, 2),
        preprocessing=CIFAR_100,
    ),
    Port(
        "biubug6/Pytorch_Retinaface",
        r"stage1\.0\.0\.weight",
        activation="leaky_relu",
        negative_slope=0.1,
        stem=8,
        remark="read as RetinaFace's MobileNetV1, with LeakyReLU of slope 0.1, by its names and "
        "the 8 channels of its stem",
    ),
    Port(
        "bubbliiiing/facenet-pytorch",
        r"stage1\.0\.0\.weight",
        remark="read with ReLU6, as bubbliiiing's ports have it; RetinaFace's, which has "
        "LeakyReLU and the same names, has 8 channels in its stem",
    ),
    Port("tonylins/pytorch-mobilenet-v2 or d-li14/mobilenetv2.pytorch", r"features\.1\.conv\.0\."),
    Port("open-mmlab/mmpretrain", r"(backbone\.)?layer1\.0\.conv\.0\.conv\.weight"),
    Port("a PyTorch port", "", remark="a port that is not known by its names: read with ReLU6"),
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
        and any(order.fullmatch(kinds) for order in (V1, V2, V2_BLOCKS))
    )


def convert(tensors: Arrays, path: Path, aside: Arrays) -> Foreign:
    """Our names and a card; WeightsError, with the reason, for what we cannot express."""
    layers = _layers(tensors)
    stem = layers[0].shape[0]
    kernels = [f"{layer.conv}.weight" for layer in layers]
    port = next(
        p
        for p in PORTS
        if p.stem in (None, stem) and any(re.match(p.names, name) for name in kernels)
    )
    if layers[1].kind == "P":
        raise WeightsError(
            f"{layers[1].conv} expands in the first block, where MobileNetV2 has t = 1 and no "
            "expansion"
        )
    arguments: dict[str, Any] = {"padding": "symmetric", "norm_eps": NORM_EPS}
    if port.activation != "relu6":
        arguments["activation"] = port.activation
    if port.negative_slope != NEGATIVE_SLOPE:
        arguments["negative_slope"] = port.negative_slope
    if port.early_strides != (2, 2):
        arguments["early_strides"] = list(port.early_strides)
    found = classified(
        tensors,
        list(_units(layers)),
        aside,
        infer,
        arguments=arguments,
        preprocessing=port.preprocessing,
        source=f"{port.name}: {path.name}",
        labels=imagenet_labels,
    )
    return replace(found, remarks=(port.remark,)) if port.remark else found


def _layers(tensors: Mapping[str, NDArray[Any]]) -> list[_PortLayer]:
    """Convolutions and their norms, paired in the order of the network."""
    names = sorted(tensors, key=_rank) if _sorted_by_name(tensors) else list(tensors)
    norms = [name.removesuffix(".running_mean") for name in names if name.endswith(".running_mean")]
    convs = [
        name.removesuffix(".weight")
        for name in names
        if tensors[name].ndim == 4 and name.endswith(".weight")
    ]
    if len(convs) > len(norms):  # a classifier, or the heads of a detector
        convs = [conv for conv in convs if f"{conv}.bias" not in tensors] or convs
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

    A top-level `conv`, `conv2`, `conv_last` or `bn_last` follows the numbered layers.
    """
    first, *rest = name.removeprefix("backbone.").split(".")
    numbered = any(part.isdigit() for part in rest)
    stem = re.fullmatch(r"stem|conv_stem|first.*", first) or (
        re.fullmatch(r"(conv|bn)_?1", first) and not "".join(rest[:1]).isdigit()
    )
    place = 0 if stem else 1 if numbered and first not in ("conv", "last", "head") else 2
    parts = tuple(
        (0, int(p), "") if p.isdigit() else (1, 0, p) for p in re.split(r"[._]|(?<=\D)(?=\d)", name)
    )
    return (place, parts)


def _units(layers: list[_PortLayer]) -> Iterator[tuple[str, str, str]]:
    """Our name, their convolution and their norm, for every layer."""
    yield "backbone.stem", layers[0].conv, layers[0].norm
    body = layers[1:]
    if V1.fullmatch("".join(layer.kind for layer in body)):
        for k, layer in enumerate(body):
            part = "pointwise" if k % 2 else "depthwise"
            yield f"backbone.blocks.{k // 2}.{part}", layer.conv, layer.norm
        return
    last = None if V2_BLOCKS.fullmatch("".join(layer.kind for layer in body)) else body.pop()
    parts = ["depthwise", "project", *["expand", "depthwise", "project"] * len(body)]
    block = 0
    for part, layer in zip(parts, body, strict=False):
        yield f"backbone.blocks.{block}.{part}", layer.conv, layer.norm
        block += part == "project"
    if last is not None:
        yield "backbone.last", last.conv, last.norm
