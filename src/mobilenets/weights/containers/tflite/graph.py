"""A TFLite flatbuffer as plain data: tensors and operators, every size checked against the file."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from mobilenets.errors import WeightsError

IDENTIFIER = b"TFL3"
MAX_BYTES = 1 << 30
MAX_TENSORS = 20_000
"""Far above any of these networks; a damaged count must not keep us busy."""

DAMAGE = (
    struct.error,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    AttributeError,
    OverflowError,
)
"""What the flatbuffers library raises when an offset leads nowhere."""


def _names(enum: Any) -> dict[int, str]:
    return {v: k for k, v in vars(enum).items() if isinstance(v, int)}


_OPERATORS = _names(tflite.BuiltinOperator)
_TYPES = _names(tflite.TensorType)
_ACTIVATIONS = _names(tflite.ActivationFunctionType)
_DTYPES = {
    name: np.dtype(name.lower())
    for name in ("FLOAT16", "FLOAT32", "UINT8", "INT8", "INT16", "INT32", "INT64")
}


@dataclass(frozen=True)
class TfliteQuantization:
    """real = scale * (stored - zero_point); one of each per index of `axis`, or one for all."""

    scale: NDArray[np.float64]
    zero_point: NDArray[np.int64]
    axis: int


@dataclass(frozen=True)
class TfliteTensor:
    """A tensor of the graph; `data` is empty where it is computed. An open side is 0."""

    shape: tuple[int, ...]
    type: str
    data: NDArray[np.uint8]
    quantization: TfliteQuantization | None


@dataclass(frozen=True)
class TfliteOperator:
    """One operator; stride, dilation and padding are those of convolutions and pools."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    activation: str = "NONE"
    padding: str = ""
    """`SAME` or `VALID`."""
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    window: tuple[int, int] = (1, 1)
    """(height, width) of a pool."""
    corners: bool = False
    """Whether a resize puts the corners' centres on each other: TensorFlow's align_corners."""
    axis: int = 0
    """Of a concatenation."""
    slope: float = 0.0
    """Below 0, of a leaky ReLU."""
    options: bytes = b""
    """Of a custom operator, in a form of its own."""


@dataclass(frozen=True)
class TfliteGraph:
    """The main graph, operators in order of execution."""

    tensors: Sequence[TfliteTensor]
    operators: Sequence[TfliteOperator]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    def constant(self, index: int) -> NDArray[Any]:
        """The stored values of a tensor, as they lie in the file. ValueError if they do not fit."""
        tensor = self.tensors[index]
        dtype = _DTYPES.get(tensor.type)
        if dtype is None:
            raise ValueError(f"a weight is stored as {tensor.type}, which is not read")
        count = 1
        for side in tensor.shape:
            count *= side
        if count * dtype.itemsize != tensor.data.size:
            raise ValueError(
                f"a tensor of shape {tensor.shape!s:.99} and type {tensor.type} has "
                f"{tensor.data.size} bytes"
            )
        return tensor.data.view(dtype).reshape(tensor.shape)

    def real(self, index: int) -> NDArray[np.float32]:
        """A constant as real numbers: dequantised, per tensor or per channel."""
        values, quantization = self.constant(index), self.tensors[index].quantization
        if values.dtype.kind == "f":
            with np.errstate(invalid="ignore"):
                return values.astype(np.float32)
        if quantization is None:
            raise ValueError(f"weights of type {self.tensors[index].type} without a scale")
        along = [1] * values.ndim
        if quantization.scale.size > 1:
            along[quantization.axis] = -1
        scale = quantization.scale.reshape(along)
        zero = quantization.zero_point.reshape(along)
        with np.errstate(over="ignore"):  # an infinity is refused with the finished tensor
            return (scale * (values.astype(np.int64) - zero)).astype(np.float32)


def parse(path: Path) -> TfliteGraph:
    """Read the first graph of a TFLite file.

    Raises WeightsError, naming `path`, for a file that is damaged or too large.
    """
    if path.stat().st_size > MAX_BYTES:
        raise WeightsError(f"{path}: larger than {MAX_BYTES} bytes: no MobileNet")
    data = path.read_bytes()
    try:
        model = tflite.Model.GetRootAsModel(data, 0)
        if model.SubgraphsLength() < 1:
            raise ValueError("there is no graph in it")
        return _graph(model, model.Subgraphs(0))
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    except DAMAGE as error:
        raise WeightsError(f"{path}: a damaged TFLite file ({error})") from error


def _graph(model: Any, graph: Any) -> TfliteGraph:
    if max(graph.TensorsLength(), graph.OperatorsLength()) > MAX_TENSORS:
        raise ValueError(f"more than {MAX_TENSORS} tensors or operators")
    tensors = [_tensor(model, graph.Tensors(i)) for i in range(graph.TensorsLength())]
    operators = [_operator(model, graph.Operators(i)) for i in range(graph.OperatorsLength())]
    parsed = TfliteGraph(
        tensors, operators, _integers(graph.InputsAsNumpy()), _integers(graph.OutputsAsNumpy())
    )
    used = [*parsed.inputs, *parsed.outputs]
    for operator in operators:
        used += [*operator.inputs, *operator.outputs]
    if any(not -1 <= index < len(tensors) for index in used) or -1 in parsed.inputs:
        raise ValueError("an operator uses a tensor that does not exist")
    return parsed


