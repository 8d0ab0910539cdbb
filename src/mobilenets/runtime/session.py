"""The narrow seam to whatever runs an ONNX file: a card, and a call from batch to outputs."""

import dataclasses
import os
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from mobilenets.card import INCEPTION, KEY, TORCHVISION, ModelCard
from mobilenets.errors import InputError, WeightsError
from mobilenets.runtime.backends import Backend, Engine, OnnxRuntime, one_line
from mobilenets.runtime.labels import imagenet_labels

Layout = Literal["NCHW", "NHWC"]
Runtime = Literal["auto", "mobilenets", "onnxruntime"]
_PASSING = ("Identity", "Reshape", "Squeeze", "Flatten", "Cast", "DequantizeLinear")
_DEFAULT_SIDE = 224


class Session(Protocol):
    """A model ready to run."""

    note: str
    """What a person should know of how it runs; empty where there is nothing."""

    @property
    def card(self) -> ModelCard:
        """What the model is, and how to feed and read it."""
        ...

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs of preprocessed images (N, 3, height, width), any N, as the card says.

        A classifier's are (N, classes), a detector's (N, boxes, values), a segmentation
        network's (N, classes, height, width) or (N, height, width).
        """
        ...


def open_session(
    path: str | os.PathLike[str], *, threads: int | None = None, runtime: Runtime = "auto"
) -> Session:
    """Open an .onnx file on the CPU; `threads` None: all processors.

    `runtime`: "mobilenets" is this package's engine, "onnxruntime" the other; "auto" takes the
    engine, and ONNX Runtime (where it is installed) for files with operators the engine lacks.
    A file that another program wrote has no card: one is made from its shapes. Its channels may
    come last; preprocessing is then taken to be Google's, else torchvision's, and `card.source`
    says that this is a guess. WeightsError for a file that is damaged, or that is no image
    classifier and has no card; InputError where ONNX Runtime is needed and not installed.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be positive, got {threads!r}")
    if runtime not in ("auto", "mobilenets", "onnxruntime"):
        raise ValueError(f"runtime must be auto, mobilenets or onnxruntime, got {runtime!r}")
    if not Path(path).is_file():
        raise WeightsError(f"{os.fspath(path)}: no such file")
    return OnnxSession(Path(path), threads, runtime)


class OnnxSession:
    """Batches of any size on a graph of any layout.

    `runs_on` names what runs it; `note` says in a line why that is not the engine, where nobody
    asked for another.
    """

    def __init__(self, path: Path, threads: int | None, runtime: Runtime) -> None:
        model = _read_model(path)
        name, dims = _image_input(path, model.graph)
        self._layout: Layout = "NHWC" if dims[1] != 3 and dims[3] == 3 else "NCHW"
        if dims[1 if self._layout == "NCHW" else 3] not in (3, None):
            raise WeightsError(f"{path}: its input {name} {dims} does not take 3 colour channels")
        dims = _with_colours(dims, self._layout)
        self._sides = dims[2:] if self._layout == "NCHW" else dims[1:3]
        self._backend, self.note = _open_backend(path, dims, threads, runtime)
        self.runs_on = self._backend.name
        self.card = self._make_card(path, model)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs of (N, 3, height, width), as the card says; a classifier's (N, classes)."""
        want = ("N", 3, *(side or "any" for side in self._sides))
        sides = zip(batch.shape[2:], self._sides, strict=False)
        if batch.ndim != 4 or batch.shape[1] != 3 or any(w not in (g, None) for g, w in sides):
            raise ValueError(f"batch must have shape {want}, got {batch.shape}")
        outputs = self._run(batch)
        shape = (len(batch), -1) if self.card.task == "classify" else outputs.shape
        return outputs.reshape(shape)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The graph's first output."""
        if self._layout == "NHWC":
            batch = batch.transpose(0, 2, 3, 1)
        return self._backend(np.ascontiguousarray(batch, np.float32)).astype(np.float32, copy=False)

    def _make_card(self, path: Path, model: onnx.ModelProto) -> ModelCard:
        for entry in model.metadata_props:
            if entry.key == KEY:
                return ModelCard.from_json(entry.value, path)
        google = self._layout == "NHWC"
        height, width = (side or _DEFAULT_SIDE for side in self._sides)
        preprocessing = INCEPTION if google else TORCHVISION
        return ModelCard(
            architecture="",
            labels=imagenet_labels(self._count_classes(path, model.graph, (height, width))),
            preprocessing=dataclasses.replace(preprocessing, size=(height, width)),
            outputs="probabilities" if _ends_in_softmax(model.graph) else "logits",
            source="an ONNX file that does not say how its input is prepared; "
            f"taken as {'[-1, 1], as Google does' if google else 'torchvision does'}",
        )

    def _count_classes(self, path: Path, graph: onnx.GraphProto, size: tuple[int, int]) -> int:
        """How many numbers there are for an image; WeightsError where they are not one row."""
        dims = _dims(graph.output[0])
        if len(dims) != 2 or dims[1] is None:
            blank = np.zeros((1, 3, *size), np.float32)
            try:
                dims = self._run(blank).shape
            except Exception as error:  # whatever a runtime makes of it
                raise WeightsError(
                    f"{path}: does not run on an image ({one_line(error)})"
                ) from error
        counts = [count for count in dims[1:] if count is not None and count > 1]
        if len(counts) > 1:
            raise WeightsError(
                f"{path}: its output {graph.output[0].name} {dims} is no classifier's, and no "
                f"{KEY} metadata says what it is"
            )
        return counts[0] if counts else 1


