"""TFLite files of DeepLabv3 and Mobile DeepLabv3 on MobileNetV1 and V2.

The network is found from its end: labels or logits lead back through resizes to two convolutions
and a concatenation, its parts to one map, and that to the image. No name is read. The part that
comes from a pool and the order of the others are told from the operators, whatever the file's
order. In integers, the head's ReLU ends where its quantization range does; here it has no end.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError
from mobilenets.models.geometry import BN_EPS
from mobilenets.runtime.labels import voc_labels
from mobilenets.tasks.segment.architecture.geometry import HEAD_NORM_EPS, atrous_rates
from mobilenets.tasks.segment.weights.feeding import resize_rule
from mobilenets.weights.containers.foreign import Foreign, Infer
from mobilenets.weights.containers.stored import (
    FloatArray,
    bias_of,
    checked,
    module_names,
    unit,
)
from mobilenets.weights.containers.tflite.chain import Chain, TfliteStep, check_pool
from mobilenets.weights.containers.tflite.file import TfliteFile
from mobilenets.weights.containers.tflite.graph import TfliteGraph, TfliteOperator
from mobilenets.weights.containers.tflite.paths import REQUANTISE, Paths
from mobilenets.weights.containers.tflite.rules import (
    from_ceiling,
    padding_of,
    rectifier_of,
    shortcut_of,
    strides_of,
    to_relu6,
)

_RESIZES = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE_CONV")
_POOLS = ("AVERAGE_POOL_2D", "MEAN")
_SAME_VALUES = ("CAST", "RESHAPE", "SQUEEZE", "EXPAND_DIMS", *REQUANTISE)


def matches(graph: TfliteGraph) -> bool:
    """Whether a graph makes maps larger, as only segmentation does among those with one output."""
    kinds = {operator.kind for operator in graph.operators}
    return len(graph.outputs) == 1 and not kinds.isdisjoint(_RESIZES)


def read(file: TfliteFile, infer: Infer) -> Foreign:
    """The segmentation network in a file.

    Raises WeightsError for another network, ValueError for damaged weights.
    """
    paths = Paths(file.graph)
    classifier = _convolution(paths, _logits(paths), "its logits")
    project = _convolution(paths, classifier.inputs[0], "its classifier's map")
    joined = _before(paths, project.inputs[0], "CONCATENATION", "its projection's map")
    if joined.axis % 4 != 3 or joined.activation != "NONE":
        raise WeightsError("not a DeepLabv3: its branches are not put side by side")
    branches = [_branch(paths, tensor) for tensor in joined.inputs]
    head = _head(branches, _step(paths, project), _step(paths, classifier))
    trunk, output_stride = _trunk(paths, branches[0].features)
    _check_rates([step for _, step in head], output_stride)
    padding = padding_of([step for _, step in trunk], [step for _, step in head])
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused by name
        tensors = _tensors(trunk, head, _columns(branches))
    name, arguments = infer(tensors)
    classes = arguments["classes"]
    known = {"output_stride": output_stride, "padding": padding, "norm_eps": BN_EPS}
    known |= rectifier_of([step for _, step in trunk], [name for name, _ in trunk])
    resize = resize_rule(file.preprocessing.size)
    card = ModelCard(
        architecture=name,
        arguments={**arguments, **known},
        labels=file.labels(classes) or voc_labels(classes),
        preprocessing=dataclasses.replace(file.preprocessing, resize=resize),
        source=f"TFLite, {trunk[-1][1].stored.lower()}; {file.said}",
    )
    return Foreign(card, tensors)


def _logits(paths: Paths) -> int:
    """The tensor of the logits at the feature map's places.

    WeightsError where what follows is not the best class or a softmax of them, brought to the
    image's size with corners on corners.
    """
    graph = paths.graph
    tensor, operator = paths.back(graph.outputs[0], _SAME_VALUES)
    if operator is not None and operator.kind == "ARG_MAX":
        if [axis % 4 for axis in paths.constant(operator, 1)] != [3]:
            raise WeightsError("not a DeepLabv3: its ARG_MAX is not over the classes")
        tensor, operator = paths.back(operator.inputs[0], REQUANTISE)
    if operator is not None and operator.kind == "SOFTMAX":
        tensor, operator = paths.back(operator.inputs[0], REQUANTISE)
    while operator is not None and operator.kind == "RESIZE_BILINEAR":
        _check_resize(paths, operator)
        tensor, operator = paths.back(operator.inputs[0], REQUANTISE)
    return tensor


def _check_resize(paths: Paths, operator: TfliteOperator) -> None:
    before = paths.graph.tensors[operator.inputs[0]].shape[1:3]
    image = paths.graph.tensors[paths.graph.inputs[0]].shape[1:3]
    after = tuple(paths.constant(operator, 1))
    if after == before:
        return
    if not operator.corners:
        raise WeightsError("its logits are resized without align_corners; ours are with it")
    if after != image:
        raise WeightsError(f"its logits are resized to {after}, must be to the image's {image}")


def _before(paths: Paths, tensor: int, kind: str, what: str) -> TfliteOperator:
    """The operator of this kind that a tensor comes from; `what` the tensor is, for a message."""
    operator = paths.back(tensor, REQUANTISE)[1]
    if operator is None or operator.kind != kind:
        found = "no operator" if operator is None else operator.kind
        raise WeightsError(f"not a DeepLabv3: {what} must come from {kind}, got {found}")
    return operator


def _convolution(paths: Paths, tensor: int, what: str) -> TfliteOperator:
    return _before(paths, tensor, "CONV_2D", what)


class _HeadChain(Chain):
    """Convolutions with ReLU, which nothing cuts off; a float classifier's refuses that."""

    def _ceiling(self, operator: TfliteOperator) -> float | None:
        if operator.activation == "RELU6":
            raise WeightsError("the head has ReLU6, ours has ReLU there")
        return math.inf if operator.activation == "RELU" else super()._ceiling(operator)


