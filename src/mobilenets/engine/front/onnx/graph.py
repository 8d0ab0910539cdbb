"""From what was read of an ONNX file to the typed graph, as the file has it."""

from mobilenets.engine.front.batch import check_apart
from mobilenets.engine.front.limits import check_runtime, quote
from mobilenets.engine.front.onnx.builder import Builder
from mobilenets.engine.front.onnx.operators import translate
from mobilenets.engine.front.onnx.pairs import joined
from mobilenets.engine.front.onnx.reader import OnnxModel, read_model
from mobilenets.engine.front.source import Source
from mobilenets.engine.ir.graph import Graph, Reshape, Tensor
from mobilenets.errors import WeightsError

_VARYING = ("Add", "Sub", "Mul", "Div", "Expand", "Max", "Min", "Slice")
"""What can fail for some numbers of images and not for others: by a constant's size, or its ends.

Other operators that take one image and not several take no other number either.
"""
_SOME = 5
"""Images in a batch that is tried: a number that few shapes have by chance."""


def onnx_graph(source: Source, shape: tuple[int, ...] | None) -> Graph:
    """The graph of an ONNX file, node by node.

    `shape` as `read_graph` takes it. WeightsError for what is damaged or not supported.
    """
    model = joined(read_model(source))
    size = _input_shape(model, shape)
    several, whole = _several(model, size)
    one = _built(Builder(model, size, several if whole else None), model)
    if several is not None:
        check_apart(one, several, model.outputs if whole else ())
    return Graph(tuple(one.nodes), one.tensors, model.input, model.outputs, dict(model.metadata))


def _input_shape(model: OnnxModel, shape: tuple[int, ...] | None) -> tuple[int, ...]:
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


def _several(model: OnnxModel, shape: tuple[int, ...]) -> tuple[Builder | None, bool]:
    """The graph for several images at once, and whether it is whole.

    None where the file is for one at a time; what comes before a shape of a single image where
    the file leaves their number open: even that may mix images for another number.
    """
    batch = model.dims[0] if model.dims else None
    if batch == 1:
        return None, False
    several = Builder(model, (batch or _SOME, *shape[1:]))
    if batch is not None:
        return _built(several, model), True
    for op in model.ops:
        try:
            several.apply(op, translate)
        except WeightsError as error:
            if op.kind in _VARYING:
                raise op.fail("it fits some numbers of images only") from error
            return several, False  # its shapes are those of a single image
    return _named(several, model), True


def _built(builder: Builder, model: OnnxModel) -> Builder:
    """`builder` with all nodes, as the file has them."""
    for op in model.ops:
        builder.apply(op, translate)
    return _named(builder, model)


def _named(builder: Builder, model: OnnxModel) -> Builder:
    """`builder` with the outputs by their names."""
    for name in model.outputs:
        value = builder.values.get(name)
        if not isinstance(value, Tensor):
            raise WeightsError(f"output {quote(name)} does not depend on the input")
        if value.name != name:  # it passed through unchanged
            builder.tensors[name] = Tensor(name, value.shape, value.dtype)
            builder.nodes.append(Reshape(name, (value.name,), name))
    return builder
