"""Which operators are supported, and what translates each."""

from collections.abc import Callable, Mapping

from mobilenets.engine.front.assembly import Operand
from mobilenets.engine.front.limits import quote
from mobilenets.engine.front.onnx import constants, elementwise, layers, quantized, resizing, views
from mobilenets.engine.front.onnx.builder import OpCall
from mobilenets.errors import WeightsError

OPERATORS: Mapping[str, Callable[[OpCall], Operand | list[Operand]]] = {
    "Add": elementwise.add,
    "ArgMax": views.arg_max,
    "AveragePool": layers.average_pool,
    "BatchNormalization": layers.batch_norm,
    "Cast": elementwise.cast,
    "Clip": elementwise.clip,
    "Concat": views.concat,
    "Conv": layers.conv,
    "DequantizeLinear": quantized.dequantize,
    "Div": elementwise.div,
    "Dropout": views.identity,
    "Exp": elementwise.exp,
    "Expand": views.expand,
    "Flatten": views.flatten,
    "Gather": views.gather,
    "Gemm": layers.gemm,
    "GlobalAveragePool": layers.global_average_pool,
    "GlobalMaxPool": layers.global_max_pool,
    "HardSigmoid": elementwise.hard_sigmoid,
    "HardSwish": elementwise.hard_swish,
    "Identity": views.identity,
    "LeakyRelu": elementwise.leaky_relu,
    "Log": elementwise.log,
    "MatMul": layers.matmul,
    "Max": elementwise.maximum,
    "MaxPool": layers.max_pool,
    "Min": elementwise.minimum,
    "Mul": elementwise.mul,
    "Pad": views.pad,
    "Pow": elementwise.power,
    "QLinearConv": quantized.qlinear_conv,
    "QuantizeLinear": quantized.quantize,
    "Reciprocal": elementwise.reciprocal,
    "ReduceL2": layers.reduce_l2,
    "ReduceMean": layers.reduce_mean,
    "ReduceSum": layers.reduce_sum,
    "Relu": elementwise.relu,
    "Reshape": views.reshape,
    "Resize": resizing.resize,
    "Shape": constants.shape_of,
    "Sigmoid": elementwise.sigmoid,
    "Size": constants.size_of,
    "Slice": views.slice_,
    "Softmax": views.softmax,
    "Split": views.split,
    "Sqrt": elementwise.sqrt,
    "Squeeze": views.squeeze,
    "Sub": elementwise.sub,
    "Swish": elementwise.swish,
    "Transpose": views.transpose,
    "Unsqueeze": views.unsqueeze,
    "Upsample": resizing.resize,
    "com.microsoft.QGemm": quantized.qgemm,
    "com.microsoft.QLinearAdd": quantized.qlinear_add,
}
"""What a network can do; constants.EVALUATORS is what can be done with constants besides."""


def translate(call: OpCall) -> Operand | list[Operand]:
    """The values that an operation makes; WeightsError where it is not supported."""
    kind = call.op.kind
    if kind in constants.EVALUATORS and constants.all_constant(call):
        try:
            return constants.EVALUATORS[kind](call)
        except (TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError) as error:
            # numpy's refusals are as many as its types.
            raise call.fail(f"its constants do not fit ({str(error)[:100]!r})") from error
    if kind in OPERATORS:
        return OPERATORS[kind](call)
    if kind in constants.EVALUATORS:
        raise call.fail("it is supported on constants only")
    raise WeightsError(
        f"node {quote(call.op.name)}: operator {kind} is not supported; "
        f"supported are {', '.join(OPERATORS)}"
    )
