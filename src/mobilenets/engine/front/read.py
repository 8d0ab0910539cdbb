"""ONNX to the typed graph: shapes worked out, constants and norms folded, or one clear error."""

import os
from pathlib import Path

from mobilenets.engine.front.onnx.builder import Builder, check_runtime
from mobilenets.engine.front.onnx.operators import translate
from mobilenets.engine.front.onnx.reader import Model, read_model
from mobilenets.engine.front.onnx.stored import quote
from mobilenets.engine.ir.graph import Graph, Reshape, Tensor
from mobilenets.engine.passes.simplify import simplify
from mobilenets.errors import WeightsError

__all__ = ["read_graph"]


def read_graph(
    source: str | os.PathLike[str] | bytes, *, shape: tuple[int, ...] | None = None
) -> Graph:
    """The network in an ONNX file (a path, or the file's bytes), for one image at a time.

    `shape` is the input's as the file lays it out, (N, C, H, W) say; it takes the place of the
    file's own, and is needed where that leaves more than N open. N is 1 in the graph whatever
    either says. Weights in other files are read from the model's folder and from nowhere else.

    Raises WeightsError, in one line that names the file, for one that is damaged, not supported or
    not of this shape; ValueError for a shape that is none.
    """
    if shape is not None and not (shape and all(type(n) is int and n > 0 for n in shape)):
        raise ValueError(f"shape must be positive integers, got {shape!r}")
    if isinstance(source, bytes):
        return _named("the model", source, None, shape)
    path = Path(source)
    try:
        data = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror})") from error
    if data is None:
        raise WeightsError(f"{path}: no such file")
    return _named(str(path), data, path.parent, shape)


def _named(where: str, data: bytes, folder: Path | None, shape: tuple[int, ...] | None) -> Graph:
    """The graph, or an error that begins with `where`."""
    try:
        model = read_model(data, folder)
        return simplify(_build(model, _input_shape(model, shape)))
    except WeightsError as error:
        raise WeightsError(f"{where}: {error}") from error.__cause__


def _input_shape(model: Model, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """What goes in, N = 1."""
    if shape is None and (model.dims is None or None in model.dims[1:]):
        dims = tuple("?" if d is None else d for d in model.dims or ())
        raise WeightsError(
            f"input {quote(model.input)} leaves its size open, {dims}: give its shape"
        )
    if shape is not None and model.dims is not None and len(shape) != len(model.dims):
        raise WeightsError(
            f"input {quote(model.input)} has {len(model.dims)} dimensions, got shape {shape}"
        )
    known = shape or tuple(size or 1 for size in model.dims or ())
    return check_runtime((1, *known[1:]))


def _build(model: Model, shape: tuple[int, ...]) -> Graph:
    """Node by node, as the file has it."""
    builder = Builder(model, shape)
    for op in model.ops:
        builder.apply(op, translate)
    for name in model.outputs:
        value = builder.values.get(name)
        if not isinstance(value, Tensor):
            raise WeightsError(f"output {quote(name)} does not depend on the input")
        if value.name != name:  # it passed through unchanged
            builder.tensors[name] = Tensor(name, value.shape, value.dtype)
            builder.nodes.append(Reshape(name, (value.name,), name))
    return Graph(
        tuple(builder.nodes), builder.tensors, model.input, model.outputs, dict(model.metadata)
    )
