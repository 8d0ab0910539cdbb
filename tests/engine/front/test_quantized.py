"""Operators of integers, and those written as floats between DequantizeLinear and QuantizeLinear.

Against ONNX Runtime in its exact mode: by default its products of uint8 and int8 overflow on
processors without VNNI.
"""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.front.source import Source
from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.reference import run_graph
from mobilenets.errors import WeightsError
from mobilenets.runtime.backends import OnnxRuntime
from tests.engine.graphs import kinds, node
from tests.engine.nets import net_of

INT8, UINT8 = np.int8, np.uint8
CONV = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}


def exact(data, x):
    """All outputs as ONNX Runtime gives them without overflow, on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: x})


class Numbers:
    """Constants with scales drawn at random."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.weights = {}

    def put(self, name, values):
        self.weights[name] = values
        return name

    def scale(self, name, dtype, size=None, zero=None):
        """The names of a scale and a zero point, one or `size` of them."""
        low, high = (0, 255) if dtype == UINT8 else (-100, 100)
        drawn = self.random.integers(low, high) if zero is None else zero
        zeros = np.full(() if size is None else size, drawn, dtype)
        scales = np.float32(self.random.uniform(0.02, 0.1, size))
        return f"{self.put(f'{name}_scale', scales)} " + self.put(f"{name}_zero", zeros)

    def integers(self, name, dtype, *shape):
        info = np.iinfo(dtype)
        return self.put(name, self.random.integers(info.min, info.max + 1, shape).astype(dtype))


def file_of(nodes, numbers, shape, outputs=(("y", TensorProto.FLOAT),)):
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in numbers.weights.items()],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()


def microsoft(kind, inputs, output, **attributes):
    return helper.make_node(
        kind, ["" if i == "-" else i for i in inputs.split()], [output], kind,
        domain="com.microsoft", **attributes,
    )  # fmt: skip


def between(numbers, dtype, inner, shape, out=None):
    """x quantized, `inner` nodes of the integers q to the integers r, and r as floats."""
    ends = numbers.scale("q", dtype), out or numbers.scale("r", dtype)
    nodes = [
        node("QuantizeLinear", f"x {ends[0]}", "q"),
        *inner(*ends),
        node("DequantizeLinear", f"r {ends[1]}", "y"),
    ]
    return file_of(nodes, numbers, shape)


def dequantized(numbers, q, scales, axis=0):
    """The integers q, weights w and bias b as floats."""
    numbers.put("b_scale", numbers.weights["q_scale"] * numbers.weights["w_scale"])
    numbers.put("b_zero", np.zeros(6, np.int32))
    return [
        node("DequantizeLinear", f"q {q}", "qf"),
        node("DequantizeLinear", f"w {scales}", "wf", axis=axis),
        node("DequantizeLinear", "b b_scale b_zero", "bf", axis=0),
    ]


def convolution(numbers, dtype, *, pairs=False, bias=True):
    numbers.integers("w", INT8, 6, 4, 3, 2)
    scales = numbers.scale("w", INT8, 6, 0)
    numbers.weights["w_scale"] /= 8
    added = " b" if bias else ""
    if bias:
        numbers.put("b", numbers.random.integers(-3000, 3000, 6).astype(np.int32))

    def inner(q, r):
        if not pairs:
            return [node("QLinearConv", f"q {q} w {scales} {r}{added}", "r", **CONV)]
        return [
            *dequantized(numbers, q, scales),
            node("Conv", "qf wf bf", "rf", **CONV),
            node("QuantizeLinear", f"rf {r}", "r"),
        ]

    return between(numbers, dtype, inner, (1, 4, 9, 8))


def product(numbers, dtype, *, pairs=False):
    numbers.integers("w", INT8, 6, 9)
    scales = numbers.scale("w", INT8, 6, 0)
    numbers.weights["w_scale"] /= 8
    numbers.put("b", numbers.random.integers(-3000, 3000, 6).astype(np.int32))

    def inner(q, r):
        if not pairs:
            return [microsoft("QGemm", f"q {q} w {scales} b {r}", "r", transB=1)]
        return [
            *dequantized(numbers, q, scales),
            node("Gemm", "qf wf bf", "rf", transB=1),
            node("QuantizeLinear", f"rf {r}", "r"),
        ]

    return between(numbers, dtype, inner, (1, 9))


