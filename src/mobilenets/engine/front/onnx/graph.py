"""From the bytes of an ONNX file to the typed graph, as the file has it."""

from pathlib import Path

from mobilenets.engine.front.limits import check_runtime, quote
from mobilenets.engine.front.onnx.builder import Builder
from mobilenets.engine.front.onnx.operators import translate
from mobilenets.engine.front.onnx.reader import Model, read_model
from mobilenets.engine.ir.graph import Graph, Reshape, Tensor
from mobilenets.errors import WeightsError


def onnx_graph(data: bytes, folder: Path | None, shape: tuple[int, ...] | None) -> Graph:
    """The graph of an ONNX file, node by node; `folder` holds weights that it keeps beside itself.

    `shape` as `read_graph` takes it. WeightsError for what is damaged or not supported.
    """
    model = read_model(data, folder)
    return _build(model, _input_shape(model, shape))


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
