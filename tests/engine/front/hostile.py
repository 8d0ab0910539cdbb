"""Files made to harm, and one process that reads them with little memory. Run by a test."""

import json
import resource
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from mobilenets.engine.front.read import read_graph
from mobilenets.errors import WeightsError
from tests.engine.graphs import ints, model, node

MEGABYTES = 400
"""What reading any of them may take, on top of the process itself."""

SECONDS = 60
"""Of the processor, for all of them: they take two, and one that hangs takes forever."""

HUGE = 2**40
FLOATS = np.ones((4, 3, 3, 3), np.float32)


def small(*nodes: onnx.NodeProto, opset: int = 17, **weights: np.ndarray) -> onnx.ModelProto:
    """A file whose input is (1, 3, 8, 8)."""
    return model(nodes, (1, 3, 8, 8), weights, opset=opset)


def convolution(**fields: object) -> onnx.ModelProto:
    return small(node("Conv", "x w", "y", **fields), w=FLOATS)


def with_weight(change: Callable[[TensorProto], object]) -> onnx.ModelProto:
    proto = convolution()
    change(proto.graph.initializer[0])
    return proto


def _dims(*dims: int) -> onnx.ModelProto:
    def change(tensor: TensorProto) -> None:
        del tensor.dims[:]
        tensor.dims.extend(dims)

    return with_weight(change)


def _pool(**fields: object) -> onnx.ModelProto:
    return small(node("AveragePool", "x", "y", **fields))


def _input(*shape: int) -> onnx.ModelProto:
    return model([node("Relu", "x", "y")], shape)


def _from_constants(*nodes: onnx.NodeProto, **weights: np.ndarray) -> onnx.ModelProto:
    return small(*nodes, node("Add", "x c", "y"), **weights)


def _doubling(count: int) -> onnx.ModelProto:
    nodes = [node("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(count)]
    return small(*nodes, node("Add", f"x c{count}", "y"), c0=np.ones(8, np.float32))


def _copies(count: int) -> onnx.ModelProto:
    nodes = [node("Add", f"c{i} one", f"c{i + 1}") for i in range(count)]
    big = np.ones(2**20, np.float32)
    return small(*nodes, node("Add", f"x c{count}", "y"), c0=big, one=np.float32(1))


def _resize(*sizes: int) -> onnx.ModelProto:
    return small(node("Resize", "x - - s", "y", mode="linear"), s=ints(*sizes))


def _pad(*pads: int) -> onnx.ModelProto:
    return small(node("Pad", "x p", "y"), p=ints(*pads))


def _branch() -> onnx.ModelProto:
    inner = model([node("Relu", "x", "y")], (1, 3, 8, 8)).graph
    proto = small(node("If", "x", "y", then_branch=inner, else_branch=inner))
    proto.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return proto


def _nan(kind: str, **fields: float) -> onnx.ModelProto:
    return small(node(kind, "x", "y", **fields))


def _attribute(kind: int) -> onnx.ModelProto:
    proto = convolution(group=1)
    proto.graph.node[0].attribute[0].type = kind
    return proto


def _twice() -> onnx.ModelProto:
    proto = convolution()
    proto.graph.initializer.append(proto.graph.initializer[0])
    return proto


def _opset(version: int) -> onnx.ModelProto:
    proto = convolution()
    proto.opset_import[0].version = version
    return proto


def _sparse() -> onnx.ModelProto:
    proto = convolution()
    proto.graph.sparse_initializer.add()
    return proto


def _two_inputs() -> onnx.ModelProto:
    proto = convolution()
    proto.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1]))
    return proto


def _half() -> onnx.ModelProto:
    return model([node("Relu", "x", "y")], (1, 3), kind=TensorProto.FLOAT16)


def _external(**entries: str) -> onnx.ModelProto:
    def change(tensor: TensorProto) -> None:
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    return with_weight(change)


def _many_outputs() -> onnx.ModelProto:
    names = " ".join(f"y{i}" for i in range(20_000))
    return small(node("Split", "x", f"y {names}", axis=1))


