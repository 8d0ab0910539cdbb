"""From a TFLite file to the typed graph, as the file has it."""

from dataclasses import replace

from mobilenets.engine.front.batch import check_apart
from mobilenets.engine.front.limits import check_runtime
from mobilenets.engine.front.source import Source
from mobilenets.engine.front.tflite.builder import TfliteBuilder
from mobilenets.engine.front.tflite.dilation import joined
from mobilenets.engine.front.tflite.flatbuffer import TfliteGraph, read_flatbuffer
from mobilenets.engine.front.tflite.operators import translate
from mobilenets.engine.ir.graph import Graph, Reshape, Tensor
from mobilenets.errors import WeightsError

MAX_OPERATORS = 10_000
POSTPROCESS = "TFLite_Detection_PostProcess"
"""Decodes boxes and picks the best: not part of the graph, which gives what goes into it."""
_SOME = 5
"""Images in a batch that is tried: a number that few shapes have by chance."""


def tflite_graph(source: Source, shape: tuple[int, ...] | None) -> Graph:
    """The graph of a TFLite file, operator by operator.

    `shape` as `read_graph` takes it. WeightsError for what is damaged or not supported.
    """
    file, metadata = _without_postprocess(_checked(read_flatbuffer(source.data)))
    size, images = _input_shape(file, shape)
    one = _built(TfliteBuilder(file, size, len(source.data)))
    if images != 1:
        several = TfliteBuilder(file, (images, *size[1:]), len(source.data))
        try:
            _built(several)
        except WeightsError:
            check_apart(one, several, ())  # from there on it is for a single image
        else:
            check_apart(one, several, _outputs(several))
    return Graph(tuple(one.nodes), one.tensors, one.names[file.inputs[0]], _outputs(one), metadata)


def _checked(file: TfliteGraph) -> TfliteGraph:
    if not file.operators or not file.outputs:
        raise WeightsError("an empty TFLite file")
    if len(file.operators) > MAX_OPERATORS:
        raise WeightsError(f"at most {MAX_OPERATORS} operators are supported")
    if len(file.inputs) != 1:
        raise WeightsError(f"one input is supported, got {len(file.inputs)}")
    if min(file.outputs) < 0 or len(set(file.outputs)) != len(file.outputs):
        raise WeightsError("two of its outputs are the same")
    try:
        return joined(file)
    except ValueError as error:
        raise WeightsError(str(error)) from error


def _without_postprocess(file: TfliteGraph) -> tuple[TfliteGraph, dict[str, str]]:
    """The file without a last operator that picks boxes, and the options of that."""
    last = file.operators[-1]
    if last.kind != POSTPROCESS:
        return file, {}
    computed = {i for op in file.operators[:-1] for i in op.outputs}
    ends = tuple(index for index in last.inputs if index in computed)
    if len(ends) != len(set(ends)) or not ends:
        raise WeightsError(f"{POSTPROCESS} has inputs that nothing gives")
    return (
        replace(file, operators=file.operators[:-1], outputs=ends),
        {POSTPROCESS: last.options.hex()},
    )


def _input_shape(file: TfliteGraph, shape: tuple[int, ...] | None) -> tuple[tuple[int, ...], int]:
    """What goes in, N = 1, and how many images a batch has: 1, or some where that is open."""
    declared = file.tensors[file.inputs[0]].shape
    if shape is None and 0 in declared[1:]:
        dims = tuple(size or "?" for size in declared)
        raise WeightsError(f"its input leaves its size open, {dims}: give its shape")
    if shape is not None and len(shape) != len(declared):
        raise WeightsError(f"its input has {len(declared)} dimensions, got shape {shape}")
    if not declared or declared[0] > 1:
        raise WeightsError(f"a file for one image at a time is supported, got {declared}")
    known = shape or declared
    return check_runtime((1, *known[1:])), 1 if declared[0] else _SOME


def _built(builder: TfliteBuilder) -> TfliteBuilder:
    """`builder` with all nodes, and its outputs under the file's names."""
    for operator in builder.file.operators:
        builder.apply(operator, translate)
    for index in builder.file.outputs:
        value = builder.value(index)
        if not isinstance(value, Tensor):
            raise WeightsError("one of its outputs does not depend on the input")
        name = builder.names[index]
        if value.name != name:  # it passed through unchanged
            builder.tensors[name] = replace(value, name=name)
            builder.nodes.append(Reshape(name, (value.name,), name))
    return builder


def _outputs(builder: TfliteBuilder) -> tuple[str, ...]:
    return tuple(builder.names[index] for index in builder.file.outputs)
