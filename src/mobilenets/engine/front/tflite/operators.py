"""Which operators are supported, and what translates each."""

from collections.abc import Callable, Mapping

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import quote
from mobilenets.engine.front.tflite import elementwise, layers, views
from mobilenets.engine.front.tflite.builder import TfliteCall
from mobilenets.errors import WeightsError

OPERATORS: Mapping[str, Callable[[TfliteCall], Operand | list[Operand]]] = {
    "ADD": elementwise.add,
    "ARG_MAX": views.arg_max,
    "AVERAGE_POOL_2D": layers.average_pool,
    "CAST": elementwise.cast,
    "CONCATENATION": views.concatenation,
    "CONV_2D": layers.conv_2d,
    "DEPTHWISE_CONV_2D": layers.depthwise_conv_2d,
    "DEQUANTIZE": elementwise.dequantize,
    "DIV": elementwise.div,
    "EXPAND_DIMS": views.expand_dims,
    "FULLY_CONNECTED": layers.fully_connected,
    "HARD_SWISH": elementwise.hard_swish,
    "L2_NORMALIZATION": elementwise.l2_normalization,
    "LEAKY_RELU": elementwise.leaky_relu,
    "LOGISTIC": elementwise.logistic,
    "MAX_POOL_2D": layers.max_pool,
    "MEAN": layers.mean,
    "MUL": elementwise.mul,
    "PACK": views.pack,
    "PAD": views.pad,
    "PADV2": views.pad,
    "PRELU": elementwise.prelu,
    "QUANTIZE": elementwise.quantize,
    "RELU": elementwise.clip("RELU"),
    "RELU6": elementwise.clip("RELU6"),
    "RELU_N1_TO_1": elementwise.clip("RELU_N1_TO_1"),
    "RESHAPE": views.reshape,
    "RESIZE_BILINEAR": views.resize_bilinear,
    "RESIZE_NEAREST_NEIGHBOR": views.resize_nearest,
    "SHAPE": views.shape_of,
    "SLICE": views.slice_,
    "SOFTMAX": elementwise.softmax,
    "SPLIT": views.split,
    "SQUEEZE": views.squeeze,
    "STRIDED_SLICE": views.strided_slice,
    "SUB": elementwise.sub,
    "SUM": layers.total,
    "TRANSPOSE": views.transpose,
}


def translate(call: TfliteCall) -> Operand | list[Operand]:
    """The values that an operator makes; WeightsError where it is not supported."""
    kind = call.op.kind
    if kind not in OPERATORS:
        raise WeightsError(
            f"operator {quote(call.title)}: {quote(kind)[1:-1]} is not supported; "
            f"supported are {', '.join(OPERATORS)}"
        )
    return OPERATORS[kind](call)
