"""Hugging Face's MobileNets, with the .json files that lie beside.

The bodies are read here; what stands on them, the uses know (`containers.heads`).
Without config.json the file alone says architecture, width and classes; the rest is then what
Google's own checkpoints have: TensorFlow's padding, epsilon .001, 224 pixels.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.models.geometry import BN_EPS
from mobilenets.runtime.foreign.beside import read_json
from mobilenets.runtime.foreign.prepared import prepared_beside
from mobilenets.runtime.labels import imagenet_labels
from mobilenets.weights.containers.arrays import Arrays, gather
from mobilenets.weights.containers.ends import classified
from mobilenets.weights.containers.foreign import Foreign
from mobilenets.weights.infer import infer
from mobilenets.weights.uses import readers

LAST = "mobilenet_v2.conv_1x1."
"""V2's last convolution, stored but not used by some."""
SCORES = {
    "single_label_classification": "softmax",
    "multi_label_classification": "sigmoid",
}
"""What a problem_type in config.json makes of the outputs."""
MARGIN = 32
"""Google's conversions scale the short side to the crop plus this many pixels."""


def matches(tensors: Mapping[str, NDArray[Any]]) -> bool:
    """Whether the names are those of transformers, with a classifier or not."""
    return any(
        "conv_stem.convolution.weight" in name or "conv_stem.first_conv.convolution" in name
        for name in tensors
    )


def convert(tensors: Arrays, path: Path, aside: Arrays) -> Foreign:
    """Our names and a card; WeightsError, with the reason, for what we cannot express."""
    config = read_json(path.parent / "config.json")
    kind = config.get("model_type")
    if kind is None:
        config = {}  # of something else
    elif not str(kind).startswith("mobilenet_v"):
        raise _wrong("model_type", "mobilenet_v1 or mobilenet_v2", kind)
    v2 = any("conv_stem.first_conv." in name for name in tensors)
    if not any(name.startswith("mobilenet_v") for name in tensors):  # a body saved alone
        tensors = {f"mobilenet_v{1 + v2}.{name}": value for name, value in tensors.items()}
    heads = (reader.head(tensors) for reader in readers("transformers"))
    head = next(filter(None, heads), None)
    units = list(_v2_units(tensors) if v2 else _v1_units(tensors))
    knobs, preprocessing = _knobs(config), _preprocessing(config, path.parent)
    source = f"Hugging Face: {config.get('_name_or_path') or path.name}"
    if head is None or not head.units:
        labels = head.labels if head else imagenet_labels
        found = classified(
            tensors,
            units,
            aside,
            infer,
            arguments=knobs,
            preprocessing=preprocessing,
            source=source,
            labels=lambda classes: _labels(config, classes, labels),
        )
        if v2:
            _check_first_block(found.tensors)
        return replace(found, scores=_scores(config, found.card.arguments.get("classes", 0)))
    if not head.last:
        units = [unit for unit in units if unit[0] != "backbone.last"]
        tensors = {k: v for k, v in tensors.items() if not k.startswith(LAST)}
    gathered = gather(tensors, [*units, *head.units], head.classifier)
    if head.kernel:
        gathered["classifier.weight"] = gathered["classifier.weight"][:, :, None, None]
    name, arguments = infer(gathered)
    _check_first_block(gathered)
    arguments |= {**head.arguments, **knobs}
    card = ModelCard(
        name,
        arguments,
        labels=_labels(config, arguments["classes"], head.labels),
        preprocessing=head.feed(preprocessing),
        source=source,
    )
    return Foreign(card, gathered)


def _scores(config: Mapping[str, Any], classes: int) -> str:
    """What transformers' pipelines do with the outputs of such a classifier.

    One output without a problem_type is trained as a number, and read through a sigmoid.
    """
    kind = config.get("problem_type")
    if kind not in (None, "regression", *SCORES):
        known = ", ".join(("regression", *SCORES))
        raise _wrong("problem_type", known, kind)
    if kind == "regression":
        raise WeightsError(
            f"config.json: problem_type is regression: its {classes} outputs are numbers, not "
            "scores of classes"
        )
    return "sigmoid" if classes == 1 else SCORES.get(str(kind), "")


def _wrong(key: str, wanted: str, got: object) -> WeightsError:
    return WeightsError(f"config.json: {key} must be {wanted}, got {got!r}")


