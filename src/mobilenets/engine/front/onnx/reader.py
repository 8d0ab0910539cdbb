"""An ONNX file as checked plain data: operations in order, attributes, constants."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from mobilenets.engine.front.limits import MAX_RANK, quote
from mobilenets.engine.front.onnx.stored import Constant, Store
from mobilenets.engine.front.source import Source
from mobilenets.errors import WeightsError

OPSETS = range(6, 27)
MAX_NODES = 10_000
MAX_OUTPUTS = 256
MAX_LIST = 2**16
_MAX_REASON = 300


@dataclass(frozen=True)
class Op:
    """A node of the file. Attributes are int, float, str, a tuple of these or an array."""

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    def fail(self, reason: str) -> WeightsError:
        """An error that names the node."""
        return WeightsError(f"node {quote(self.name)} ({self.kind}): {reason[:_MAX_REASON]}")


@dataclass(frozen=True)
class OnnxModel:
    """What a file holds. `dims` are the input's, None where open, and None if not even counted."""

    ops: tuple[Op, ...]
    constants: Mapping[str, Constant]
    input: str
    dims: tuple[int | None, ...] | None
    outputs: tuple[str, ...]
    opset: int
    metadata: Mapping[str, str]
    size: int


def read_model(source: Source) -> OnnxModel:
    """Parse a file; weights kept in other files are looked for beside it.

    Every name is given once, and before it is read: there are no circles. WeightsError otherwise.
    """
    model = ModelProto()
    try:
        model.ParseFromString(source.data)
        _check_words(model)
        return _convert(model, len(source.data), Store(source))
    except (DecodeError, UnicodeDecodeError) as error:
        raise WeightsError("not an ONNX file, or a damaged one") from error


def _convert(model: ModelProto, size: int, store: Store) -> OnnxModel:
    graph = model.graph
    if not graph.node or not graph.output:
        raise WeightsError("not an ONNX file, or an empty one")
    if len(graph.node) > MAX_NODES:
        raise WeightsError(f"at most {MAX_NODES} nodes are supported, got {len(graph.node)}")
    if graph.sparse_initializer:
        raise WeightsError("sparse weights are not supported")
    constants = {tensor.name: store.read(tensor) for tensor in graph.initializer}
    if len(constants) != len(graph.initializer):
        raise WeightsError("two of its weights have the same name")
    source = _input(graph, constants)
    ops = tuple(_op(node, store) for node in graph.node)
    outputs = tuple(value.name for value in graph.output)
    _check_order(ops, {*constants, source.name}, outputs)
    return OnnxModel(
        ops=ops,
        constants=constants,
        input=source.name,
        dims=_dims(source),
        outputs=outputs,
        opset=_opset(model),
        metadata={entry.key: entry.value for entry in model.metadata_props},
        size=size,
    )


def _check_words(model: ModelProto) -> None:
    """Raise WeightsError for a name that is no text: the parser hands those over as bytes."""
    graph = model.graph
    words = [value.name for value in (*graph.input, *graph.output)]
    words += [tensor.name for tensor in graph.initializer]
    for node in graph.node:
        words += [node.name, node.op_type, node.domain, *node.input, *node.output]
        words += [attribute.name for attribute in node.attribute]
    words += [text for entry in model.metadata_props for text in (entry.key, entry.value)]
    for word in words:
        if not isinstance(word, str):
            raise WeightsError(f"a damaged ONNX file: the name {word!r} in it is not text")


def _opset(model: ModelProto) -> int:
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        allowed = f"{OPSETS.start} to {OPSETS.stop - 1}"
        raise WeightsError(f"opset {allowed} is supported, got {versions or 'none'}")
    return versions[0]


def _input(graph: GraphProto, constants: Mapping[str, Constant]) -> ValueInfoProto:
    """The only input that the file does not give a value itself."""
    values = [value for value in graph.input if value.name not in constants]
    if len(values) != 1:
        names = ", ".join(quote(value.name) for value in values[:4])
        raise WeightsError(f"one input is supported, got {len(values)} {names}".rstrip())
    if not values[0].name:
        raise WeightsError("its input has no name")
    if values[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise WeightsError(f"input {quote(values[0].name)} must be a float32 tensor")
    return values[0]


def _dims(value: ValueInfoProto) -> tuple[int | None, ...] | None:
    kind = value.type.tensor_type
    if not kind.HasField("shape"):
        return None
    dims = kind.shape.dim
    if not 1 <= len(dims) <= MAX_RANK:
        raise WeightsError(f"input {quote(value.name)}: 1 to {MAX_RANK} dimensions are supported")
    return tuple(dim.dim_value if dim.dim_value > 0 else None for dim in dims)


def _op(node: NodeProto, store: Store) -> Op:
    name = node.name or next((output for output in node.output if output), "")
    standard = node.domain in ("", "ai.onnx")
    kind = node.op_type if standard else f"{node.domain}.{node.op_type}"
    kind = quote(kind)[1:-1]
    op = Op(name, kind, tuple(node.input), tuple(node.output), {})
    if not any(op.outputs):
        raise op.fail("it has no output")
    if len(op.outputs) > MAX_OUTPUTS:
        raise op.fail(f"at most {MAX_OUTPUTS} outputs are supported, got {len(op.outputs)}")
    try:
        attributes = {attribute.name: _value(attribute, store) for attribute in node.attribute}
    except WeightsError as error:
        raise op.fail(str(error)) from None
    return replace(op, attributes=attributes)


def _value(attribute: AttributeProto, store: Store) -> Any:
    """The attribute as Python's; None for what no supported operator has, like a branch."""
    kind = attribute.type
    if max(len(attribute.ints), len(attribute.floats)) > MAX_LIST:
        raise WeightsError(f"lists of at most {MAX_LIST} numbers are supported")
    if kind == AttributeProto.INT:
        return attribute.i
    if kind == AttributeProto.FLOAT:
        return attribute.f
    if kind == AttributeProto.STRING:
        return attribute.s.decode()
    if kind == AttributeProto.INTS:
        return tuple(attribute.ints)
    if kind == AttributeProto.FLOATS:
        return tuple(attribute.floats)
    if kind == AttributeProto.TENSOR:
        return store.read(attribute.t)
    return None


def _check_order(ops: tuple[Op, ...], given: set[str], outputs: tuple[str, ...]) -> None:
    for op in ops:
        for name in op.inputs:
            if name and name not in given:
                raise op.fail(f"it reads {quote(name)}, which nothing before it gives")
        for name in op.outputs:
            if name in given:
                raise op.fail(f"it gives {quote(name)}, which is there already")
            if name:
                given.add(name)
    for name in outputs:
        if name not in given:
            raise WeightsError(f"output {quote(name)} is given by no node")
    if len(set(outputs)) != len(outputs):
        raise WeightsError("two of its outputs have the same name")
