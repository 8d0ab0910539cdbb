"""timm's `mobilenetv1_*` and `mobilenetv2_*`, with the hub's config.json where it lies beside.

Not expressible, and refused: `mobilenetv1_100h` (a further convolution before the classifier),
`mobilenetv2_110d` and `120d` (deeper, with a stem and a head that are not scaled), and widths of
V1 whose channels timm rounds to multiples of 8 and paper 1 does not.
"""

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mobilenets.card import TORCHVISION, Preprocessing, ResizeRule
from mobilenets.errors import WeightsError
from mobilenets.models.bodies import V1
from mobilenets.runtime.foreign.beside import JsonSection, is_side, read_json
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.weights.containers.arrays import Arrays, shape_of
from mobilenets.weights.containers.ends import classified
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.infer import infer

NORM_EPS = 1e-5
TF_NORM_EPS = 1e-3
RESIZE: dict[str, ResizeRule] = {"center": "torchvision", "squash": "squash", "border": "pad"}
"""timm's crop_mode in our words."""
ACTIVATIONS: Mapping[str, Mapping[str, Any]] = {
    "relu6": {},
    "relu": {"activation": "relu"},
    "leaky_relu": {"activation": "leaky_relu", "negative_slope": 0.01},
}
"""timm's names of activations, and our arguments."""
PADDINGS: Mapping[str, str] = {"same": "same", "symmetric": "symmetric"}
"""timm's pad_type in our words; '' is what the architecture has."""
POOLS = {"avg": "avg", "fast": "avg"}
"""What timm's global_pool may be: averages."""
READ = {"bn_tf", "pad_type", "bn_eps", "output_stride", "act_layer", "global_pool"}
"""Arguments of timm's constructors that say something of the network."""
HARMLESS = {"num_classes", "drop_rate", "drop_path_rate", "bn_momentum", "in_chans"}
"""Those that the tensors show, or that inference does not feel."""


