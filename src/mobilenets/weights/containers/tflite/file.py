"""A TFLite file as its readers see it: the graph, how it is fed, and the names packed with it."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

from mobilenets.card import INCEPTION, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.weights.containers.tflite.dilation import joined
from mobilenets.weights.containers.tflite.graph import IDENTIFIER, TfliteGraph

MAX_LABELS = 1 << 20
"""Bytes of a label file; ImageNet's takes 22 thousand."""


@dataclass(frozen=True)
class TfliteFile:
    """A file of one image; dilated convolutions are single operators in its graph."""

    path: Path
    graph: TfliteGraph
    preprocessing: Preprocessing
    """Size, mean and deviation; how an image comes to that size no such file says."""

    @classmethod
    def of(cls, path: Path, graph: TfliteGraph) -> TfliteFile:
        """ValueError for damaged constants, WeightsError for a network not of one image."""
        graph = joined(graph)
        return cls(path, graph, _preprocessing(graph))

    def labels(self, outputs: int) -> tuple[str, ...]:
        """The names in the label file packed behind the model; () if there is none that fits.

        TFLite metadata appends a zip to the flatbuffer; a label file has one name on a line.
        """
        return _labels(self.path, outputs)


def is_tflite(path: Path) -> bool:
    """Whether `path` is a TFLite file, by the identifier at its start."""
    with path.open("rb") as file:
        return file.read(8)[4:] == IDENTIFIER


def _preprocessing(graph: TfliteGraph) -> Preprocessing:
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
