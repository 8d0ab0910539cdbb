"""A TFLite flatbuffer as plain data: tensors and operators, every size checked against the file."""

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tflite
from numpy.typing import NDArray

from mobilenets.errors import WeightsError

IDENTIFIER = b"TFL3"
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
_DTYPES["BOOL"] = np.dtype(np.bool_)


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
    name: str = ""


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
    centers: bool = False
    """Whether a resize aligns the centres of pixels: TensorFlow's half_pixel_centers."""
    axis: int = 0
    """Of a concatenation or a pack."""
    slope: float = 0.0
    """Below 0, of a leaky ReLU."""
    beta: float = 1.0
    """What a softmax multiplies its input with."""
    keep: bool = False
    """Whether axes stay: those that are summed up, or before the last of a connected layer."""
    listed: tuple[int, ...] = ()
    """A reshape's new shape, a squeeze's axes; a strided slice's masks.

    The masks are those of begin, end, ellipsis, new axes and axes that go.
    """
    plain: bool = True
    """Whether a fully connected layer's weights lie as (outputs, inputs)."""
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


def read_flatbuffer(data: bytes) -> TfliteGraph:
    """Read the first graph of a TFLite file. WeightsError for one that is damaged."""
    try:
        model = tflite.Model.GetRootAsModel(data, 0)
        if model.SubgraphsLength() < 1:
            raise ValueError("there is no graph in it")
        return _graph(model, model.Subgraphs(0))
    except DAMAGE as error:
        raise WeightsError(f"a damaged TFLite file ({error})") from error


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
    name = (tensor.Name() or b"").decode("utf-8", "replace")
    return TfliteTensor(shape, _TYPES[tensor.Type()], data, _quantization(tensor, shape), name)


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
    table = operator.BuiltinOptions()
    if kind not in _OPTIONS or table is None:
        return TfliteOperator(kind, inputs, outputs)
    reader, fields = _OPTIONS[kind]
    options = reader()
    options.Init(table.Bytes, table.Pos)
    return TfliteOperator(kind, inputs, outputs, **fields(options))


def _activation(options: Any) -> dict[str, Any]:
    return {"activation": _ACTIVATIONS[options.FusedActivationFunction()]}


def _window(options: Any) -> dict[str, Any]:
    padding = "VALID" if options.Padding() else "SAME"
    stride = (options.StrideH(), options.StrideW())
    return {**_activation(options), "padding": padding, "stride": stride}


def _pool(options: Any) -> dict[str, Any]:
    return {**_window(options), "window": (options.FilterHeight(), options.FilterWidth())}


def _convolution(options: Any) -> dict[str, Any]:
    found = _window(options)
    dilation = (options.DilationHFactor(), options.DilationWFactor())
    if min(*found["stride"], *dilation) < 1:
        raise ValueError(f"a convolution of stride {found['stride']} and dilation {dilation}")
    return {**found, "dilation": dilation}


def _resize(options: Any) -> dict[str, Any]:
    centers = bool(options.HalfPixelCenters())
    return {"corners": bool(options.AlignCorners() and not centers), "centers": centers}


def _connected(options: Any) -> dict[str, Any]:
    plain = options.WeightsFormat() == 0
    return {**_activation(options), "keep": bool(options.KeepNumDims()), "plain": plain}


def _masks(options: Any) -> dict[str, Any]:
    masks = (options.BeginMask(), options.EndMask(), options.EllipsisMask())
    return {"listed": (*masks, options.NewAxisMask(), options.ShrinkAxisMask())}


_OPTIONS: dict[str, tuple[Any, Callable[[Any], dict[str, Any]]]] = {
    "ADD": (tflite.AddOptions, _activation),
    "AVERAGE_POOL_2D": (tflite.Pool2DOptions, _pool),
    "CONCATENATION": (
        tflite.ConcatenationOptions,
        lambda options: {**_activation(options), "axis": options.Axis()},
    ),
    "CONV_2D": (tflite.Conv2DOptions, _convolution),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, _convolution),
    "DIV": (tflite.DivOptions, _activation),
    "FULLY_CONNECTED": (tflite.FullyConnectedOptions, _connected),
    "L2_NORMALIZATION": (tflite.L2NormOptions, _activation),
    "LEAKY_RELU": (tflite.LeakyReluOptions, lambda options: {"slope": float(options.Alpha())}),
    "MAX_POOL_2D": (tflite.Pool2DOptions, _pool),
    "MEAN": (tflite.ReducerOptions, lambda options: {"keep": bool(options.KeepDims())}),
    "MUL": (tflite.MulOptions, _activation),
    "PACK": (tflite.PackOptions, lambda options: {"axis": options.Axis()}),
    "RESHAPE": (
        tflite.ReshapeOptions,
        lambda options: {"listed": _integers(options.NewShapeAsNumpy())},
    ),
    "RESIZE_BILINEAR": (tflite.ResizeBilinearOptions, _resize),
    "RESIZE_NEAREST_NEIGHBOR": (tflite.ResizeNearestNeighborOptions, _resize),
    "SOFTMAX": (tflite.SoftmaxOptions, lambda options: {"beta": float(options.Beta())}),
    "SQUEEZE": (
        tflite.SqueezeOptions,
        lambda options: {"listed": _integers(options.SqueezeDimsAsNumpy())},
    ),
    "STRIDED_SLICE": (tflite.StridedSliceOptions, _masks),
    "SUB": (tflite.SubOptions, _activation),
    "SUM": (tflite.ReducerOptions, lambda options: {"keep": bool(options.KeepDims())}),
}
"""Operators with options that are read: the table they lie in, and which fields they give."""
