"""The narrow seam to whatever runs an ONNX file: a card, and a call from batch to outputs."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import KEY, ModelCard
from mobilenets.engine import Source
from mobilenets.errors import InputError, WeightsError
from mobilenets.runtime import Runtime
from mobilenets.runtime.backends import Backend, Engine, OnnxRuntime, one_line, reason_of
from mobilenets.runtime.known import Recalled, keep, recall

if TYPE_CHECKING:
    import onnx

Layout = Literal["NCHW", "NHWC"]
_DEFAULT_SIDE = 224


class Session(Protocol):
    """A model ready to run."""

    note: str
    """What a person should know of how it runs; empty where there is nothing."""

    @property
    def card(self) -> ModelCard:
        """What the model is, and how to feed and read it."""
        ...

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs of preprocessed images (N, 3, height, width), any N, by their names.

        `card.outputs` says what each is and what shape it has.
        """
        ...


Guess = Callable[[Sequence[tuple[int | None, ...]], str], ModelCard | None]
"""(shapes of the outputs, the operator that gives the first) -> the card of such a file."""

Run = Callable[[NDArray[np.float32], int], list[NDArray[np.float32]]]


def open_file(
    path: str | os.PathLike[str],
    guess: Guess,
    *,
    threads: int | None = None,
    runtime: Runtime = "auto",
    many: bool = False,
) -> Session:
    """Open an .onnx file as `inference.open_session` says.

    `guess` makes the card of a file that has none; where it gives None, that is a WeightsError.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be positive, got {threads!r}")
    if runtime not in ("auto", "mobilenets", "onnxruntime"):
        raise ValueError(f"runtime must be auto, mobilenets or onnxruntime, got {runtime!r}")
    return OnnxSession(Source.open(path), guess, threads, runtime, many=many)


class OnnxSession:
    """Batches of any size on a graph of any layout.

    `runs_on` names what runs it; `note` says in a line why that is not the engine, where nobody
    asked for another, and how a file without a card is fed.
    """

    note: str

    def __init__(
        self,
        source: Source,
        guess: Guess,
        threads: int | None,
        runtime: Runtime,
        *,
        many: bool = False,
    ) -> None:
        known = recall(source)
        if known is not None:
            self._open(source, known, threads, runtime, many)
            self.card = ModelCard.from_json(known.card, source.name)
            return
        model, found = examine(source, guess)
        self._open(source, found, threads, runtime, many)
        self.card = make_card(source.name, model, found, guess, self._first_shape)
        if found.card:
            keep(source, found)
        else:
            self.note = "; ".join(filter(None, (self.note, f"{source.name} is {self.card.source}")))

    def _open(
        self, source: Source, known: Recalled, threads: int | None, runtime: Runtime, many: bool
    ) -> None:
        """Everything but the card."""
        self._name, self._layout = known.name, known.layout
        self._type = np.dtype(known.kind)
        self._sides = _sides(known)
        self.source, self._how = source, (known.dims, threads, runtime, many)
        self._backend, self.note = _open_backend(source, *self._how)
        self.runs_on = self._backend.name

    def on(self, source: Source) -> Run:
        """What runs another graph of the same input in the same way: (batch, outputs) -> arrays.

        The batch is (N, 3, height, width) whatever the layout; the graph's first outputs come back
        as the graph has them.
        """
        other = copy.copy(self)
        other._backend, _ = _open_backend(source, *self._how)
        return other._run

    def __call__(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        """Outputs of (N, 3, height, width) by name, each shaped as the card says."""
        want = ("N", 3, *(side or "any" for side in self._sides))
        sides = zip(batch.shape[2:], self._sides, strict=False)
        if batch.ndim != 4 or batch.shape[1] != 3 or any(w not in (g, None) for g, w in sides):
            raise ValueError(f"batch must have shape {want}, got {batch.shape}")
        return {
            one.name: _shaped(values, one.shape, len(batch))
            for one, values in zip(
                self.card.outputs, self._run(batch, len(self.card.outputs)), strict=True
            )
        }

    def _run(self, batch: NDArray[np.float32], count: int) -> list[NDArray[np.float32]]:
        """The graph's first `count` outputs, in its order."""
        if self._layout == "NHWC":
            batch = batch.transpose(0, 2, 3, 1)
        if self._type == np.uint8:
            batch = np.rint(batch).clip(0, 255)
        outputs = self._backend(np.ascontiguousarray(batch, self._type), count)
        return [values.astype(np.float32, copy=False) for values in outputs]

    def _first_shape(self, size: tuple[int, int]) -> tuple[int | None, ...]:
        """The shape of the first output for an image of this size, found by a run."""
        return self._run(np.zeros((1, 3, *size), np.float32), 1)[0].shape


