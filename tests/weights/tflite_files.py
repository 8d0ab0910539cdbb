"""Damage done to TFLite files, and whether they are refused."""

import tflite as schema

from mobilenets.errors import WeightsError
from mobilenets.weights.sources import tflite


def table_positions(data):
    """Where the model, the graph, its tensors, their quantization and the operators lie."""
    model = schema.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    tensors = [graph.Tensors(i) for i in range(graph.TensorsLength())]
    operators = [graph.Operators(i) for i in range(graph.OperatorsLength())]
    codes = [model.OperatorCodes(i) for i in range(model.OperatorCodesLength())]
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    options = [t for o in operators if (t := o.BuiltinOptions()) is not None]
    tables = [model, graph, *tensors, *(t.Quantization() for t in tensors), *operators, *codes]
    return [t.Pos for t in (*(x._tab for x in (*tables, *buffers) if x is not None), *options)]


def flipped(data, rng):
    """`data` with up to three bits turned in or near its tables."""
    tables = table_positions(data)
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        position = rng.choice(tables) + rng.integers(-16, 48)
        damaged[min(position, len(data) - 1)] ^= 1 << rng.integers(8)
    return bytes(damaged)


def is_refused(data, path):
    """Whether reading ends in our error, which names the file; any other error is raised."""
    path.write_bytes(data)
    try:
        tflite.read(path)
    except WeightsError as error:
        return str(path) in str(error)
    return False
