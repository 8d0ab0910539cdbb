"""TFLite files of MobileNetV1 and V2: classifiers, SSD and DeepLabv3; float, float16, quantised.

The network is recognised by following the operators from the image to the scores; no name is
read. Integers become real numbers. Batch normalisation is folded in these files and becomes one
that only adds the bias: its statistics say nothing about the data, so keep it frozen when
training on, or measure them anew.
"""

import dataclasses
import io
import zipfile
from pathlib import Path
from typing import Any

from mobilenets.card import INCEPTION, ModelCard, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.models.geometry import BN_EPS
from mobilenets.runtime.labels import coco_labels, unused_label, voc_labels
from mobilenets.weights import tflite_deeplab, tflite_ssd
from mobilenets.weights.source import Foreign, segmentation_resize
from mobilenets.weights.tensorflow_layout import Layer, foreign, module_names
from mobilenets.weights.tflite_dilation import joined
from mobilenets.weights.tflite_graph import IDENTIFIER, Graph, parse
from mobilenets.weights.tflite_paths import Found
from mobilenets.weights.tflite_rules import (
    from_ceiling,
    padding_of,
    shortcut_of,
    strides_of,
    to_relu6,
)
from mobilenets.weights.tflite_trunk import Trunk

NAMELESS = ("", "???")
"""What label files of detectors have in the place of an output that was never trained."""
MAX_LABELS = 1 << 20
"""Bytes of a label file; ImageNet's takes 22 thousand."""


def matches(path: Path) -> bool:
    """Whether `path` is a TFLite file, by the identifier at its start."""
    with path.open("rb") as file:
        return file.read(8)[4:] == IDENTIFIER


def read(path: Path) -> Foreign:
    """The network in a TFLite file, dequantised: a classifier, an SSD or a DeepLabv3.

    Raises WeightsError, naming `path`, for a damaged file and for another network.
    """
    graph = parse(path)
    try:
        graph = joined(graph)
        preprocessing = _preprocessing(graph)
        if tflite_deeplab.matches(graph):
            return _segmenter(path, tflite_deeplab.convert(graph), preprocessing)
        if tflite_ssd.matches(graph):
            return _detector(path, tflite_ssd.convert(graph), preprocessing)
        layers, arguments, stored = _classifier(graph)
    except (ValueError, WeightsError) as error:
        raise WeightsError(f"{path}: {error}") from error
    return foreign(
        path,
        layers,
        arguments=arguments,
        preprocessing=preprocessing,
        source=f"TFLite, {stored.lower()}",
        labels=_labels(path, layers[-1].weight.shape[0]),
    )


def _classifier(graph: Graph) -> tuple[list[Layer], dict[str, Any], str]:
    """Layers, arguments, and the type of the weights in the file."""
    trunk = Trunk(graph)
    names = module_names([step.layer for step in trunk.steps])
    arguments = {
        "padding": padding_of(trunk.steps),
        **strides_of(trunk.steps, names),
        **shortcut_of(trunk, names),
    }
    classifier = from_ceiling(trunk.classifier, trunk.steps[-1].ceiling or 6.0)
    return [*to_relu6(trunk.steps, names), classifier], arguments, trunk.steps[-1].stored


def _detector(path: Path, found: Found, preprocessing: Preprocessing) -> Foreign:
    classes = found.arguments["classes"]
    card = ModelCard(
        architecture=found.name,
        arguments={**found.arguments, "norm_eps": BN_EPS},
        task="detect",
        labels=_object_labels(path, classes),
        preprocessing=dataclasses.replace(preprocessing, resize="squash"),
        source=f"TFLite, {found.stored.lower()}",
    )
    return Foreign(card, found.tensors)


def _object_labels(path: Path, classes: int) -> tuple[str, ...]:
    """The names in the file, with or without one for the background, or else COCO's."""
    names = _labels(path, classes) or _labels(path, 1 + classes)[1:]
    named = (unused_label(i) if name in NAMELESS else name for i, name in enumerate(names, 1))
    return tuple(named) or coco_labels(classes)


def _segmenter(path: Path, found: Found, preprocessing: Preprocessing) -> Foreign:
    classes = found.arguments["classes"]
    resize = segmentation_resize(preprocessing.size)
    card = ModelCard(
        architecture=found.name,
        arguments={**found.arguments, "norm_eps": BN_EPS},
        task="segment",
        labels=_labels(path, classes) or voc_labels(classes),
        preprocessing=dataclasses.replace(preprocessing, resize=resize),
        source=f"TFLite, {found.stored.lower()}",
    )
    return Foreign(card, found.tensors)


def _preprocessing(graph: Graph) -> Preprocessing:
    """Size and, for an integer input, mean and deviation; a float input is taken as [-1, 1].

    An int8 input is the pixel minus 128.
    """
    if len(graph.inputs) != 1:
        raise WeightsError(f"a network of one image, got {len(graph.inputs)} inputs")
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