def total(numbers, dtype, *, pairs=False):
    def inner(q, r):
        s = numbers.scale("s", dtype)
        first = node("QuantizeLinear", f"x {s}", "s")
        if not pairs:
            return [first, microsoft("QLinearAdd", f"q {q} s {s} {r}", "r")]
        return [
            first,
            node("DequantizeLinear", f"q {q}", "qf"),
            node("DequantizeLinear", f"s {s}", "sf"),
            node("Add", "qf sf", "rf"),
            node("QuantizeLinear", f"rf {r}", "r"),
        ]

    return between(numbers, dtype, inner, (1, 5, 6, 7))


CASES = {
    "conv": (convolution, {}, "Conv"),
    "conv, no bias": (convolution, {"bias": False}, "Conv"),
    "conv in pairs": (convolution, {"pairs": True}, "Conv"),
    "gemm": (product, {}, "Dense"),
    "gemm in pairs": (product, {"pairs": True}, "Dense"),
    "sum": (total, {}, "Binary"),
    "sum in pairs": (total, {"pairs": True}, "Binary"),
}


@pytest.mark.parametrize(("make", "options", "kind"), CASES.values(), ids=CASES)
def test_integers_are_onnx_runtime_s(make, options, kind):
    for seed in range(5):
        numbers = Numbers(seed)
        data = make(numbers, UINT8, **options)
        graph = read_graph(data)
        x = numbers.random.normal(0, 4, graph.tensors["x"].shape).astype(np.float32)
        (wanted,) = exact(data, x)
        np.testing.assert_array_equal(run_graph(graph, x)["y"], wanted)
        count = 2 if kind == "Binary" else 1
        assert kinds(graph) == ["Quantize"] * count + [kind, "Dequantize"]


def test_a_sum_of_int8_is_onnx_runtime_s():
    for seed in range(5):
        numbers = Numbers(seed)
        data = total(numbers, INT8)
        x = numbers.random.normal(0, 4, (1, 5, 6, 7)).astype(np.float32)
        np.testing.assert_array_equal(run_graph(read_graph(data), x)["y"], exact(data, x)[0])


def test_what_other_nodes_read_stays_as_floats():
    numbers = Numbers(0)

    def inner(q, r):
        return [
            node("DequantizeLinear", f"q {q}", "qf"),
            node("Sigmoid", "qf", "rf"),
            node("QuantizeLinear", f"rf {r}", "r"),
        ]

    data = between(numbers, UINT8, inner, (1, 60))
    graph = read_graph(data)
    assert kinds(graph) == ["Quantize", "Dequantize", "Activate", "Quantize", "Dequantize"]
    x = numbers.random.normal(0, 4, (1, 60)).astype(np.float32)
    np.testing.assert_array_equal(run_graph(graph, x)["y"], exact(data, x)[0])


def test_weights_with_a_scale_for_each_input_stay_floats():
    numbers = Numbers(0)
    numbers.integers("w", INT8, 6, 6)
    scales = numbers.scale("w", INT8, 6, 0)
    numbers.put("b", numbers.random.integers(-3000, 3000, 6).astype(np.int32))

    def inner(q, r):
        return [
            *dequantized(numbers, q, scales, axis=1),
            node("Gemm", "qf wf bf", "rf", transB=1),
            node("QuantizeLinear", f"rf {r}", "r"),
        ]

    graph = read_graph(between(numbers, UINT8, inner, (1, 6)))
    assert kinds(graph) == ["Quantize", "Dequantize", "Dense", "Quantize", "Dequantize"]


def test_constants_with_a_scale_for_each_channel_are_floats():
    numbers = Numbers(0)
    numbers.integers("w", INT8, 6, 9)
    scales = numbers.scale("w", INT8, 9)
    nodes = [
        node("DequantizeLinear", f"w {scales}", "wf", axis=1),
        node("Gemm", "x wf", "y", transB=1),
    ]
    data = file_of(nodes, numbers, (1, 9))
    x = numbers.random.normal(size=(1, 9)).astype(np.float32)
    graph = read_graph(data)
    assert isinstance(graph.nodes[0], g.Dense)
    np.testing.assert_allclose(run_graph(graph, x)["y"], exact(data, x)[0], rtol=1e-4, atol=1e-4)


