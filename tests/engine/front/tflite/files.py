"""TFLite files made on the spot, operator by operator, and LiteRT's own run of them."""

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

_TYPES = {
    np.dtype(name.lower()): getattr(schema.TensorType, name)
    for name in ("FLOAT32", "FLOAT16", "INT8", "UINT8", "INT32", "INT64")
}
_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    "CONV_2D": "Conv2DOptions",
    "CONCATENATION": "ConcatenationOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "L2_NORMALIZATION": "L2NormOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
}
NONE, RELU, RELU_N1, RELU6 = range(4)
"""Fused activations."""


class Draft:
    """A file that grows: tensors by their numbers, operators in order."""

    def __init__(self) -> None:
        self.graph = schema.SubGraphT()
        self.graph.tensors, self.graph.operators = [], []
        self.model = schema.ModelT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []

    def tensor(
        self,
        shape: Sequence[int],
        kind: Any = np.float32,
        scale: Any = None,
        zero: Any = 0,
        axis: int = 0,
    ) -> int:
        """A new value, with a scale for all or for each place along `axis`; -1: an open side."""
        made = schema.TensorT()
        made.shape = [max(side, 1) for side in shape]
        made.shapeSignature = list(shape) if -1 in shape else None
        made.type, made.buffer = _TYPES[np.dtype(kind)], 0
        made.name = f"t{len(self.graph.tensors)}"
        if scale is not None:
            made.quantization = schema.QuantizationParametersT()
            made.quantization.scale = np.float32(np.atleast_1d(scale))
            zeros = np.broadcast_to(zero, made.quantization.scale.shape)
            made.quantization.zeroPoint = np.int64(zeros)
            made.quantization.quantizedDimension = axis
        self.graph.tensors.append(made)
        return len(self.graph.tensors) - 1

    def constant(self, values: np.ndarray, *quantization: Any) -> int:
        """A value that the file holds."""
        index = self.tensor(values.shape, values.dtype, *quantization)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self.graph.tensors[index].buffer = len(self.model.buffers)
        self.model.buffers.append(buffer)
        return index

    def add(self, kind: str, inputs: Sequence[int], outputs: Sequence[int], **options: Any) -> int:
        """An operator, with the options of its table by their names; its first output."""
        code = schema.OperatorCodeT()
        number = getattr(schema.BuiltinOperator, kind)
        code.builtinCode, code.deprecatedBuiltinCode, code.version = number, min(number, 127), 1
        made = schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes)
        self.model.operatorCodes.append(code)
        made.inputs, made.outputs = list(inputs), list(outputs)
        name = _OPTIONS.get(kind) or f"{kind.title().replace('_', '')}Options"
        if hasattr(schema, f"{name}T"):
            table = getattr(schema, f"{name}T")()
            for key, value in options.items():
                assert hasattr(table, key), (name, key)
                setattr(table, key, value)
            made.builtinOptions = table
            made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
        self.graph.operators.append(made)
        return outputs[0]

    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The file."""
        self.graph.inputs, self.graph.outputs = list(inputs), list(outputs)
        return packed(self.model)


def packed(model: schema.ModelT) -> bytes:
    """A model as a file's bytes."""
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def showing_all(data: bytes) -> tuple[bytes, list[int]]:
    """A file with every value that is computed as an output, and the values' numbers."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data))
    graph = model.subgraphs[0]
    known = set(graph.inputs)
    made = [i for op in graph.operators for i in op.outputs if i not in known]
    custom = [i for op in graph.operators if _custom(model, op) for i in op.outputs]
    shown = [i for i in made if i not in custom]
    graph.operators = [op for op in graph.operators if not _custom(model, op)]
    graph.outputs, model.signatureDefs = shown, None
    for tensor in graph.tensors:
        if tensor.quantization and len(tensor.shape) == 1:  # LiteRT refuses the axis of old files
            tensor.quantization.quantizedDimension = 0
    return packed(model), shown


def _custom(model: schema.ModelT, operator: schema.OperatorT) -> bool:
    return model.operatorCodes[operator.opcodeIndex].customCode is not None


def litert(data: bytes, x: np.ndarray, builtin: bool = False) -> list[np.ndarray]:
    """All outputs as LiteRT gives them on one thread, by XNNPACK's kernels where it has any.

    `builtin`: by LiteRT's own kernels alone.
    """
    from ai_edge_litert.interpreter import OpResolverType

    kind = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if builtin else OpResolverType.AUTO
    one = Interpreter(model_content=data, num_threads=1, experimental_op_resolver_type=kind)
    (entry,) = one.get_input_details()
    if tuple(entry["shape"]) != x.shape:
        one.resize_tensor_input(entry["index"], x.shape)
    one.allocate_tensors()
    one.set_tensor(entry["index"], x)
    one.invoke()
    return [one.get_tensor(out["index"]) for out in one.get_output_details()]