def _step(paths: Paths, operator: TfliteOperator) -> TfliteStep:
    """A convolution of the head by itself, as a chain of one."""
    return paths.chain(operator.inputs[0], operator.outputs[0], _HeadChain).steps[0]


class _Branch(NamedTuple):
    """A part of the concatenation: the map it reads, through a pool or not, its convolution."""

    features: int
    pooled: bool
    step: TfliteStep

    @property
    def place(self) -> tuple[bool, int, int]:
        """Sorts the branches in our order: the pool's, the 1x1, the others by their rates."""
        return not self.pooled, self.step.layer.weight.shape[-1], self.step.operator.dilation[0]


def _branch(paths: Paths, tensor: int) -> _Branch:
    end = paths.back(tensor, (*REQUANTISE, "RESIZE_BILINEAR"))[0]
    operator = _convolution(paths, end, "a branch of its head")
    step = _step(paths, operator)
    features, before = paths.back(operator.inputs[0], (*REQUANTISE, "RESHAPE"))
    if before is not None and before.kind in _POOLS:
        features = paths.back(before.inputs[0], REQUANTISE)[0]
        check_pool(paths.graph, before, before.inputs[0])
        if before.activation != "NONE":
            raise WeightsError(f"not a DeepLabv3: its pool has an activation {before.activation}")
        return _Branch(features, True, step)
    if before is not None and before.kind == "DEPTHWISE_CONV_2D":
        raise WeightsError("its head has separable convolutions; ours are ordinary ones")
    if end != paths.back(tensor, REQUANTISE)[0]:
        raise WeightsError("not a DeepLabv3: a branch without a pool is resized")
    return _Branch(features, False, step)


def _columns(branches: Sequence[_Branch]) -> NDArray[np.int64]:
    """Which of the projection's inputs in the file is our first, second, and so on."""
    sizes = [branch.step.layer.weight.shape[0] for branch in branches]
    inputs = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    order = sorted(range(len(branches)), key=lambda index: branches[index].place)
    return np.concatenate([inputs[index] for index in order])


def _head(
    branches: Sequence[_Branch], project: TfliteStep, classifier: TfliteStep
) -> list[tuple[str, TfliteStep]]:
    """The head's convolutions by our names."""
    if sum(branch.pooled for branch in branches) != 1 or len(branches) not in (2, 5):
        raise WeightsError(
            "not a DeepLabv3: its head must have a branch with a pool, and 1 or 4 others, "
            f"got {len(branches)} branches"
        )
    if len({branch.features for branch in branches}) != 1:
        raise WeightsError("not a DeepLabv3: the branches of its head read different maps")
    steps = [branch.step for branch in sorted(branches, key=lambda branch: branch.place)]
    names = ["pool", *(f"branches.{index}" for index in range(len(branches) - 1))]
    named = [*zip(names, steps, strict=True), ("project", project), ("classifier", classifier)]
    for name, step in named:
        if (step.ceiling is None) != (name == "classifier"):
            how = "an activation" if name == "classifier" else "no ReLU"
            raise WeightsError(f"not a DeepLabv3: {name} has {how}")
        if step.operator.stride != (1, 1):
            raise WeightsError(f"{name} must have stride 1, got {step.operator.stride}")
    return named


def _trunk(paths: Paths, features: int) -> tuple[list[tuple[str, TfliteStep]], int]:
    """The backbone's convolutions by our names, and its output stride."""
    chain = paths.chain(paths.graph.inputs[0], features)
    layers = [step.layer for step in chain.steps]
    names = module_names(layers, last=False)
    unusual: dict[str, Any] = {**strides_of(chain.steps, names), **shortcut_of(chain, names)}
    output_stride: int = unusual.pop("output_stride", 32)
    if unusual:
        raise WeightsError(f"a segmentation network whose backbone has {unusual}; ours has not")
    return list(zip(names, chain.steps, strict=True)), output_stride


def _check_rates(head: Sequence[TfliteStep], output_stride: Any) -> None:
    """WeightsError unless the dilations of the branches are those of our ASPP."""
    found = [step.operator.dilation for step in head if step.layer.weight.shape[-1] > 1]
    rates = atrous_rates(output_stride)
    if found and found != [(rate, rate) for rate in rates]:
        raise WeightsError(
            f"its branches are dilated by {found}, must be by {rates} at output stride "
            f"{output_stride}"
        )


def _tensors(
    trunk: Sequence[tuple[str, TfliteStep]],
    head: Sequence[tuple[str, TfliteStep]],
    columns: NDArray[np.int64],
) -> dict[str, FloatArray]:
    names = [name for name, _ in trunk]
    tensors: dict[str, FloatArray] = {}
    for name, layer in zip(names, to_relu6([step for _, step in trunk], names), strict=True):
        tensors |= unit(f"backbone.{name}", layer)
    *branches, (_, project), (_, classifier) = head
    for name, step in branches:
        tensors |= unit(name, from_ceiling(step.layer, trunk[-1][1].ceiling or 6.0), HEAD_NORM_EPS)
    weight = project.layer.weight
    if weight.shape[1] != len(columns):
        raise WeightsError(f"its projection reads {weight.shape[1]} channels of {len(columns)}")
    layer = dataclasses.replace(project.layer, weight=weight[:, columns])
    tensors |= unit("project", layer, HEAD_NORM_EPS)
    tensors |= {
        "classifier.weight": classifier.layer.weight,
        "classifier.bias": bias_of(classifier.layer),
    }
    return checked(tensors)