REFUSED = {
    "a scale of 0": ({"q_scale": np.float32(0)}, "scale must be one number above 0"),
    "several scales of a value": ({"q_scale": np.float32([1, 2])}, "scale must be one number"),
    "another type": ({"q_zero": np.int32(0)}, "zero point must be one int8 or uint8"),
    "a bias of floats": ({"b": np.zeros(6, np.float32)}, "bias must be 6 int32"),
    "too few scales": ({"w_scale": np.ones(5, np.float32)}, "1 or 6 scales"),
    "several zero points": ({"w_zero": np.int8([0, 1, 0, 0, 0, 0])}, "one zero point"),
    "weights of floats": ({"w": np.zeros((6, 4, 3, 2), np.float32)}, "int8 or uint8"),
}


@pytest.mark.parametrize(("changed", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(changed, why):
    proto = onnx.load_from_string(convolution(Numbers(0), UINT8))
    for tensor in proto.graph.initializer:
        if tensor.name in changed:
            tensor.CopyFrom(numpy_helper.from_array(np.asarray(changed[tensor.name]), tensor.name))
    with pytest.raises(WeightsError, match=why) as caught:
        read_graph(proto.SerializeToString())
    assert "\n" not in str(caught.value)


@pytest.mark.assets
@pytest.mark.every
def test_a_file_in_pairs_names_what_onnx_runtime_names(assets):
    """Which computes a part of it as floats, whose halves it rounds as they come."""
    path = assets / "weights" / "mobilenet_v2_1.0_224_qdq.onnx"
    graph = read_graph(path)
    assert kinds(graph).count("Conv") == 52
    assert sum(kind in ("Quantize", "Dequantize") for kind in kinds(graph)) == 4
    step = graph.nodes[-1].quantization.scale
    for seed in range(3):
        x = np.random.default_rng(seed).normal(size=(1, 3, 224, 224)).astype(np.float32)
        (wanted,) = exact(path.read_bytes(), x)
        found = run_graph(graph, x)[graph.outputs[0]]
        assert found.argmax() == wanted.argmax()
        assert np.abs(found - wanted).max() <= 10 * step


def test_what_onnx_runtime_runs_for_us_does_not_overflow():
    """Where a processor has no VNNI; on others there is nothing to see."""
    numbers = Numbers(0)
    numbers.put("w", np.full((6, 40), 127, INT8))
    scales = numbers.scale("w", INT8, 6, 0)

    def inner(q, r):
        numbers.weights["r_scale"] = np.float32(40)
        return [microsoft("QGemm", f"q {q} w {scales} - {r}", "r", transB=1)]

    data = between(numbers, UINT8, inner, (1, 40))
    x = np.full((1, 40), 1000, np.float32)
    (found,) = OnnxRuntime(Source("full", data), (1, 40), 1)(x)
    np.testing.assert_array_equal(found, run_graph(read_graph(data), x)["y"])


@pytest.mark.parametrize("dtype", [INT8, UINT8])
def test_a_file_in_pairs_is_compiled(dtype):
    data = convolution(Numbers(0), dtype, pairs=True)
    graph = read_graph(data)
    shape = graph.tensors[graph.input].shape
    x = np.random.default_rng(0).normal(0, 4, shape).astype(np.float32)
    wanted = run_graph(graph, x)[graph.outputs[0]]
    with net_of(data, 2) as net:
        np.testing.assert_array_equal(net(x), wanted)


@pytest.mark.assets
@pytest.mark.every
def test_the_file_in_pairs_is_compiled(assets):
    path = assets / "weights" / "mobilenet_v2_1.0_224_qdq.onnx"
    graph = read_graph(path)
    x = np.random.default_rng(0).normal(size=(1, 3, 224, 224)).astype(np.float32)
    with net_of(path.read_bytes(), 2) as net:
        np.testing.assert_array_equal(net(x), run_graph(graph, x)[graph.outputs[0]])