def examine(source: Source, guess: Guess) -> tuple[onnx.ModelProto, Recalled]:
    """The graph of a file, its input, and the card that travels with it as text, '' for none.

    WeightsError for a file that is damaged, does not take one image, or whose first output `guess`
    cannot take for anything.
    """
    from mobilenets.runtime.foreign.endings import NO_SCORES, last_operator

    path = source.name
    model = _read_model(source)
    name, kind, dims = _image_input(path, model.graph)
    layout: Layout = "NHWC" if dims[1] != 3 and dims[3] == 3 else "NCHW"
    if dims[1 if layout == "NCHW" else 3] not in (3, None):
        raise WeightsError(f"{path}: its input {name} {dims} does not take 3 colour channels")
    card = next((entry.value for entry in model.metadata_props if entry.key == KEY), "")
    last = last_operator(model.graph)
    declared = [_dims(value) for value in model.graph.output]
    if not card and last in NO_SCORES and guess(declared, last) is None:
        raise _no_scores(path, model.graph, declared[0], last)
    return model, Recalled(name, kind.name, _with_colours(dims, layout), layout, card)


def sides_of(known: Recalled) -> tuple[int, int]:
    """(height, width) of a graph's input; what the file leaves open is 224."""
    height, width = _sides(known)
    return height or _DEFAULT_SIDE, width or _DEFAULT_SIDE


def _sides(known: Recalled) -> tuple[int | None, ...]:
    """(height, width) of a graph's input; None for what the file leaves open."""
    return known.dims[2:] if known.layout == "NCHW" else known.dims[1:3]


def make_card(
    path: str,
    model: onnx.ModelProto,
    known: Recalled,
    guess: Guess,
    first_shape: Callable[[tuple[int, int]], tuple[int | None, ...]],
) -> ModelCard:
    """The card that travels in a file, or one made from its graph and its metadata.

    `first_shape` gives the shape of the first output for an image of (height, width), where the
    file does not say it. WeightsError where the card names outputs that are not there, or where
    nothing says what the outputs are.
    """
    if known.card:
        return _checked(ModelCard.from_json(known.card, path), path, model)
    from mobilenets.runtime.foreign.endings import last_operator
    from mobilenets.runtime.foreign.feeding import feeding
    from mobilenets.runtime.foreign.names import class_names, names_beside
    from mobilenets.runtime.foreign.prepared import prepared_for

    size = sides_of(known)
    shapes = [_dims(value) for value in model.graph.output]
    if len(shapes[0]) != 2 or shapes[0][1] is None:
        try:
            shapes[0] = first_shape(size)
        except Exception as error:  # whatever a runtime makes of it
            raise WeightsError(f"{path}: does not run on an image ({one_line(error)})") from error
    last = last_operator(model.graph)
    card = guess(shapes, last)
    if card is None:
        raise _no_scores(path, model.graph, shapes[0], last)
    beside, strange = prepared_for(path, _sides(known))
    prepared, words = feeding(
        model, known.name, size, beside=beside,
        channels_last=known.layout == "NHWC", whole=known.kind == "uint8",
    )  # fmt: skip
    told = {entry.key: entry.value for entry in model.metadata_props}
    names, wrong = class_names(told, math.prod(size or 1 for size in shapes[0][1:]))
    if not names and not card.labels and len(shapes[0]) == 2:
        names, more = names_beside(path, shapes[0][1] or 1)
        wrong = "; ".join(filter(None, (wrong, more)))
    return card.replace(
        labels=names or card.labels,
        preprocessing=prepared,
        source="; ".join(filter(None, (words, strange, wrong))),
    )


