"""What a file's last operators make of its scores, and whether they are scores at all."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from mobilenets.errors import WeightsError
from mobilenets.inference import open_session
from mobilenets.runtime.numbers import sigmoid, softmax
from mobilenets.tasks.classify.read import scores_of
from tests.engine.graphs import array, ints, model, node
from tests.outputs import only

X = array(3, 3, 4, 4)
WEIGHTS = {
    "w": array(3, 4), "axes": ints(2, 3), "one": np.float32(1), "zero": np.float32(0),
    "hundred": np.float32(100), "tiny": np.float32(1e-7), "nearly": np.float32(1 - 1e-7),
    "rest": ints(1, 2, 3), "start": ints(1), "stop": ints(4), "axis": ints(1), "k": ints(2),
    "square": np.float32(2), "scale": np.float32(1 / 255), "point": np.uint8(0),
}  # fmt: skip
LOGITS = [
    node("ReduceMean", "x axes", "m", keepdims=0),
    node("MatMul", "m w", "l"),
]
SOFT, SIGM = node("Softmax", "l", "p", axis=1), node("Sigmoid", "l", "p")


def write(path, nodes, kind=TensorProto.FLOAT, shape=("n", 4)):
    used = {name for one in nodes for name in one.input}
    weights = {name: value for name, value in WEIGHTS.items() if name in used}
    made = model([*LOGITS, *nodes], ("n", 3, 4, 4), {**WEIGHTS_OF_LOGITS, **weights}, opset=18)
    del made.graph.output[:]
    made.graph.output.append(helper.make_tensor_value_info("y", kind, shape))
    onnx.save(made, path)
    return path


WEIGHTS_OF_LOGITS = {"w": WEIGHTS["w"], "axes": WEIGHTS["axes"]}
READ = {
    "softmax": ([node("Softmax", "l", "y", axis=1)], softmax),
    "its logarithm": ([node("LogSoftmax", "l", "y", axis=1)], softmax),
    "its logarithm, written out": ([SOFT, node("Log", "p", "y")], softmax),
    "softmax, cut at its ends": ([SOFT, node("Clip", "p tiny nearly", "y")], softmax),
    "softmax times 1": ([SOFT, node("Mul", "p one", "y")], softmax),
    "softmax, cast there and back": (
        [SOFT, node("Cast", "p", "a", to=10), node("Cast", "a", "y", to=1)], softmax),
    "softmax, quantized and back": (
        [SOFT, node("QuantizeLinear", "p scale point", "q"),
         node("DequantizeLinear", "q scale point", "y")], softmax),
    "softmax, written out": (
        [node("ReduceMax", "l axis", "a"), node("Sub", "l a", "b"), node("Exp", "b", "e"),
         node("ReduceSum", "e axis", "s"), node("Div", "e s", "y")], softmax),
    "sigmoid": ([node("Sigmoid", "l", "y")], sigmoid),
    "sigmoid, written out": (
        [node("Neg", "l", "a"), node("Exp", "a", "b"), node("Add", "b one", "d"),
         node("Div", "one d", "y")], sigmoid),
    "hard sigmoid": ([node("HardSigmoid", "l", "y", alpha=0.2, beta=0.5)],
                     lambda x: np.clip(0.2 * x + 0.5, 0, 1)),
    "what is not": ([SIGM, node("Sub", "one p", "y")], lambda x: 1 - sigmoid(x)),
    "logits, scaled": ([node("Mul", "l hundred", "y")], lambda x: softmax(100 * x)),
    "logits, unsqueezed": ([node("Unsqueeze", "l k", "y")], softmax),
}  # fmt: skip


@pytest.mark.parametrize("case", READ.values(), ids=READ)
def test_scores_are_what_the_graph_makes_of_its_logits(tmp_path, case):
    nodes, made = case
    session = open_session(write(tmp_path / "m.onnx", nodes))
    found = scores_of(only(session(X)), session.card)
    # The graph's own 1/255 of a score is what a quantized one may be off.
    off = 1 / 255 if any(one.op_type == "QuantizeLinear" for one in nodes) else 1e-3
    np.testing.assert_allclose(found, made(X.mean((2, 3)) @ WEIGHTS["w"]), atol=off)


def test_scores_without_the_background_are_still_scores(tmp_path):
    nodes = [SOFT, node("Slice", "p start stop axis", "y")]
    session = open_session(write(tmp_path / "m.onnx", nodes, shape=("n", 3)))
    wanted = softmax(X.mean((2, 3)) @ WEIGHTS["w"])[:, 1:]
    np.testing.assert_allclose(scores_of(only(session(X)), session.card), wanted, atol=1e-5)
    nodes = [SIGM, node("Gather", "p rest", "y", axis=1)]
    session = open_session(write(tmp_path / "m.onnx", nodes, shape=("n", 3)))
    wanted = sigmoid(X.mean((2, 3)) @ WEIGHTS["w"])[:, 1:]
    np.testing.assert_allclose(scores_of(only(session(X)), session.card), wanted, atol=1e-5)


INT, FLOAT = TensorProto.INT64, TensorProto.FLOAT
REFUSED = {
    "argmax": ([node("ArgMax", "l", "y", axis=1, keepdims=0)], INT, ("n",)),
    "argmin": ([node("ArgMin", "l", "y", axis=1)], INT, ("n", 1)),
    "argmax, cast": (
        [node("ArgMax", "l", "a", axis=1), node("Cast", "a", "y", to=1)], FLOAT, ("n", 1)),
    "topk": ([node("TopK", "l k", "y i", axis=1)], FLOAT, ("n", 2)),
    "hardmax": ([node("Hardmax", "l", "y", axis=1)], FLOAT, ("n", 4)),
    "greater": ([node("Greater", "l zero", "y")], TensorProto.BOOL, ("n", 4)),
    "quantizelinear": (
        [SOFT, node("QuantizeLinear", "p scale point", "y")], TensorProto.UINT8, ("n", 4)),
    "scaled softmax": ([SOFT, node("Mul", "p hundred", "y")], FLOAT, ("n", 4)),
    "scaled sigmoid": ([SIGM, node("Log", "p", "y")], FLOAT, ("n", 4)),
    "lpnormalization": ([node("LpNormalization", "l", "y", axis=1)], FLOAT, ("n", 4)),
    "lpnormalization, written out": (
        [node("ReduceL2", "l axis", "a"), node("Div", "l a", "y")], FLOAT, ("n", 4)),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_are_no_scores_is_refused_by_its_operator(tmp_path, name):
    nodes, kind, shape = REFUSED[name]
    path = write(tmp_path / "m.onnx", nodes, kind, shape)
    wanted = rf"its output y .*from an operator {name.split(',')[0]}, is no classifier's scores"
    with pytest.raises(WeightsError, match=wanted):
        open_session(path)


def test_a_map_of_classes_is_refused(tmp_path):
    """What scikit-learn's converter puts behind its classifiers."""
    made = onnx.load(write(tmp_path / "m.onnx", [node("Softmax", "l", "y", axis=1)]))
    last = helper.make_node("ZipMap", ["y"], ["z"], domain="ai.onnx.ml", classlabels_int64s=[1, 2])
    made.graph.node.append(last)
    made.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    made.graph.output[0].name = "z"
    onnx.save(made, tmp_path / "m.onnx")
    with pytest.raises(WeightsError, match="from an operator zipmap, is no classifier's scores"):
        open_session(tmp_path / "m.onnx")
