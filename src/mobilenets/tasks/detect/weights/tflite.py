"""TFLite files of SSD and SSDLite on MobileNetV1 and V2, with or without their post-processing.

The network is found from its end: the two outputs lead through concatenations to twelve heads,
those to six maps, and the maps, one after another, to the image. No name is read. Boxes are coded
(y, x, height, width) there and (x, y, width, height) here, so the rows of their heads change
places. Where a file carries its anchors, they must be ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from flatbuffers import flexbuffers

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError
from mobilenets.models.bodies import V1, V2
from mobilenets.models.geometry import BN_EPS
from mobilenets.runtime.labels import coco_labels, unused_label
from mobilenets.tasks.detect.architecture.geometry import (
    CODE_WEIGHTS,
    EXTRAS,
    TAPS,
    Scores,
    anchors_of,
)
from mobilenets.weights.containers.foreign import Foreign, Infer
from mobilenets.weights.containers.stored import (
    FloatArray,
    StoredLayer,
    bias_of,
    checked,
    module_names,
    unit,
)
from mobilenets.weights.containers.tflite.chain import Chain, TfliteStep
from mobilenets.weights.containers.tflite.file import TfliteFile
from mobilenets.weights.containers.tflite.graph import DAMAGE, TfliteGraph
from mobilenets.weights.containers.tflite.paths import REQUANTISE, Paths
from mobilenets.weights.containers.tflite.rules import (
    padding_of,
    rectifier_of,
    shortcut_of,
    strides_of,
    to_relu6,
)

POSTPROCESS = "TFLite_Detection_PostProcess"
MAPS = 2 + len(EXTRAS)
TOLERANCE = 1e-4
"""How far an anchor may be from ours, in sides of the image; and half a step if quantised."""

NAMELESS = ("", "???")
"""What label files of detectors have in the place of an output that was never trained."""

_OURS = [1, 0, 3, 2]
"""From (y, x, height, width) to our order."""
_SCALES = ("x_scale", "y_scale", "w_scale", "h_scale")
"""What the post-processing calls the factors of the box codes, in our order."""
_SCORES: dict[str, Scores] = {"LOGISTIC": "sigmoid", "SOFTMAX": "softmax"}
_SAME_VALUES = ("RESHAPE", "SQUEEZE", *REQUANTISE)


def matches(graph: TfliteGraph) -> bool:
    """Whether a graph ends as a detector does: in its post-processing, or in two long lists."""
    kinds = {operator.kind for operator in graph.operators}
    return POSTPROCESS in kinds or ("CONCATENATION" in kinds and len(graph.outputs) == 2)


def read(file: TfliteFile, infer: Infer) -> Foreign:
    """The detector in a file.

    Raises WeightsError for another network and for anchors that are not ours, ValueError for
    damaged weights.
    """
    graph = file.graph
    paths = Paths(graph)
    ends = _ends(paths)
    heads = {"boxes": _heads(paths, ends.boxes), "scores": _heads(paths, ends.logits)}
    maps = [head.source for head in heads["boxes"]]
    if maps != [head.source for head in heads["scores"]]:
        raise WeightsError("not an SSD: its boxes and its scores are read from different maps")
    trunk = _trunk(paths, maps)
    named = [(f"backbone.{name}", step) for name, step in trunk]
    for index, (before, after) in enumerate(pairwise(maps[1:])):
        named += _extra(f"extras.{index}", paths.chain(before, after))
    for kind, found in heads.items():
        for index, head in enumerate(found):
            named += _head(f"{kind}.{index}", head.chain)
    if not all(all(step.image) for _, step in named):
        raise WeightsError("the size of its image is open, and with it the anchors")
    padding = padding_of([s for _, s in trunk], [s for _, s in named[len(trunk) :]])
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by name
        tensors = _tensors(named, _code_factors(ends))
    name, arguments = infer(tensors)
    _check_anchors(graph, ends, anchors_of(name, trunk[0][1].image, padding)[:, _OURS])
    _check_classes(ends, arguments["classes"])
    arguments |= {"scores": ends.scores, "padding": padding}
    arguments |= rectifier_of([s for _, s in trunk], [part for part, _ in trunk])
    for part, step in named[len(trunk) :]:
        rectifier_of([step], [part], ours="relu6")
    card = ModelCard(
        architecture=name,
        arguments={**arguments, "norm_eps": BN_EPS},
        labels=_labels(file, arguments["classes"]),
        preprocessing=replace(file.preprocessing, resize="squash"),
        source=f"TFLite, {trunk[-1][1].stored.lower()}; {file.said}",
    )
    return Foreign(card, tensors)


def _labels(file: TfliteFile, classes: int) -> tuple[str, ...]:
    """The names in the file, with or without one for the background, or else COCO's."""
    names = file.labels(classes) or file.labels(1 + classes)[1:]
    named = (unused_label(i) if name in NAMELESS else name for i, name in enumerate(names, 1))
    return tuple(named) or coco_labels(classes)


