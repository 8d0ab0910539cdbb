"""The narrow seam to whatever runs an ONNX file: a card, and a call from batch to outputs."""

import dataclasses
import os
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from mobilenets.card import INCEPTION, KEY, TORCHVISION, ModelCard
from mobilenets.errors import InputError, WeightsError
from mobilenets.runtime.labels import imagenet_labels

Layout = Literal["NCHW", "NHWC"]
_PASSING = ("Identity", "Reshape", "Squeeze", "Flatten", "Cast", "DequantizeLinear")
_DEFAULT_SIDE = 224


class Session(Protocol):
    """A model ready to run."""

    @property
    def card(self) -> ModelCard:
        """What the model is, and how to feed and read it."""
        ...

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (N, classes) of preprocessed images (N, 3, height, width), any N."""
        ...


def open_session(path: str | os.PathLike[str], *, threads: int | None = None) -> Session:
    """Open an .onnx classifier on ONNX Runtime, on the CPU; `threads` None leaves it the choice.

    A file that another program wrote has no card: one is made from its shapes. Its channels may
    come last; preprocessing is then taken to be Google's, else torchvision's, and `card.source`
    says that this is a guess. WeightsError for a file that is damaged or no image classifier;
    InputError where ONNX Runtime is not installed.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be positive, got {threads!r}")
    if not Path(path).is_file():
        raise WeightsError(f"{os.fspath(path)}: no such file")
    return _OrtSession(Path(path), threads)


class _OrtSession:
    """Batches of any size on a graph of any layout and a free or fixed batch."""

    def __init__(self, path: Path, threads: int | None) -> None:
        graph = _read_graph(path)
        self._engine = _start(path, threads)
        self._input = _image_input(path, self._engine)
        shape = self._input.shape
        fixed = [size if isinstance(size, int) and size > 0 else None for size in shape]
        self._layout: Layout = "NHWC" if fixed[1] != 3 and fixed[3] == 3 else "NCHW"
        if fixed[1 if self._layout == "NCHW" else 3] not in (3, None):
            raise WeightsError(f"{path}: its input {shape} does not take 3 colour channels")
        self._batch = fixed[0]
        self._sides = (fixed[2], fixed[3]) if self._layout == "NCHW" else (fixed[1], fixed[2])
        self._output = self._engine.get_outputs()[0].name
        self.card = self._make_card(path, graph)

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (N, classes) of (N, 3, height, width)."""
        want = ("N", 3, *(side or "any" for side in self._sides))
        sides = zip(batch.shape[2:], self._sides, strict=False)
        if batch.ndim != 4 or batch.shape[1] != 3 or any(w not in (g, None) for g, w in sides):
            raise ValueError(f"batch must have shape {want}, got {batch.shape}")
        if self._batch is None:
            return self._run(batch)
        return self._run_fixed(batch, self._batch)

    def _run_fixed(self, batch: NDArray[np.float32], size: int) -> NDArray[np.float32]:
        """In parts of the graph's own batch size, the last one filled up with zeros."""
        missing = -len(batch) % size
        filler = np.zeros((missing, *batch.shape[1:]), np.float32)
        full = np.concatenate([batch, filler]) if missing else batch
        parts = [self._run(full[i : i + size]) for i in range(0, len(full), size)]
        return np.concatenate(parts)[: len(batch)]

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._layout == "NHWC":
            batch = batch.transpose(0, 2, 3, 1)
        values = np.ascontiguousarray(batch, np.float32)
        outputs = np.asarray(self._engine.run([self._output], {self._input.name: values})[0])
        return outputs.reshape(len(batch), -1).astype(np.float32, copy=False)

    def _make_card(self, path: Path, graph: onnx.GraphProto) -> ModelCard:
        text = self._engine.get_modelmeta().custom_metadata_map.get(KEY)
        if text is not None:
            return ModelCard.from_json(text, path)
        google = self._layout == "NHWC"
        height, width = (side or _DEFAULT_SIDE for side in self._sides)
        preprocessing = INCEPTION if google else TORCHVISION
        return ModelCard(
            architecture="",
            labels=imagenet_labels(self._count_classes(path, (height, width))),
            preprocessing=dataclasses.replace(preprocessing, size=(height, width)),
            outputs="probabilities" if _ends_in_softmax(graph) else "logits",
            source="an ONNX file that does not say how its input is prepared; "
            f"taken as {'[-1, 1], as Google does' if google else 'torchvision does'}",
        )

    def _count_classes(self, path: Path, size: tuple[int, int]) -> int:
        classes = self._engine.get_outputs()[0].shape[-1:]
        if classes and isinstance(classes[0], int) and classes[0] > 1:
            return classes[0]
        blank = np.zeros((1, 3, *size), np.float32)
        try:
            return int(self(blank).shape[1])
        except Exception as error:  # whatever ONNX Runtime makes of it
            raise WeightsError(f"{path}: does not run on an image ({_one_line(error)})") from error


def _read_graph(path: Path) -> onnx.GraphProto:
    """The graph; weights kept in files beside it are left where they are."""
    try:
        graph = onnx.load(path, load_external_data=False).graph
    except (DecodeError, OSError, ValueError) as error:
        raise WeightsError(f"{path}: not an ONNX file, or damaged ({_one_line(error)})") from error
    if not graph.node or not graph.output:
        raise WeightsError(f"{path}: not an ONNX file, or an empty one")
    return graph


def _start(path: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise InputError(
            "running an .onnx file needs ONNX Runtime: pip install 'mobilenets[runtime]'"
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; they reach us as exceptions
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            path, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors share no base class
        raise WeightsError(f"{path}: ONNX Runtime refuses it ({_one_line(error)})") from error


def _image_input(path: Path, engine: Any) -> Any:
    """The graph's only input, float32 with four dimensions."""
    inputs = engine.get_inputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
        has = ", ".join(f"{i.name} {i.type} {i.shape}" for i in inputs)
        raise WeightsError(f"{path}: needs one input, tensor(float) (N, 3, H, W); it has {has}")
    return inputs[0]


def _ends_in_softmax(graph: onnx.GraphProto) -> bool:
    """Whether the first output comes from a Softmax, if need be through a change of shape."""
    producer = {name: node for node in graph.node for name in node.output}
    node = producer.get(graph.output[0].name)
    while node is not None and node.op_type in _PASSING:
        node = producer.get(node.input[0])
    return node is not None and node.op_type == "Softmax"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else f"{text[:200]} ..."
