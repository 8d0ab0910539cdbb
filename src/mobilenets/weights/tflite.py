"""TFLite classification files of MobileNetV1 and V2: float, float16 and quantised.

The network is recognised by following the operators from the image to the scores; no name is
read. Integers become real numbers. Batch normalisation is folded in these files and becomes one
that only adds the bias: its statistics say nothing about the data, so keep it frozen when
training on, or measure them anew.
"""

import dataclasses
import io
import zipfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, get_args

import numpy as np

from mobilenets.card import INCEPTION, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.models.geometry import (
    OutputStride,
    Padding,
    same_padding,
    v1_blocks,
    v2_blocks,
)
from mobilenets.weights.source import Foreign
from mobilenets.weights.tensorflow_layout import Layer, foreign, is_v1, module_names
from mobilenets.weights.tflite_graph import IDENTIFIER, Graph, parse
from mobilenets.weights.tflite_trunk import Pads, Step, Trunk

MAX_LABELS = 1 << 20
"""Bytes of a label file; ImageNet's takes 22 thousand."""


def matches(path: Path) -> bool:
    """Whether `path` is a TFLite file, by the identifier at its start."""
    with path.open("rb") as file:
        return file.read(8)[4:] == IDENTIFIER


def read(path: Path) -> Foreign:
    """The network in a TFLite file, dequantised.

    Raises WeightsError, naming `path`, for a damaged file and for another network: those of
    detection and segmentation are called by their name.
    """
    graph = parse(path)
    try:
        _refuse_other_tasks(graph)
        trunk = Trunk(graph)
        names = module_names([step.layer for step in trunk.steps])
        arguments = {
            "padding": _padding(trunk.steps),
            **_strides(trunk.steps, names),
            **_shortcut(trunk, names),
        }
        layers = _to_relu6(trunk.steps, names, trunk.classifier)
        preprocessing = _preprocessing(graph)
    except (ValueError, WeightsError) as error:
        raise WeightsError(f"{path}: {error}") from error
    return foreign(
        path,
        layers,
        arguments=arguments,
        preprocessing=preprocessing,
        source=f"TFLite, {trunk.steps[-1].stored.lower()}",
        labels=_labels(path, trunk.classifier.weight.shape[0]),
    )


def _refuse_other_tasks(graph: Graph) -> None:
    kinds = {operator.kind for operator in graph.operators}
    if kinds & {"TFLite_Detection_PostProcess", "NON_MAX_SUPPRESSION_V4"} or (
        {"CONCATENATION", "LOGISTIC"} <= kinds
    ):
        raise WeightsError("an object detection network; only classification is read from TFLite")
    if kinds & {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "TRANSPOSE_CONV"}:
        raise WeightsError("a segmentation network; only classification is read from TFLite")


def _padding(steps: Sequence[Step]) -> Padding:
    """The rule that gives every convolution the padding it has in the file."""
    rules: list[Padding] = ["same", "symmetric", "keras"]
    for step in steps:
        rules = [rule for rule in rules if _agrees(step, rule)]
        if not rules:
            raise WeightsError(f"the padding of {step.layer.name} is none that is known")
    return rules[0]


def _agrees(step: Step, rule: Padding) -> bool:
    """Whether `rule` pads this step as the file does, on the file's image.

    Where the image's size is open, TensorFlow finds SAME when it runs; a padding that is written
    down then suits every size, as SAME at stride 2 cannot.
    """
    kernel, operator = step.layer.weight.shape[-1], step.operator
    stride, dilation = operator.stride[0], operator.dilation[0]
    half = dilation * (kernel - 1) // 2
    symmetric = ((half, half), (half, half))
    if step.pads is not None and operator.padding == "SAME":
        return False  # padded twice
    if stride == 1:
        same: Pads | None = symmetric
    elif all(step.image):
        height, width = (same_padding(side, kernel, stride, dilation) for side in step.image)
        same = height, width
    else:
        same = None
    pads = same if operator.padding == "SAME" else step.pads or ((0, 0), (0, 0))
    if rule == "symmetric":
        return pads == symmetric
    if rule == "keras" and step.layer.depthwise and stride > 1:
        return pads == ((0, 1), (0, 1))
    return pads == same