@dataclass(frozen=True)
class _Ends:
    """What the two outputs are made of, and what the post-processing says, if there is one."""

    boxes: int
    logits: int
    scores: Scores
    anchors: int | None = None
    options: bytes = b""


def _ends(paths: Paths) -> _Ends:
    graph = paths.graph
    last = next((op for op in graph.operators if op.kind == POSTPROCESS), None)
    if last is not None:
        if len(last.inputs) != 3 or min(last.inputs) < 0:
            raise WeightsError(f"a {POSTPROCESS} without boxes, scores and anchors")
        codes, scores, anchors = last.inputs
        return _Ends(codes, *_logits(paths, scores), anchors, last.options)
    boxes = [output for output in graph.outputs if _may_be_boxes(paths, output)]
    if len(boxes) != 1:
        raise WeightsError("not an SSD, or which of its outputs are boxes and which scores is open")
    (scores,) = (output for output in graph.outputs if output != boxes[0])
    return _Ends(boxes[0], *_logits(paths, scores))


def _logits(paths: Paths, scores: int) -> tuple[int, Scores]:
    """What the scores are made of, and how; raw ones are meant for sigmoids, as trained."""
    tensor, operator = paths.back(scores, _SAME_VALUES)
    if operator is None or operator.kind not in _SCORES:
        return tensor, "sigmoid"
    return operator.inputs[0], _SCORES[operator.kind]


def _may_be_boxes(paths: Paths, tensor: int) -> bool:
    """Four numbers each, and no scores: with three classes, raw scores look like boxes."""
    operator = paths.back(tensor, _SAME_VALUES)[1]
    are_scores = operator is not None and operator.kind in _SCORES
    return not are_scores and paths.graph.tensors[tensor].shape[-1:] == (4,)


class _FoundHead(NamedTuple):
    source: int
    """The map that it reads."""
    chain: Chain


def _heads(paths: Paths, joined: int) -> list[_FoundHead]:
    """The heads whose outputs are put together in a tensor, in order."""
    operator = paths.back(joined, _SAME_VALUES)[1]
    if operator is None or operator.kind != "CONCATENATION" or len(operator.inputs) != MAPS:
        raise WeightsError(f"not an SSD on a MobileNet: its outputs do not come from {MAPS} maps")
    return [_find_head(paths, tensor) for tensor in operator.inputs]


def _find_head(paths: Paths, tensor: int) -> _FoundHead:
    end, operator = paths.back(tensor, _SAME_VALUES)
    if operator is None or operator.kind != "CONV_2D":
        raise WeightsError("not an SSD: a part of its outputs comes from no convolution")
    source, before = paths.back(operator.inputs[0], (*REQUANTISE, "PAD"))
    if before is not None and before.kind == "DEPTHWISE_CONV_2D":  # SSDLite's; maps end in 1x1
        source, _ = paths.back(before.inputs[0], (*REQUANTISE, "PAD"))
    return _FoundHead(source, paths.chain(source, end))


def _trunk(paths: Paths, maps: Sequence[int]) -> list[tuple[str, TfliteStep]]:
    """The backbone's convolutions; WeightsError unless SSD's first two maps come from there."""
    chain = paths.chain(paths.graph.inputs[0], maps[1])
    names = module_names([step.layer for step in chain.steps])
    unusual = {**strides_of(chain.steps, names), **shortcut_of(chain, names)}
    if unusual:
        raise WeightsError(f"a detector whose backbone has {unusual}, which is none of ours")
    backbone = V2.name if "last" in names else V1.name
    outputs = {step.output: name for name, step in zip(names, chain.steps, strict=True)}
    tap = outputs.get(maps[0], "no convolution").removesuffix(".pointwise")
    if tap != TAPS[backbone]:
        raise WeightsError(f"its first map must be that of {TAPS[backbone]}, got that of {tap}")
    return list(zip(names, chain.steps, strict=True))


def _extra(name: str, chain: Chain) -> list[tuple[str, TfliteStep]]:
    """SSD: 1x1, then 3x3 with stride 2. SSDLite: 1x1, depthwise 3x3 with stride 2, 1x1."""
    parts = ("squeeze", "depthwise", "expand") if len(chain.steps) == 3 else ("squeeze", "expand")
    return _named(name, chain, parts, strided=1)