def _v1_units(tensors: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, str, str]]:
    def unit(ours: str, theirs: str) -> tuple[str, str, str]:
        theirs = f"mobilenet_v1.{theirs}"
        return f"backbone.{ours}", f"{theirs}.convolution", f"{theirs}.normalization"

    yield unit("stem", "conv_stem")
    index = 0
    while f"mobilenet_v1.layer.{index}.convolution.weight" in tensors:
        part = "pointwise" if index % 2 else "depthwise"
        yield unit(f"blocks.{index // 2}.{part}", f"layer.{index}")
        index += 1


def _v2_units(tensors: Mapping[str, NDArray[Any]]) -> Iterator[tuple[str, str, str]]:
    def unit(ours: str, theirs: str) -> tuple[str, str, str]:
        theirs = f"mobilenet_v2.{theirs}"
        return f"backbone.{ours}", f"{theirs}.convolution", f"{theirs}.normalization"

    if "mobilenet_v2.conv_stem.expand_1x1.convolution.weight" in tensors:
        raise WeightsError(
            "the first block expands (first_layer_is_expansion is false), which MobileNetV2 "
            "does not where t = 1"
        )
    yield unit("stem", "conv_stem.first_conv")
    yield unit("blocks.0.depthwise", "conv_stem.conv_3x3")
    yield unit("blocks.0.project", "conv_stem.reduce_1x1")
    index = 0
    while f"mobilenet_v2.layer.{index}.expand_1x1.convolution.weight" in tensors:
        yield unit(f"blocks.{index + 1}.expand", f"layer.{index}.expand_1x1")
        yield unit(f"blocks.{index + 1}.depthwise", f"layer.{index}.conv_3x3")
        yield unit(f"blocks.{index + 1}.project", f"layer.{index}.reduce_1x1")
        index += 1
    yield unit("last", "conv_1x1")


def _check_first_block(found: Arrays) -> None:
    """Their first block never has a shortcut; ours and the paper's does where the shape is kept."""
    c_out, c_in = found["backbone.blocks.0.project.conv.weight"].shape[:2]
    if c_in == c_out:
        raise WeightsError(
            f"at this width the first block keeps its {c_in} channels: MobileNetV2 then has a "
            "shortcut there, and transformers has none"
        )


def _knobs(config: Mapping[str, Any]) -> dict[str, Any]:
    activation = config.get("hidden_act", "relu6")
    if activation not in ("relu6", "relu"):
        raise _wrong("hidden_act", "relu6 or relu", activation)
    epsilon, stride = config.get("layer_norm_eps", BN_EPS), config.get("output_stride", 32)
    if not isinstance(epsilon, (int, float)) or epsilon <= 0:
        raise _wrong("layer_norm_eps", "a positive number", epsilon)
    if stride not in (8, 16, 32):
        raise _wrong("output_stride", "8, 16 or 32", stride)
    knobs: dict[str, Any] = {
        "padding": "same" if config.get("tf_padding", True) else "symmetric",
        "norm_eps": float(epsilon),
    }
    if activation != "relu6":
        knobs["activation"] = activation
    return knobs if stride == 32 else knobs | {"output_stride": stride}


def _labels(
    config: Mapping[str, Any], classes: int, usual: Callable[[int], tuple[str, ...]]
) -> tuple[str, ...]:
    """The names in config.json; where it has none, the `usual` of so many classes."""
    names = config.get("id2label") or {}
    if not isinstance(names, dict) or not all(str(key).isdecimal() for key in names):
        raise _wrong("id2label", 'names by number, {"0": "cat", ...}', names)
    labels = tuple(str(names[key]) for key in sorted(names, key=int))
    if all(label == f"LABEL_{i}" for i, label in enumerate(labels)):
        return usual(classes)
    if len(labels) != classes:
        raise WeightsError(f"config.json: id2label has {len(labels)} names for {classes} classes")
    return labels


def _preprocessing(config: Mapping[str, Any], folder: Path) -> Preprocessing:
    image = config.get("image_size", 224)
    sides = [image, image] if isinstance(image, int) else image
    if not (isinstance(sides, list) and len(sides) == 2 and all(isinstance(s, int) for s in sides)):
        raise _wrong("image_size", "pixels, or [height, width]", image)
    height, width = sides
    said = prepared_beside(folder, (height, width))
    if said is not None:
        return said
    side = min(height, width)
    fraction = side / (side + MARGIN)
    try:
        return Preprocessing(size=(height, width), crop_fraction=fraction)
    except ValueError as error:
        raise WeightsError(f"config.json: image_size: {error}") from error