def _strides(steps: Sequence[Step], names: Sequence[str]) -> dict[str, Any]:
    """`output_stride` and `early_strides` where they are not the default."""
    found = []
    for step, name in zip(steps, names, strict=True):
        stride, dilation = step.operator.stride, step.operator.dilation
        if name == "stem" or step.layer.depthwise:
            found.append((stride, dilation))
        elif stride != (1, 1):
            raise WeightsError(f"{name} must have stride 1, got {stride}")
    blocks = partial(v1_blocks, shallow=len(found) < 1 + len(v1_blocks()))
    unrolled = v2_blocks if "last" in names else blocks
    for output_stride in get_args(OutputStride)[::-1]:
        for early in ((2, 2), (1, 2), (2, 1), (1, 1)):
            expected = [((early[0],) * 2, (1, 1))]
            for block in unrolled(output_stride=output_stride, early_strides=early):
                expected.append(((block.stride,) * 2, (block.dilation,) * 2))
            if expected == found:
                unusual = {} if early == (2, 2) else {"early_strides": list(early)}
                return unusual | ({} if output_stride == 32 else {"output_stride": output_stride})
    raise WeightsError(f"not a MobileNet's strides: {[stride[0] for stride, _ in found]}")


def _shortcut(trunk: Trunk, names: Sequence[str]) -> dict[str, str]:
    """Check that V2's shortcuts are where the paper has them, or nowhere."""
    expected = {}
    for last, name in enumerate(names):
        if not name.endswith("project"):
            continue
        first = names.index(f"{name.removesuffix('project')}depthwise")
        if names[first - 1] == name.replace("project", "expand"):
            first -= 1
        before, after = trunk.steps[first].layer, trunk.steps[last].layer
        c_in = before.weight.shape[0 if before.depthwise else 1]
        stride = max(max(step.operator.stride) for step in trunk.steps[first : last + 1])
        if stride == 1 and c_in == after.weight.shape[0]:
            expected[last] = first
    if trunk.shortcuts == expected:
        return {}
    if not trunk.shortcuts:
        return {"shortcut": "none"}
    raise WeightsError("not a MobileNetV2: its shortcuts are in other places")


def _to_relu6(steps: Sequence[Step], names: Sequence[str], classifier: Layer) -> list[Layer]:
    """Check where activations are, and turn a ceiling other than 6 into 6.

    min(relu(z), c) = c / 6 * relu6(6 / c * z): a layer is scaled by 6 / c and the next one, its
    only reader, by c / 6. Such a ceiling comes from a quantization range. Returns the classifier
    as the last layer.
    """
    layers = [*(step.layer for step in steps), classifier]
    for index, (step, name) in enumerate(zip(steps, names, strict=True)):
        linear = name.endswith("project")
        if linear and step.ceiling is not None:
            raise WeightsError(f"{name} has an activation; MobileNetV2's projections are linear")
        if linear:
            continue
        if step.ceiling is None:
            network = "MobileNetV1" if is_v1([s.layer for s in steps]) else "MobileNetV2"
            raise WeightsError(f"{name} has no ReLU6, as {network} has there")
        if step.ceiling != 6.0:
            layers[index] = _scaled(layers[index], 6.0 / step.ceiling, bias=True)
            layers[index + 1] = _scaled(layers[index + 1], step.ceiling / 6.0, bias=False)
    return layers


def _scaled(layer: Layer, factor: float, *, bias: bool) -> Layer:
    with np.errstate(over="ignore"):  # an infinity is refused with the finished tensor
        scaled = dataclasses.replace(layer, weight=layer.weight * np.float32(factor))
        if bias and layer.bias is not None:
            scaled = dataclasses.replace(scaled, bias=layer.bias * np.float32(factor))
        return scaled


def _preprocessing(graph: Graph) -> Preprocessing:
    """Size and, for an integer input, mean and deviation; a float input is taken as [-1, 1].

    An int8 input is the pixel minus 128.
    """
    tensor = graph.tensors[graph.inputs[0]]
    if len(tensor.shape) != 4 or tensor.shape[3] != 3:
        raise WeightsError(f"the input must be (1, height, width, 3), got {tensor.shape}")
    size = (tensor.shape[1] or INCEPTION.size[0], tensor.shape[2] or INCEPTION.size[1])
    quantization = tensor.quantization
    if tensor.type not in ("UINT8", "INT8") or quantization is None:
        return Preprocessing(size=size)
    zero = int(quantization.zero_point[0]) + (128 if tensor.type == "INT8" else 0)
    mean, std = zero / 255, 1 / (255 * float(quantization.scale[0]))
    return Preprocessing(size=size, mean=(mean,) * 3, std=(std,) * 3)


def _labels(path: Path, outputs: int) -> tuple[str, ...]:
    """The names in the label file that is packed behind the model; () if there is none that fits.

    TFLite metadata appends a zip to the flatbuffer; a label file has one name on a line.
    """
    data = path.read_bytes()
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".txt") and info.file_size <= MAX_LABELS:
                    lines = archive.read(info).decode("utf-8").splitlines()
                    names = tuple(line.strip() for line in lines)
                    if len(names) == outputs:
                        return names
    except (zipfile.BadZipFile, ValueError, OSError, EOFError, NotImplementedError, RuntimeError):
        return ()  # the weights do not depend on it
    return ()