def _set(name: str, value: object) -> Callable[[TensorProto], object]:
    return lambda tensor: setattr(tensor, name, value)


LIES: dict[str, tuple[onnx.ModelProto, str]] = {
    "more dims than bytes": (_dims(4, 3, 3, 4), "its dimensions need 576 bytes, it has 432"),
    "fewer dims than bytes": (_dims(4, 3, 3, 2), "its dimensions need 288 bytes, it has 432"),
    "a huge weight": (_dims(HUGE, HUGE, HUGE), "can have 2147483648 bytes"),
    "sizes that overflow to none": (_dims(2**32, 2**32, 1, 1), "can have 2147483648 bytes"),
    "a negative size": (_dims(-4, -3, 3, 3), "must not be negative"),
    "many dimensions": (_dims(*(1,) * 1000), "at most 8 dimensions"),
    "no type": (with_weight(_set("data_type", 0)), "its type must be one of"),
    "a type of no one": (with_weight(_set("data_type", 99)), "its type must be one of"),
    "text as weights": (with_weight(_set("data_type", 8)), "its type must be one of"),
    "integers as weights": (with_weight(_set("data_type", 6)), "weight must be float32, got int32"),
    "a weight that is not there": (with_weight(_set("name", "v")), "reads 'w', which nothing"),
    "two weights of one name": (_twice(), "two of its weights have the same name"),
    "sparse weights": (_sparse(), "sparse weights are not supported"),
    "kernel_shape of another": (convolution(kernel_shape=[5, 5]), "kernel_shape must be"),
    "stride 0": (convolution(strides=[0, 1]), "strides must be 1 to"),
    "negative stride": (convolution(strides=[-1, 1]), "strides must be 1 to"),
    "huge stride": (convolution(strides=[HUGE, 1]), "strides must be 1 to"),
    "one stride": (convolution(strides=[1]), "strides must be 2 integers, got 1"),
    "dilation 0": (convolution(dilations=[0, 1]), "dilations must be 1 to"),
    "wide dilation": (convolution(dilations=[9, 1]), "kernel is larger than its padded input"),
    "negative pads": (convolution(pads=[-1, 0, 0, 0]), "pads must be 0 to"),
    "huge pads": (convolution(pads=[2**62, 0, 2**62, 0]), "pads must be 0 to"),
    "large pads": (convolution(pads=[2**20] * 4), "can have 2147483648 bytes"),
    "no groups": (convolution(group=0), "do not fit a weight"),
    "many groups": (convolution(group=2**62), "do not fit a weight"),
    "negative groups": (convolution(group=-1), "do not fit a weight"),
    "padding of no one": (convolution(auto_pad="SOME"), "auto_pad must be NOTSET or"),
    "text as a number": (convolution(group="1"), "group must be an integer"),
    "an attribute without type": (_attribute(0), "group must be an integer"),
    "an attribute that is a graph": (_attribute(AttributeProto.GRAPH), "group must be an integer"),
    "kernel 0": (_pool(kernel_shape=[0, 1]), "kernel_shape must be two positive"),
    "no kernel": (_pool(), "kernel_shape must be two positive"),
    "huge kernel": (_pool(kernel_shape=[HUGE, 1]), "kernel is larger than its padded"),
    "pads as large as the kernel": (_pool(kernel_shape=[2, 2], pads=[2] * 4), "pads must be"),
    "empty input": (_input(1, 0, 8, 8), "leaves its size open"),
    "huge input": (_input(1, 3, 2**31, 2**31), "can have 2147483648 bytes"),
    "many input dimensions": (_input(*(1,) * 40), "1 to 8 dimensions are supported"),
    "no input dimensions": (_input(), "1 to 8 dimensions are supported"),
    "float16": (_half(), "input 'x' must be a float32 tensor"),
    "two inputs": (_two_inputs(), "one input is supported, got 2 'x', 'z'"),
    "opset 5": (_opset(5), "opset 6 to"),
    "opset of the future": (_opset(2**40), "opset 6 to"),
    "a circle": (
        small(node("Add", "x b", "a"), node("Relu", "a", "b"), node("Relu", "b", "y")),
        "reads 'b', which nothing before it gives",
    ),
    "a node that reads itself": (small(node("Relu", "y", "y")), "reads 'y', which nothing"),
    "two nodes of one output": (
        small(node("Relu", "x", "y"), node("Sigmoid", "x", "y")),
        "gives 'y', which is there already",
    ),
    "an output that is the input's": (small(node("Relu", "x", "x")), "gives 'x', which is there"),
    "an output of nothing": (small(node("Relu", "x", "z")), "output 'y' is given by no node"),
    "an output that is constant": (
        small(node("Identity", "w", "y"), w=FLOATS),
        "output 'y' does not depend on the input",
    ),
    "an unknown operator": (
        small(node("Foo", "x", "y")),
        "node 'Foo_y': operator Foo is not supported; supported are Add, ArgMax, ",
    ),
    "an operator's name with lines": (small(node("A\nB" * 99, "x", "y")), "is not supported"),
    "a branch": (_branch(), "operator If is not supported"),
    "a sum that is no sum": (
        small(node("Add", "x a", "y"), a=np.ones((5, 7), np.float32)),
        r"shapes \(1, 3, 8, 8\) and \(5, 7\) do not fit",
    ),
    "an operator without inputs": (small(node("Conv", "", "y")), "it has no input"),
    "an operator without weights": (small(node("Conv", "x", "y")), "it has no weight"),
    "a weight that is not constant": (small(node("Conv", "x x", "y")), "must be a constant"),
    "a weight as input": (
        small(node("Relu", "w", "c"), node("Conv", "w w", "y"), w=FLOATS),
        "input must not be a constant",
    ),
    "reshape to more": (small(node("Reshape", "x s", "y"), s=ints(1, HUGE)), "cannot be reshaped"),
    "reshape to two unknowns": (
        small(node("Reshape", "x s", "y"), s=ints(-1, -1)),
        "cannot be reshaped",
    ),
    "reshape to a negative": (
        small(node("Reshape", "x s", "y"), s=ints(-2, -96)),
        "cannot be reshaped",
    ),
    "reshape to what overflows": (
        small(node("Reshape", "x s", "y"), s=ints(2**63 - 1, 2**63 - 1, -1)),
        "cannot be reshaped",
    ),
    "perm of no order": (small(node("Transpose", "x", "y", perm=[0, 0, 1, 2])), "perm must be"),
    "an axis far off": (small(node("Concat", "x x", "y", axis=2**62)), "axis must be -4 to 3"),
    "the same axis twice": (small(node("ReduceMean", "x", "y", axes=[1, 1])), "axes must differ"),
    "step 0": (
        small(node("Slice", "x a b c d", "y"), a=ints(0), b=ints(1), c=ints(1), d=ints(0)),
        "steps must not be 0",
    ),
    "an empty slice": (
        small(node("Slice", "x a b", "y"), a=ints(1), b=ints(1)),
        "empty tensors are not supported",
    ),
    "a huge pad": (_pad(0, 0, HUGE, 0, 0, 0, HUGE, 0), "pads must be 0 to"),
    "a large pad": (_pad(0, 0, 2**20, 2**20, 0, 0, 0, 0), "can have 2147483648 bytes"),
    "a negative pad": (_pad(0, 0, -1, 0, 0, 0, 0, 0), "pads must be 0 to"),
    "pads that wrap": (
        small(node("Pad", "x p", "y", mode="wrap"), p=ints(*(1,) * 8), opset=19),
        "mode must be constant, got 'wrap'",
    ),
    "a huge size": (_resize(1, 3, HUGE, HUGE), "can have 2147483648 bytes"),
    "a negative new size": (_resize(1, 3, -8, -8), "must not be negative"),
    "no new size": (_resize(1, 3, 0, 8), "empty tensors are not supported"),
    "a scale that is no number": (
        small(node("Resize", "x - s", "y", mode="linear"), s=np.float32([1, 1, np.nan, 1])),
        "a scale of nan",
    ),
    "a huge scale": (
        small(node("Resize", "x - s", "y", mode="linear"), s=np.float32([1, 1, np.inf, 1])),
        "a scale of inf",
    ),
    "an alpha that is no number": (_nan("HardSigmoid", alpha=np.nan), "alpha must be a number"),
    "a limit that is no number": (
        small(node("Clip", "x a", "y"), a=np.float32(np.nan)),
        "limits must be single numbers",
    ),
    "two limits": (
        small(node("Clip", "x a", "y"), a=np.float32([0, 1])),
        "limits must be single numbers",
    ),
    "a huge constant": (
        _from_constants(node("ConstantOfShape", "s", "c"), s=ints(HUGE, HUGE)),
        "can have 2147483648 bytes",
    ),
    "a large constant": (
        _from_constants(node("ConstantOfShape", "s", "c"), s=ints(2**28)),
        "constants grow to far more",
    ),
    "a constant of negative size": (
        _from_constants(node("ConstantOfShape", "s", "c"), s=ints(-1)),
        "must not be negative",
    ),
    "a constant expanded": (
        _from_constants(node("Expand", "a s", "c"), a=np.ones(1, np.float32), s=ints(2**28)),
        "constants grow to far more",
    ),
    "a constant repeated": (
        _from_constants(node("Tile", "a s", "c"), a=np.ones(1, np.float32), s=ints(2**28)),
        "constants grow to far more",
    ),
    "a sum of a row and a column": (
        _from_constants(
            node("Add", "a b", "c"),
            a=np.ones((1, 2**14), np.float32),
            b=np.ones((2**14, 1), np.float32),
        ),
        "constants grow to far more",
    ),
    "a long range": (
        _from_constants(
            node("Range", "a b d", "c"), a=np.array(0), b=np.array(2**62), d=np.array(1)
        ),
        "is not supported",
    ),
    "a range without steps": (
        _from_constants(node("Range", "a b d", "c"), a=np.array(0), b=np.array(9), d=np.array(0)),
        "is not supported",
    ),
    "a gather of much": (
        _from_constants(
            node("Gather", "a i", "c"),
            a=np.ones((1, 2**16), np.float32),
            i=np.zeros(2**12, np.int64),
        ),
        "constants grow to far more",
    ),
    "a gather out of bounds": (
        _from_constants(node("Gather", "a i", "c"), a=np.ones(4, np.float32), i=ints(4)),
        "indices must be -4 to 3",
    ),
    "a division of whole numbers by 0": (
        small(node("Div", "a z", "c"), node("Reshape", "x c", "y"), a=ints(1), z=ints(0)),
        "cannot be reshaped",
    ),
    "constants that double": (_doubling(60), "constants grow to far more|can have"),
    "constants that pile up": (_copies(500), "constants grow to far more"),
    "a split into many": (_many_outputs(), "at most 256 outputs are supported, got 20001"),
    "many nodes": (
        small(*(node("Relu", "x", f"y{i}") for i in range(10_000)), node("Relu", "x", "y")),
        "at most 10000 nodes",
    ),
    "weights elsewhere": (_external(location="w.bin"), "need the model's path"),
    "cast to what is not there": (
        small(node("Cast", "x", "y", to=TensorProto.STRING)),
        "cannot be cast to type 8",
    ),
    "value of a constant missing": (
        _from_constants(node("Constant", "", "c")),
        "its value must be a tensor of numbers",
    ),
    "a constant of another type": (
        _from_constants(node("Constant", "", "c", value=numpy_helper.from_array(ints(1)))),
        "must be float32, got int64",
    ),
}


def _main() -> None:
    """Read each under limits, and say what came of it."""
    found = {}
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limit = used + MEGABYTES * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    for name, (proto, _) in LIES.items():
        try:
            read_graph(proto.SerializeToString())
            found[name] = "nothing"
        except WeightsError as error:
            found[name] = str(error)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _main()