def _open_backend(
    path: Path, dims: tuple[int | None, ...], threads: int | None, runtime: Runtime
) -> tuple[Backend, str]:
    """The runtime that was asked for, or the first that takes the file and why it is not ours."""
    if runtime == "onnxruntime":
        return OnnxRuntime(path, dims, threads), ""
    try:
        return Engine(path, dims, threads), ""
    except WeightsError as refusal:
        if runtime == "mobilenets":
            raise
        try:
            other = OnnxRuntime(path, dims, threads)
        except InputError:
            raise refusal from None
        reason = str(refusal).partition("; supported are")[0].removeprefix(f"{path}: ")
        return other, f"{path} runs on ONNX Runtime, not on the engine: {reason}"


def _with_colours(dims: tuple[int | None, ...], layout: Layout) -> tuple[int | None, ...]:
    """The input's dimensions with its channels known."""
    axis = 1 if layout == "NCHW" else 3
    return (*dims[:axis], 3, *dims[axis + 1 :])


def _read_model(path: Path) -> onnx.ModelProto:
    """The file; weights kept in files beside it are left where they are."""
    try:
        model = onnx.load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not an ONNX file, or damaged ({one_line(error)})") from error
    if not model.graph.node or not model.graph.output:
        raise WeightsError(f"{path}: not an ONNX file, or an empty one")
    return model


def _dims(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """A tensor's sizes, None where the file leaves one open."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)


def _image_input(path: Path, graph: onnx.GraphProto) -> tuple[str, tuple[int | None, ...]]:
    """The graph's only input, float32 with four dimensions."""
    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    kinds = [value.type.tensor_type.elem_type for value in inputs]
    if len(inputs) != 1 or kinds != [onnx.TensorProto.FLOAT] or len(_dims(inputs[0])) != 4:
        has = ", ".join(
            f"{v.name} {onnx.TensorProto.DataType.Name(k).lower()} {_dims(v)}"
            for v, k in zip(inputs, kinds, strict=True)
        )
        raise WeightsError(f"{path}: needs one input, float32 (N, 3, H, W); it has {has or 'none'}")
    return inputs[0].name, _dims(inputs[0])


def _ends_in_softmax(graph: onnx.GraphProto) -> bool:
    """Whether the first output comes from a Softmax, if need be through a change of shape."""
    producer = {name: node for node in graph.node for name in node.output}
    node = producer.get(graph.output[0].name)
    while node is not None and node.op_type in _PASSING:
        node = producer.get(node.input[0])
    return node is not None and node.op_type == "Softmax"