def matches(tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the names are those of timm's family of EfficientNets, MobileNets among them."""
    return {"conv_stem.weight", "bn1.weight", "blocks.0.0.conv_dw.weight"} <= tensors.keys()


def convert(tensors: Arrays, path: Path, aside: Arrays) -> Foreign:
    """Our names and a card; WeightsError, with the reason, for a variant we cannot express."""
    config = JsonSection(read_json(path.parent / "config.json"), "config.json: ")
    if not _architecture(config).removeprefix("tf_").startswith("mobilenet"):
        config = JsonSection({}, "")  # of something else
    blocks = _blocks(tensors)
    _refuse(tensors, len(blocks))
    stem = shape_of({k: v.shape for k, v in tensors.items()}, "conv_stem.weight")[0]
    v1 = not any(".conv_pwl." in name for name in tensors)
    try:
        knobs = _knobs(config)
        preprocessing = _preprocessing(config, v1=v1, width=stem / V1().stem)
        names = _names(config)
    except ValueError as error:
        raise WeightsError(f"config.json: {error}") from error
    return classified(
        tensors,
        list(_units(tensors, blocks)),
        aside,
        infer,
        arguments=knobs,
        preprocessing=preprocessing,
        source=f"timm: {_architecture(config) or path.name}",
        labels=lambda classes: _fitting(names, classes),
    )


def _architecture(config: JsonSection) -> str:
    return str(config.content.get("architecture") or "")


def _blocks(tensors: Mapping[str, NDArray[Any]]) -> list[str]:
    found = {m[0] for name in tensors if (m := re.match(r"blocks\.(\d+)\.(\d+)", name))}
    return sorted(found, key=lambda name: [int(n) for n in name.split(".")[1:]])


def _refuse(tensors: Mapping[str, NDArray[Any]], blocks: int) -> None:
    for name in tensors:
        if ".se." in name:
            raise WeightsError(
                f"{name} is squeeze-and-excitation: a network of timm, but not a MobileNet V1 or V2"
            )
    v2 = any(".conv_pwl." in name for name in tensors)
    if not v2 and "conv_head.weight" in tensors:
        raise WeightsError(
            "a MobileNetV1 with a further convolution before the classifier "
            "(timm's mobilenetv1_100h), which is not in the paper"
        )
    if v2 and blocks != 17:
        raise WeightsError(
            f"{blocks} blocks where MobileNetV2 has 17 (timm's mobilenetv2_110d and _120d "
            "have more of them, and a stem and a head that are not scaled)"
        )


def _units(
    tensors: Mapping[str, NDArray[Any]], blocks: list[str]
) -> Iterator[tuple[str, str, str]]:
    yield "backbone.stem", "conv_stem", "bn1"
    last = "conv_head.weight" in tensors
    for index, theirs in enumerate(blocks):
        if f"{theirs}.conv_pwl.weight" in tensors:
            parts = {"expand": "conv_pw", "depthwise": "conv_dw", "project": "conv_pwl"}
        else:
            parts = {"depthwise": "conv_dw", "project" if last else "pointwise": "conv_pw"}
        for k, (part, conv) in enumerate(parts.items(), 1):
            yield f"backbone.blocks.{index}.{part}", f"{theirs}.{conv}", f"{theirs}.bn{k}"
    if last:
        yield "backbone.last", "conv_head", "bn2"


def _knobs(config: JsonSection) -> dict[str, Any]:
    """Padding, epsilon and stride: timm keeps them in the arguments of its constructor."""
    given = config.section("model_args")
    tf = _architecture(config).startswith("tf_") or bool(given.content.get("bn_tf"))
    knobs: dict[str, Any] = {
        "padding": given.choice("pad_type", PADDINGS, "same" if tf else "symmetric"),
        "norm_eps": given.number("bn_eps", TF_NORM_EPS if tf else NORM_EPS),
    }
    stride = given.content.get("output_stride", 32)
    if stride != 32:
        knobs["output_stride"] = stride
    knobs |= given.choice("act_layer", ACTIVATIONS, "relu6")
    given.choice("global_pool", POOLS, "avg")
    other = sorted(set(given.content) - READ - HARMLESS)
    if other:
        raise WeightsError(f"config.json: cannot express model_args {other}")
    return knobs


def _names(config: JsonSection) -> tuple[str, ...]:
    """The names of the classes, in words where the config has such; () where it has none."""
    names = config.content.get("label_names") or []
    if isinstance(names, dict) and all(key.isdecimal() for key in names):
        names = [names[key] for key in sorted(names, key=int)]
    if not isinstance(names, list):
        raise config.wrong("label_names", "a list of names, or names by number")
    words = config.section("label_descriptions").content
    return tuple(str(words.get(str(name), name)) for name in names)


def _fitting(names: tuple[str, ...], classes: int) -> tuple[str, ...]:
    """ImageNet's where the config has none; () where it has too many or too few."""
    return (names if len(names) == classes else ()) if names else imagenet_labels(classes)


def _preprocessing(config: JsonSection, *, v1: bool, width: float) -> Preprocessing:
    """Of the config; without one, what timm's own configurations of these networks say."""
    given = config.section("pretrained_cfg")
    given = given if given.content else config
    mean, std = ((0.5, 0.5, 0.5),) * 2 if v1 else (TORCHVISION.mean, TORCHVISION.std)
    size = given.content.get("input_size", [3, 224, 224])
    if not isinstance(size, list) or len(size) != 3 or not all(map(is_side, size)):
        raise given.wrong("input_size", "colours, height and width, in whole numbers")
    _, height, side = size
    crop = given.number("crop_pct", 0.9 if v1 and width == 1.25 else 0.875)
    if crop > 1:
        raise given.wrong("crop_pct", "a number above 0, 1 at most")
    return Preprocessing(
        size=(height, side),
        resize=given.choice("crop_mode", RESIZE, "center"),
        crop_fraction=min(side, height) / max(math.floor(min(side, height) / crop), 1),
        interpolation=given.content.get("interpolation", "bicubic"),
        mean=given.colours("mean", mean),
        std=given.colours("std", std, divide=True),
    )
