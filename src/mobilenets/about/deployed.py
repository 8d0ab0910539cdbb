"""What an ONNX file is: its graph, its metadata, what the engine makes of it. Nothing is run."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenets.about.info import Info, of_card
from mobilenets.card import KEY, Output
from mobilenets.cost.graph import infer_shapes, profile_onnx, read_model
from mobilenets.engine import Source
from mobilenets.engine.front.read import read_graph
from mobilenets.errors import WeightsError
from mobilenets.extras import missing
from mobilenets.inference import guess_card
from mobilenets.runtime.backends import reason_of
from mobilenets.runtime.session import examine, make_card, sides_of
from mobilenets.tasks.registry import task_of

if TYPE_CHECKING:
    import onnx

    from mobilenets.engine.ir.graph import Graph
    from mobilenets.runtime.known import Recalled

_SHOWN = 8
"""Outputs that are named."""


def describe_onnx(path: Path) -> Info:
    """What an ONNX file is.

    A file whose outputs nobody knows, or that takes no image, is described as far as it goes.
    WeightsError for one that is damaged.
    """
    source = Source.open(path)
    model = read_model(path)
    notes: list[str] = []
    known: dict[str, Any] = {"outputs": _outputs(model)}
    shape: tuple[int, ...] | None = None
    try:
        _, begun = examine(source, guess_card)
        sides = sides_of(begun)
        shape = (1, 3, *sides) if begun.layout == "NCHW" else (1, *sides, 3)
    except WeightsError as error:
        begun = None
        notes.append(_short(error, path))
    graph, reason = _on_engine(source, shape)
    if begun is not None:
        try:
            known = _from_card(path, model, begun, graph)
        except WeightsError as error:
            notes.append(_short(error, path))
            known["resolution"] = sides_of(begun)
    found, why = _cost(path, known.get("resolution"))
    known |= found
    if begun is None:
        notes.append("so no command runs it")
    elif why and why not in notes:
        notes.append(f"its cost is not known: {why}")
    if begun is not None and graph is None:
        notes.append(_other_runtime())
    size, missing = _bytes(path, model)
    if missing:
        notes.append(f"weights that it keeps in {missing}, which is not there")
    return Info(
        str(path),
        "ONNX",
        str(path),
        size,
        _writer(model),
        engine=graph is not None,
        reason=reason,
        notes=tuple(notes),
        **known,
    )


def _from_card(
    path: Path, model: onnx.ModelProto, begun: Recalled, graph: Graph | None
) -> dict[str, Any]:
    """What the file's card says, or one that is made from its graph."""

    def first_shape(size: tuple[int, int]) -> tuple[int | None, ...]:
        name = model.graph.output[0].name
        if graph is not None:
            return graph.tensors[name].shape
        copy = type(model)()
        copy.CopyFrom(model)
        image = next(value for value in copy.graph.input if value.name == begun.name)
        dims = image.type.tensor_type.shape.dim
        sides = (3, *size) if begun.layout == "NCHW" else (*size, 3)
        for dim, value in zip(dims, (1, *sides), strict=True):
            dim.dim_value = value
        return infer_shapes(copy)[name]

    card = make_card(str(path), model, begun, guess_card, first_shape)
    known = of_card(card)
    known["task"] = task_of(card).name
    return known


def _on_engine(source: Source, shape: tuple[int, ...] | None) -> tuple[Graph | None, str]:
    """The graph as the engine has it, or None and why it does not take the file."""
    try:
        return read_graph(source, shape=shape), ""
    except WeightsError as refusal:
        return None, reason_of(refusal, source.name)


def _other_runtime() -> str:
    if find_spec("onnxruntime") is not None:
        return "commands run it on ONNX Runtime, if that takes it"
    return f"ONNX Runtime may run it: {missing('onnxruntime')}"


def _cost(path: Path, size: tuple[int, int] | None) -> tuple[dict[str, int], str]:
    """Parameters and multiply-adds, or why they cannot be counted."""
    try:
        cost = profile_onnx(path, resolution=size)
    except (WeightsError, ValueError) as error:
        return {}, _short(error, path)
    return {"parameters": cost.parameters, "madds": cost.madds}, ""


def _writer(model: onnx.ModelProto) -> str:
    """The program that wrote it, and of which versions the format and the operators are."""
    ours = any(entry.key == KEY for entry in model.metadata_props)
    name = " ".join(filter(None, (model.producer_name, model.producer_version)))
    opsets = [e.version for e in model.opset_import if e.domain in ("", "ai.onnx")]
    who = name
    if ours and model.producer_name != "mobilenets":  # another program kept our card
        who = f"mobilenets, by {name}" if name else "mobilenets"
    return ", ".join(filter(None, [who, *(f"opset {version}" for version in opsets)]))


def _outputs(model: onnx.ModelProto) -> tuple[Output, ...]:
    """The outputs as the graph declares them, where nothing says what they mean."""
    found = []
    for value in model.graph.output[:_SHOWN]:
        dims = value.type.tensor_type.shape.dim
        shape = ", ".join(str(dim.dim_value or dim.dim_param or "?") for dim in dims)
        found.append(Output(value.name, "", f"({shape})"))
    return tuple(found)


def _bytes(path: Path, model: onnx.ModelProto) -> tuple[int, str]:
    """Bytes of the file and of those that it keeps weights in; the first of these not there."""
    names = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    beside = [path.parent / name for name in sorted(names)]
    missing = next((one.name for one in beside if not one.is_file()), "")
    return sum(one.stat().st_size for one in (path, *beside) if one.is_file()), missing


def _short(error: Exception, path: Path) -> str:
    return str(error).removeprefix(f"{path}: ")
