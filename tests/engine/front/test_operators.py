"""Each operator through the front end and the slow twin, against ONNX Runtime on the same file."""

import numpy as np
import pytest
from onnx import TensorProto

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.graph import Resize
from mobilenets.engine.ir.reference import run_graph
from mobilenets.errors import WeightsError
from tests.engine.graphs import array, check, close, ints, kinds, model, node
from tests.engine.nets import agrees, net_of

ONE = {
    "relu": (node("Relu", "x", "y"), (1, 3, 5, 4)),
    "sigmoid": (node("Sigmoid", "x", "y"), (1, 9)),
    "exp": (node("Exp", "x", "y"), (1, 9)),
    "hard sigmoid": (node("HardSigmoid", "x", "y", alpha=0.3, beta=0.4), (1, 9)),
    "hard swish": (node("HardSwish", "x", "y"), (1, 9)),
    "leaky relu": (node("LeakyRelu", "x", "y"), (1, 9)),
    "leaky relu with a slope": (node("LeakyRelu", "x", "y", alpha=0.3), (1, 3, 5, 4)),
    "average pool": (node("AveragePool", "x", "y", kernel_shape=[3, 2]), (1, 3, 7, 5)),
    "pool with pads": (
        node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 1], pads=[1, 0, 1, 2]),
        (1, 3, 7, 5),
    ),
    "pool that counts pads": (
        node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1),
        (1, 3, 7, 5),
    ),
    "pool, last window cut": (
        node("AveragePool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
        (1, 3, 8, 6),
    ),
    "pool, same": (
        node("AveragePool", "x", "y", kernel_shape=[2, 3], strides=[2, 2], auto_pad="SAME_LOWER"),
        (1, 3, 7, 5),
    ),
    "max pool": (
        node("MaxPool", "x", "y", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
        (1, 3, 7, 5),
    ),
    "max pool, last window cut": (
        node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        (1, 3, 7, 5),
    ),
    "global average": (node("GlobalAveragePool", "x", "y"), (1, 3, 7, 5)),
    "global maximum": (node("GlobalMaxPool", "x", "y"), (1, 3, 7, 5)),
    "mean": (node("ReduceMean", "x", "y", axes=[-1, 2], keepdims=0), (1, 3, 7, 5)),
    "mean of all": (node("ReduceMean", "x", "y"), (1, 3, 7, 5)),
    "sum of all": (node("ReduceSum", "x", "y", keepdims=0), (1, 3, 7, 5)),
    "length": (node("ReduceL2", "x", "y", axes=[-3]), (1, 3, 7, 5)),
    "length of all": (node("ReduceL2", "x", "y", keepdims=0), (1, 3, 7, 5)),
    "reciprocal": (node("Reciprocal", "x", "y"), (1, 9)),
    "a value by itself": (node("Div", "x x", "y"), (1, 4, 3)),
    "flatten": (node("Flatten", "x", "y"), (1, 3, 7, 5)),
    "flatten at the end": (node("Flatten", "x", "y", axis=4), (1, 3, 7, 5)),
    "transpose": (node("Transpose", "x", "y", perm=[0, 2, 3, 1]), (1, 3, 7, 5)),
    "transpose, backwards": (node("Transpose", "x", "y"), (1, 3, 7, 5)),
    "softmax": (node("Softmax", "x", "y", axis=1), (1, 3, 7, 5)),
    "softmax of the last": (node("Softmax", "x", "y"), (1, 3, 7)),
    "arg max": (node("ArgMax", "x", "y_i", axis=1, keepdims=0), (1, 4, 3, 2)),
    "arg max, kept": (node("ArgMax", "x", "y_i", axis=-1), (1, 4, 3, 2)),
    "identity": (node("Identity", "x", "y"), (1, 4)),
    "dropout": (node("Dropout", "x", "y"), (1, 4)),
    "cast": (node("Cast", "x", "y", to=TensorProto.FLOAT), (1, 4)),
    "split": (node("Split", "x", "y z", axis=1), (1, 4, 3)),
    "a value with itself": (node("Mul", "x x", "y"), (1, 4, 3)),
}


@pytest.mark.parametrize(("one", "shape"), ONE.values(), ids=ONE)
def test_an_operator_without_weights(one, shape):
    check(model([one], shape, outputs=" ".join(one.output)))


WEIGHTED = {
    "add a number": (node("Add", "x a", "y"), {"a": array()}),
    "add from the left": (node("Add", "a x", "y"), {"a": array(6, 1, 1)}),
    "add, wider": (node("Add", "x a", "y"), {"a": array(1, 6, 5, 4)}),
    "mul": (node("Mul", "x a", "y"), {"a": array(1, 4)}),
    "sub": (node("Sub", "x a", "y"), {"a": array(6, 1, 1)}),
    "sub from": (node("Sub", "a x", "y"), {"a": array(6, 1, 1)}),
    "div": (node("Div", "x a", "y"), {"a": np.float32([3, 2, 1, 4])}),
    "div of a constant": (node("Div", "a x", "y"), {"a": array(6, 1, 1)}),
    "square": (node("Pow", "x a", "y"), {"a": np.float32([2])}),
    "cube": (node("Pow", "x a", "y"), {"a": np.float32([3])}),
    "sum": (node("ReduceSum", "x a", "y"), {"a": ints(1)}),
    "sum over no axes": (
        node("ReduceSum", "x a", "y", noop_with_empty_axes=1),
        {"a": np.zeros(0, np.int64)},
    ),
    "max": (node("Max", "a x", "y"), {"a": np.float32(0.1)}),
    "min": (node("Min", "x a", "y"), {"a": np.float32([0.1])}),
    "clip": (node("Clip", "x a b", "y"), {"a": np.float32(-0.5), "b": np.float32(0.4)}),
    "clip, no lower limit": (node("Clip", "x - b", "y"), {"b": np.float32(0.4)}),
    "norm": (
        node("BatchNormalization", "x a b c d", "y", epsilon=0.01),
        {"a": array(6), "b": array(6), "c": array(6), "d": np.abs(array(6))},
    ),
    "reshape": (node("Reshape", "x a", "y"), {"a": ints(0, 3, -1, 2)}),
    "squeeze": (node("Squeeze", "x a", "y"), {"a": ints(0)}),
    "squeeze all": (node("Squeeze", "x", "y"), {}),
    "unsqueeze": (node("Unsqueeze", "x a", "y"), {"a": ints(-1, 0)}),
    "concat": (node("Concat", "x x", "y", axis=-2), {}),
    "pad": (
        node("Pad", "x a b", "y"),
        {"a": ints(0, 1, 2, 0, 0, 0, 1, 3), "b": np.float32(7)},
    ),
    "slice": (
        node("Slice", "x a b c d", "y"),
        {"a": ints(1, -3), "b": ints(2**63 - 1, -1), "c": ints(1, 2), "d": ints(2, 1)},
    ),
    "split": (node("Split", "x a", "y z", axis=1), {"a": ints(2, 4)}),
    "gather": (node("Gather", "x a", "y", axis=1), {"a": np.array(-2)}),
    "gather, kept": (node("Gather", "x a", "y", axis=3), {"a": ints(1)}),
    "gather, several": (node("Gather", "x a", "y", axis=1), {"a": ints(2, 0, -1, 2)}),
    "slice, backwards": (
        node("Slice", "x a b c d", "y"),
        {"a": ints(-1, 3), "b": ints(-(2**31), 0), "c": ints(1, 3), "d": ints(-1, -2)},
    ),
    "expand": (node("Expand", "x a", "y"), {"a": ints(1, 1, 6, 1, 4)}),
    "expand, repeating": (node("Expand", "x a", "y"), {"a": ints(3, 1, 6, 5, 1)}),
    "matmul": (node("MatMul", "x a", "y"), {"a": array(4, 3)}),
}


@pytest.mark.parametrize(("one", "weights"), WEIGHTED.values(), ids=WEIGHTED)
def test_an_operator_with_constants(one, weights):
    check(model([one], (1, 6, 5, 4), weights, outputs=" ".join(one.output)))


@pytest.mark.parametrize("power", [3.0, 2.7, 1 / 2.7, 9.0])
def test_powers_of_a_map_as_a_generalised_mean_has_them(power):
    nodes = [
        node("Clip", "x low -", "c"),
        node("Pow", "c p", "r"),
        node("ReduceMean", "r axes", "m", keepdims=1),
        node("Pow", "m q", "y"),
    ]
    weights = {"p": np.float32(power), "q": np.float32(1 / power), "axes": ints(2, 3)}
    data = model(nodes, (1, 6, 5, 4), {"low": np.float32(1e-6), **weights}, opset=18)
    check(data)
    x = array(1, 6, 5, 4)
    data = data.SerializeToString()
    agrees(net_of(data), data, x)


@pytest.mark.parametrize("root", [node("Sqrt", "s", "y"), node("Pow", "s half", "y")])
def test_roots(root):
    nodes = [node("Mul", "x x", "s"), root]
    check(model(nodes, (1, 6, 5), {"half": np.float32(0.5)}))


LENGTHS = {
    "ReduceL2": [node("ReduceL2", "x", "n", axes=[1])],
    "Sqrt": [node("Pow", "x two", "p"), node("ReduceSum", "p axis", "s"), node("Sqrt", "s", "n")],
    "Pow": [
        node("Mul", "x x", "p"),
        node("ReduceSum", "p axis", "s"),
        node("Pow", "s half", "n"),
    ],
}
DIVISIONS = {
    "Div": [node("Add", "n eps", "a"), node("Div", "x a", "q")],
    "Expand": [
        node("Clip", "n eps", "a"),
        node("Expand", "a shape", "e"),
        node("Div", "x e", "q"),
    ],
    "Reciprocal": [
        node("Max", "n eps", "a"),
        node("Reciprocal", "a", "r"),
        node("Mul", "r x", "q"),
    ],
}


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("division", DIVISIONS.values(), ids=DIVISIONS)
@pytest.mark.parametrize("batch", ["n", 2])
def test_channels_divided_by_their_length(length, division, batch):
    nodes = [*length, *division, node("Mul", "q scale", "y")]
    weights = {"two": np.float32(2), "half": np.float32(0.5), "eps": np.float32(1e-6)}
    weights |= {"axis": ints(1), "scale": array(6, 1, 1), "shape": ints(1, 6, 5, 4)}
    weights["shape"][0] = batch if isinstance(batch, int) else 1
    data = model(nodes, (batch, 6, 5, 4), weights).SerializeToString()
    graph = check(data)
    assert "Expand" not in kinds(graph)
    with net_of(graph, 2) as net:
        agrees(net, data, array(2, 6, 5, 4))


def test_what_is_repeated_and_stays_so():
    nodes = [
        node("Expand", "x shape", "e"),
        node("Relu", "e", "r"),
        node("Add", "r row", "y"),
        node("Add", "r column", "z"),
    ]
    weights = {"shape": ints(1, 3, 4), "row": array(4), "column": array(3, 1)}
    graph = check(model(nodes, (1, 3, 1), weights, outputs="y z r"))
    assert kinds(graph) == ["Activate", "Expand", "Binary", "Binary"]
    small = graph.nodes[0].output
    assert {one.output: one.inputs[0] for one in graph.nodes[2:]} == {"y": small, "z": "r"}


@pytest.mark.parametrize(
    ("one", "message"),
    [
        (node("Pow", "x minus", "y"), "its exponent must be one number above 0"),
        (node("Pow", "x pair", "y"), "its exponent must be one number above 0"),
        (node("Pow", "three x", "y"), "its exponent must be a constant"),
        (node("ReduceL2", "x", "y", noop_with_empty_axes=1), "there must be axes"),
    ],
)
def test_what_is_not_supported_is_named(one, message):
    weights = {"minus": np.float32(-1), "three": np.float32(3), "pair": np.float32([2, 0.5])}
    data = model([one], (1, 2), weights, opset=18).SerializeToString()
    with pytest.raises(WeightsError, match=message):
        read_graph(data)


@pytest.mark.parametrize(
    ("shape", "fields"),
    [
        ((8, 6, 1, 1), {}),
        ((6, 1, 3, 3), {"group": 6, "pads": [1, 1, 1, 1], "strides": [2, 2]}),
        ((12, 1, 3, 3), {"group": 6}),
        ((4, 3, 2, 5), {"group": 2, "pads": [0, 1, 2, 3], "dilations": [3, 1]}),
        ((4, 6, 3, 4), {"auto_pad": "SAME_UPPER", "strides": [2, 3]}),
        ((4, 6, 3, 4), {"auto_pad": "SAME_LOWER", "strides": [2, 1]}),
        ((4, 6, 3, 3), {"auto_pad": "VALID", "kernel_shape": [3, 3]}),
    ],
)
def test_convolutions(shape, fields):
    weights = {"w": array(*shape), "b": array(shape[0])}
    graph = check(model([node("Conv", "x w b", "y", **fields)], (1, 6, 9, 8), weights))
    assert kinds(graph) == ["Conv"]


@pytest.mark.parametrize("added", [(1,), (5,), (1, 5), (3, 1), (3, 5)])
@pytest.mark.parametrize("fields", [{}, {"alpha": 0.5, "beta": 2.0}])
def test_products_of_matrices(added, fields):
    # Three rows at the left side of a product: the batch is not among them.
    nodes = [
        node("Squeeze", "x axis", "rows"),
        node("Gemm", "rows a b", "p", transB=1, **fields),
        node("Gemm", "rows a", "q", transB=1, transA=0),
        node("Transpose", "rows", "columns"),
        node("Gemm", "columns c", "r", transA=1),
    ]
    weights = {"a": array(5, 4), "b": array(*added), "c": array(4, 2), "axis": ints(0)}
    graph = check(model(nodes, (1, 3, 4), weights, outputs="p q r"))
    assert kinds(graph).count("Transpose") == 0


def test_a_sum_after_a_product_is_its_bias():
    nodes = [node("MatMul", "x a", "m"), node("Add", "b m", "s"), node("Relu", "s", "y")]
    graph = check(model(nodes, (1, 4), {"a": array(4, 3), "b": array(3)}))
    assert kinds(graph) == ["Dense"]


RESIZES = [
    ("half_pixel", (8, 5), (16, 10)),
    ("half_pixel", (8, 6), (3, 4)),
    ("align_corners", (8, 5), (15, 9)),
    ("align_corners", (3, 5), (1, 9)),
    ("asymmetric", (8, 5), (16, 15)),
    ("pytorch_half_pixel", (3, 3), (7, 5)),
    ("pytorch_half_pixel", (3, 3), (1, 1)),
    ("half_pixel", (1, 1), (4, 3)),
]


@pytest.mark.parametrize(("mode", "old", "new"), RESIZES)
def test_resizing_to_sizes(mode, old, new):
    fields = {"mode": "linear", "coordinate_transformation_mode": mode}
    one = node("Resize", "x - - s", "y", **fields)
    graph = check(model([one], (1, 3, *old), {"s": ints(1, 3, *new)}))
    assert kinds(graph) == ["Expand" if old == (1, 1) else "Resize"]


@pytest.mark.parametrize("opset", [10, 11, 18])
def test_resizing_by_scales(opset):
    scales = np.float32([1, 1, 2, 0.5])
    names = "x s" if opset == 10 else "x roi s"
    one = node("Resize", names, "y", mode="linear")
    graph = check(model([one], (1, 3, 5, 8), {"s": scales, "roi": array(0)}, opset=opset))
    assert isinstance(graph.nodes[0], Resize)
    assert graph.nodes[0].coordinates == ("asymmetric" if opset == 10 else "half_pixel")


def test_upsample_of_old_files():
    old = node("Upsample", "x", "y", mode="linear", scales=[1.0, 1.0, 2.0, 3.0])
    check(model([old], (1, 3, 5, 4), opset=7))
    newer = node("Upsample", "x s", "y", mode="linear")
    check(model([newer], (1, 3, 5, 4), {"s": np.float32([1, 1, 2, 3])}, opset=9))


OLD = {
    "clip, attributes": (node("Clip", "x", "y", min=-0.25, max=0.5), 6),
    "clip, one limit": (node("Clip", "x", "y", max=0.5), 10),
    "softmax of all after": (node("Softmax", "x", "y", axis=1), 11),
    "softmax of the default": (node("Softmax", "x", "y"), 7),
    "squeeze": (node("Squeeze", "x", "y", axes=[0]), 9),
    "unsqueeze": (node("Unsqueeze", "x", "y", axes=[1]), 9),
    "pad": (node("Pad", "x", "y", pads=[0, 0, 1, 1, 0, 0, 2, 0], value=1.5), 9),
    "slice": (node("Slice", "x", "y", axes=[2], starts=[1], ends=[-1]), 9),
    "split": (node("Split", "x", "y z", axis=1, split=[2, 1]), 11),
    "mean": (node("ReduceMean", "x", "y", axes=[2, 3]), 11),
    "sum": (node("ReduceSum", "x", "y", axes=[2, 3]), 11),
}


@pytest.mark.parametrize(("one", "opset"), OLD.values(), ids=OLD)
def test_operators_of_old_opsets(one, opset):
    check(model([one], (1, 3, 5, 4), opset=opset, outputs=" ".join(one.output)))


def test_newer_opsets():
    nodes = [
        node("ReduceMean", "x axes", "m", keepdims=0),
        node("Softmax", "m", "y"),
        node("Split", "x", "a b", axis=1, num_outputs=2),
        node("Pad", "x pads - pad_axes", "p"),
        node("ReduceL2", "x axes", "l"),
    ]
    weights = {"axes": ints(2, 3), "pads": ints(1, 2, 0, 1), "pad_axes": ints(3, -2)}
    check(model(nodes, (1, 3, 5, 4), weights, outputs="y a b p l", opset=18))


def test_sums_of_opset_6_say_where_a_vector_belongs():
    one = node("Add", "x a", "y", broadcast=1, axis=1)
    proto = model([one], (1, 3, 5, 4), {"a": ints(1, 2, 3).astype(np.float32)}, opset=6)
    x = array(1, 3, 5, 4)
    graph = read_graph(proto.SerializeToString())
    close(run_graph(graph, x)["y"], x + np.float32([1, 2, 3])[:, None, None])