def _checked(card: ModelCard, path: str, model: onnx.ModelProto) -> ModelCard:
    """The card that travelled in the file; WeightsError where it names outputs not there."""
    if len(card.outputs) > len(model.graph.output):
        raise WeightsError(
            f"{path}: its {KEY} metadata has {len(card.outputs)} outputs, the graph "
            f"{len(model.graph.output)}"
        )
    return card


def _no_scores(
    path: str, graph: onnx.GraphProto, shape: tuple[int | None, ...], last: str
) -> WeightsError:
    """An error that names the output, and what gives it where that is the reason."""
    from mobilenets.runtime.foreign.endings import NO_SCORES

    operator = f", from an operator {last}," if last in NO_SCORES else ""
    return WeightsError(
        f"{path}: its output {graph.output[0].name} {shape}{operator} is no "
        f"classifier's scores, and no {KEY} metadata says what it is"
    )


def _shaped(values: NDArray[np.float32], words: str, images: int) -> NDArray[np.float32]:
    """Values of so many images with as many axes as the card's words say.

    Files may have axes of one place more, or leave out that of a batch of one.
    """
    axes = words.count(",") + 1 if words else values.ndim
    if axes == values.ndim:
        return values
    sizes = values.shape if len(values) != images or values.ndim < axes else values.shape[1:]
    lead = [size for size in sizes if size > 1]
    if len(lead) < axes - 1:
        lead = [1] * (axes - 1 - len(lead)) + lead
    return values.reshape(images, *lead)


def _open_backend(
    source: Source, dims: tuple[int | None, ...], threads: int | None, runtime: Runtime, many: bool
) -> tuple[Backend, str]:
    """The runtime that was asked for, or the first that takes the file and why it is not ours."""
    if runtime == "onnxruntime":
        return OnnxRuntime(source, dims, threads), ""
    try:
        return Engine(source, dims, threads, many=many), ""
    except InputError as refusal:  # of the file, or by a system that lets nobody make code
        if runtime == "mobilenets":
            raise
        try:
            other = OnnxRuntime(source, dims, threads)
        except InputError:
            raise refusal from None
        reason = reason_of(refusal, source.name)
        return other, f"{source.name} runs on ONNX Runtime, not on the engine: {reason}"


def _with_colours(dims: tuple[int | None, ...], layout: Layout) -> tuple[int | None, ...]:
    """The input's dimensions with its channels known."""
    axis = 1 if layout == "NCHW" else 3
    return (*dims[:axis], 3, *dims[axis + 1 :])


def _read_model(source: Source) -> onnx.ModelProto:
    """The file; weights kept in files beside it are left where they are."""
    import onnx
    from google.protobuf.message import DecodeError

    path = source.name
    try:
        model = onnx.load_model_from_string(source.data)
    except (DecodeError, ValueError) as error:
        raise WeightsError(f"{path}: not an ONNX file, or damaged ({one_line(error)})") from error
    if not model.graph.node or not model.graph.output:
        raise WeightsError(f"{path}: not an ONNX file, or an empty one")
    return model


def _dims(value: onnx.ValueInfoProto) -> tuple[int | None, ...]:
    """A tensor's sizes, None where the file leaves one open."""
    dims = value.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)


_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    10: np.dtype(np.float16),
    2: np.dtype(np.uint8),
}
"""What an input of images can take, by ONNX's numbers of types."""


def _image_input(
    path: str, graph: onnx.GraphProto
) -> tuple[str, np.dtype[Any], tuple[int | None, ...]]:
    """The graph's only input, of four dimensions and a type for images."""
    import onnx

    constants = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in constants]
    kinds = [value.type.tensor_type.elem_type for value in inputs]
    if len(inputs) != 1 or kinds[0] not in _TYPES or len(_dims(inputs[0])) != 4:
        has = ", ".join(
            f"{v.name} {onnx.TensorProto.DataType.Name(k).lower()} {_dims(v)}"
            for v, k in zip(inputs, kinds, strict=True)
        )
        raise WeightsError(
            f"{path}: needs one input, float32, float16 or uint8 (N, 3, H, W); "
            f"it has {has or 'none'}"
        )
    return inputs[0].name, _TYPES[kinds[0]], _dims(inputs[0])