def _integers(values: Any) -> tuple[int, ...]:
    """A vector of the file; the library gives 0 where there is none."""
    return tuple(int(v) for v in values) if isinstance(values, np.ndarray) else ()


def _tensor(model: Any, tensor: Any) -> TfliteTensor:
    shape = _integers(tensor.ShapeAsNumpy())
    signature = _integers(tensor.ShapeSignatureAsNumpy()) or shape
    if any(side < 0 for side in shape) or len(signature) != len(shape):
        raise ValueError(f"a tensor of shape {shape!s:.99}")
    buffer = model.Buffers(tensor.Buffer()).DataAsNumpy()
    data = buffer if isinstance(buffer, np.ndarray) else np.zeros(0, np.uint8)
    if not data.size:
        shape = tuple(0 if s < 0 else side for side, s in zip(shape, signature, strict=True))
    return TfliteTensor(shape, _TYPES[tensor.Type()], data, _quantization(tensor, shape))


def _quantization(tensor: Any, shape: tuple[int, ...]) -> TfliteQuantization | None:
    found = tensor.Quantization()
    if found is None or not found.ScaleLength():
        return None
    with np.errstate(invalid="ignore"):  # a damaged NaN, refused below
        scale = found.ScaleAsNumpy().astype(np.float64)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError("a quantization scale that is not a positive number")
    zero = found.ZeroPointAsNumpy()
    zero = zero.astype(np.int64) if isinstance(zero, np.ndarray) else np.zeros(1, np.int64)
    axis = found.QuantizedDimension()
    if scale.size > 1 and shape == (scale.size,):
        axis = 0  # a bias may have the axis of its weights
    if scale.size > 1 and not (0 <= axis < len(shape) and shape[axis] == scale.size):
        raise ValueError(f"{scale.size} scales for a tensor of shape {shape!s:.99}")
    if zero.size not in (1, scale.size):
        raise ValueError(f"{scale.size} scales and {zero.size} zero points")
    return TfliteQuantization(scale, np.broadcast_to(zero, scale.shape), axis)


def _operator(model: Any, operator: Any) -> TfliteOperator:
    code = model.OperatorCodes(operator.OpcodeIndex())
    kind = _OPERATORS[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
    inputs = _integers(operator.InputsAsNumpy())
    outputs = _integers(operator.OutputsAsNumpy())
    if kind == "CUSTOM":
        kind = (code.CustomCode() or b"CUSTOM").decode("ascii", "replace")
        custom = operator.CustomOptionsAsNumpy()
        options = custom.tobytes() if isinstance(custom, np.ndarray) else b""
        return TfliteOperator(kind, inputs, outputs, options=options)
    reader = {
        "CONV_2D": tflite.Conv2DOptions,
        "DEPTHWISE_CONV_2D": tflite.DepthwiseConv2DOptions,
        "AVERAGE_POOL_2D": tflite.Pool2DOptions,
        "FULLY_CONNECTED": tflite.FullyConnectedOptions,
        "ADD": tflite.AddOptions,
        "MUL": tflite.MulOptions,
        "SUB": tflite.SubOptions,
        "DIV": tflite.DivOptions,
        "LEAKY_RELU": tflite.LeakyReluOptions,
        "CONCATENATION": tflite.ConcatenationOptions,
        "RESIZE_BILINEAR": tflite.ResizeBilinearOptions,
        "SOFTMAX": tflite.SoftmaxOptions,
    }.get(kind)
    table = operator.BuiltinOptions()
    if reader is None or table is None:
        return TfliteOperator(kind, inputs, outputs)
    options = reader()
    options.Init(table.Bytes, table.Pos)
    if kind == "LEAKY_RELU":
        return TfliteOperator(kind, inputs, outputs, slope=float(options.Alpha()))
    if kind == "SOFTMAX":
        if options.Beta() != 1:
            raise WeightsError(f"its softmax has a beta of {options.Beta():g}, must be 1")
        return TfliteOperator(kind, inputs, outputs)
    if kind == "FULLY_CONNECTED" and options.WeightsFormat():
        raise WeightsError("the weights of its FULLY_CONNECTED are shuffled, which is not read")
    if kind == "RESIZE_BILINEAR":
        corners = options.AlignCorners() and not options.HalfPixelCenters()
        return TfliteOperator(kind, inputs, outputs, corners=corners)
    activation = _ACTIVATIONS[options.FusedActivationFunction()]
    if kind == "CONCATENATION":
        return TfliteOperator(kind, inputs, outputs, activation, axis=options.Axis())
    if kind in ("FULLY_CONNECTED", "ADD", "MUL", "SUB", "DIV"):
        return TfliteOperator(kind, inputs, outputs, activation)
    padding = "VALID" if options.Padding() else "SAME"
    stride = (options.StrideH(), options.StrideW())
    if kind == "AVERAGE_POOL_2D":
        window = (options.FilterHeight(), options.FilterWidth())
        return TfliteOperator(kind, inputs, outputs, activation, padding, stride, window=window)
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    if min(*stride, *dilation) < 1:
        raise ValueError(f"a convolution of stride {stride} and dilation {dilation}")
    return TfliteOperator(kind, inputs, outputs, activation, padding, stride, dilation)