def _head(name: str, chain: Chain) -> list[tuple[str, TfliteStep]]:
    parts = ("depthwise", "predict") if len(chain.steps) == 2 else ("predict",)
    return _named(name, chain, parts, strided=None)


def _named(
    name: str, chain: Chain, parts: Sequence[str], strided: int | None
) -> list[tuple[str, TfliteStep]]:
    """A chain's steps as `parts` of `name`; WeightsError for other kinds or strides than those."""
    found = [(s.layer.depthwise, s.operator.stride, s.operator.dilation) for s in chain.steps]
    expected = [
        (part == "depthwise", (2, 2) if index == strided else (1, 1), (1, 1))
        for index, part in enumerate(parts)
    ]
    if found != expected or chain.shortcuts:
        raise WeightsError(f"not an SSD: {name} is not made of {', '.join(parts)}")
    return [(f"{name}.{part}", step) for part, step in zip(parts, chain.steps, strict=True)]


def _tensors(named: Sequence[tuple[str, TfliteStep]], factors: FloatArray) -> dict[str, FloatArray]:
    names = [name for name, _ in named]
    tensors: dict[str, FloatArray] = {}
    for name, layer in zip(names, to_relu6([step for _, step in named], names), strict=True):
        if not name.endswith("predict"):
            tensors |= unit(name, layer)
            continue
        weight, bias = layer.weight, bias_of(layer)
        if name.startswith("boxes"):
            weight, bias = _reordered(name, layer, factors)
        tensors |= {f"{name}.weight": weight, f"{name}.bias": bias}
    return checked(tensors)


def _reordered(name: str, layer: StoredLayer, factors: FloatArray) -> tuple[FloatArray, FloatArray]:
    """A head of boxes with its rows in our order, each times the factor of its code."""
    weight = layer.weight
    if len(weight) % 4:
        raise WeightsError(f"{name} must give four numbers for each box, got {len(weight)} in all")
    rows = weight.reshape(-1, 4, *weight.shape[1:])[:, _OURS] * factors[:, None, None, None]
    bias = bias_of(layer).reshape(-1, 4)[:, _OURS] * factors
    return rows.reshape(weight.shape), bias.reshape(-1)


def _code_factors(ends: _Ends) -> FloatArray:
    """Our factors of the box codes over the file's, (4,); ones where the file says none."""
    ours = np.array(CODE_WEIGHTS, np.float32)
    if ends.anchors is None:
        return ours / ours
    theirs = np.array([_option(ends, key) for key in _SCALES], np.float32)
    if not (np.isfinite(theirs).all() and (theirs > 0).all()):
        raise WeightsError(f"{POSTPROCESS} divides box codes by {theirs.tolist()}")
    return ours / theirs


def _option(ends: _Ends, key: str) -> float:
    """A number from the post-processing's options, which are a FlexBuffers map."""
    try:
        return float(flexbuffers.GetRoot(bytearray(ends.options)).AsMap[key].AsFloat)
    except (AssertionError, *DAMAGE) as error:
        raise WeightsError(f"{POSTPROCESS} does not say its {key}") from error


def _check_classes(ends: _Ends, classes: int) -> None:
    if ends.anchors is None:
        return
    said = _option(ends, "num_classes")
    if said != classes:
        raise WeightsError(
            f"{POSTPROCESS} says {said:g} classes, but there are {classes} beside the background"
        )


def _check_anchors(graph: TfliteGraph, ends: _Ends, ours: FloatArray) -> None:
    """WeightsError unless as many boxes come out as we have anchors, at the same places.

    `ours` are in the file's order, (anchors, 4): centre y, centre x, height, width.
    """
    boxes = graph.tensors[ends.boxes].shape
    if boxes[1:2] + boxes[-1:] != ours.shape:
        raise WeightsError(f"boxes must be {ours.shape} for such an image, got {boxes}")
    if ends.anchors is None:
        return
    theirs, quantization = graph.real(ends.anchors), graph.tensors[ends.anchors].quantization
    if theirs.shape != ours.shape:
        raise WeightsError(f"anchors must be {ours.shape} for such an image, got {theirs.shape}")
    step = 0.0 if quantization is None else float(quantization.scale[0])
    same = (np.abs(theirs - ours) <= TOLERANCE + 0.5 * step).all(1)
    if not same.all():
        first = int(np.argmin(same))
        raise WeightsError(
            f"anchor {first} is {_numbers(theirs[first])} (y, x, height, width), "
            f"must be {_numbers(ours[first])}"
        )


def _numbers(values: FloatArray) -> str:
    return "(" + ", ".join(f"{value:.4f}" for value in values) + ")"
