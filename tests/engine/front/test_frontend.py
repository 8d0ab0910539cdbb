"""What the front end makes of whole networks, as different programs write them."""

import numpy as np
import onnx
import pytest
import timm
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from onnx import TensorProto, helper, numpy_helper

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.graph import Activation, Conv, Pool, Slice
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.ir.types import INT64
from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import build
from tests.engine.graphs import (
    array,
    check,
    close,
    ints,
    kinds,
    model,
    node,
    onnx_runtime,
    random_model,
)
from tests.quick import exported, shake_norms
from tests.some import some


@pytest.mark.parametrize(
    ("nodes", "kind"),
    [
        ([node("Sigmoid", "c", "s"), node("Mul", "c s", "y")], "silu"),
        ([node("HardSigmoid", "c", "s", alpha=1 / 6), node("Mul", "s c", "y")], "hardswish"),
        (
            [
                node("Add", "c three", "a"),
                node("Clip", "a zero six", "l"),
                node("Div", "l six", "d"),
                node("Mul", "c d", "y"),
            ],
            "hardswish",
        ),
        (
            [
                node("Add", "c three", "a"),
                node("Clip", "a zero six", "l"),
                node("Mul", "c l", "m"),
                node("Div", "m six", "y"),
            ],
            "hardswish",
        ),
        (
            [
                node("Add", "c three", "a"),
                node("Clip", "a zero six", "l"),
                node("Div", "l six", "y"),
            ],
            "hardsigmoid",
        ),
        ([node("Relu", "c", "r"), node("Clip", "r - six", "y")], "clip"),
    ],
)
def test_activations_are_recognised_and_folded(nodes, kind):
    numbers = {"zero": np.float32(0), "three": np.float32(3), "six": np.float32(6)}
    norm = {name: np.abs(array(4)) for name in ("n1", "n2", "n3", "n4")}
    nodes = [
        node("Conv", "x w", "b"),
        node("BatchNormalization", "b n1 n2 n3 n4", "c"),
        *nodes,
    ]
    weights = {"w": array(4, 3, 1, 1), **numbers, **norm}
    graph = check(model(nodes, (1, 3, 5, 4), weights))
    assert kinds(graph) == ["Conv"]
    assert graph.nodes[0].activation.kind == kind


def test_what_something_else_reads_is_not_folded():
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("Add", "c r", "y"),
    ]
    graph = check(model(nodes, (1, 3, 5, 4), {"w": array(3, 3, 1, 1)}))
    assert kinds(graph) == ["Conv", "Activate", "Binary"]
    graph = check(model(nodes[:2], (1, 3, 5, 4), {"w": array(3, 3, 1, 1)}, outputs="c r"))
    assert kinds(graph) == ["Conv", "Activate"]


def test_a_pad_of_zeros_is_the_convolutions():
    nodes = [node("Pad", "x p", "z"), node("Conv", "z w", "y", pads=[1, 0, 0, 0])]
    weights = {"p": ints(0, 0, 0, 1, 0, 0, 1, 2), "w": array(2, 3, 3, 3)}
    graph = check(model(nodes, (1, 3, 5, 4), weights))
    assert isinstance(graph.nodes[0], Conv)
    assert graph.nodes[0].pads == (1, 1, 1, 2)


def test_a_pad_of_zeros_counts_in_an_average():
    nodes = [node("Pad", "x p", "z"), node("AveragePool", "z", "y", kernel_shape=[3, 3])]
    graph = check(model(nodes, (1, 3, 5, 4), {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)}))
    assert isinstance(graph.nodes[0], Pool)
    assert graph.nodes[0].count_pads


def test_a_pad_of_ones_stays():
    nodes = [node("Pad", "x p one", "z"), node("Conv", "z w", "y")]
    weights = {"p": ints(0, 0, 1, 1, 0, 0, 1, 1), "one": np.float32(1), "w": array(2, 3, 3, 3)}
    assert kinds(check(model(nodes, (1, 3, 5, 4), weights))) == ["Pad", "Conv"]


def nhwc_network() -> onnx.ModelProto:
    """As a naive converter from channels-last writes it: every convolution between transposes."""
    nodes, weights = [], {"half": np.float32([0.5] * 8), "p": ints(0, 0, 0, 0, 0, 1, 1, 0)}
    six = {"low": np.float32(0), "high": np.float32(6), "out": ints(1, 8), "axes": ints(1, 2)}
    weights |= six | {"dense": array(8, 5), "bias": array(5)}
    nodes.append(node("Pad", "x p", "x0"))
    last = "x0"
    for i, (inner, outer) in enumerate([(3, 8), (8, 8), (8, 8)]):
        weights[f"w{i}"] = array(3, 3, inner, outer)  # HWIO
        pads = [0, 0, 0, 0] if i == 0 else [1, 1, 1, 1]
        nodes += [
            node("Transpose", f"w{i}", f"v{i}", perm=[3, 2, 0, 1]),
            node("Transpose", last, f"a{i}", perm=[0, 3, 1, 2]),
            node("Conv", f"a{i} v{i}", f"b{i}", pads=pads),
            node("Transpose", f"b{i}", f"c{i}", perm=[0, 2, 3, 1]),
            node("Mul", f"c{i} half", f"d{i}"),
            node("Clip", f"d{i} low high", f"e{i}"),
        ]
        last = f"e{i}"
    nodes += [
        node("Add", "e0 e2", "sum"),
        node("Concat", "sum e1", "both", axis=3),
        node("Slice", "both start end last", "some"),
        node("ReduceMean", "both", "m", axes=[1, 2]),
        node("Slice", "m start end last", "n"),
        node("Reshape", "n out", "flat"),
        node("MatMul", "flat dense", "logits"),
        node("Add", "logits bias", "z"),
        node("Softmax", "z", "y", axis=-1),
    ]
    weights |= {"start": ints(0), "end": ints(8), "last": ints(3)}
    return model(nodes, ("n", 9, 8, 3), weights, outputs="y")


def test_transposes_of_a_channels_last_file_vanish():
    graph = check(nhwc_network())
    assert graph.tensors["x"].shape == (1, 9, 8, 3)
    found = kinds(graph)
    assert found.count("Transpose") == 1
    assert found[0] == "Transpose"  # the input's
    assert found.count("Conv") == 3
    assert found.count("Dense") == 1
    assert "Activate" not in found
    assert "Pad" not in found


def test_a_chain_of_shapes_as_exporters_write_it():
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n", axis=0),
        node("Unsqueeze", "n axis", "n1"),
        node("Constant", "", "rest", value=numpy_helper.from_array(ints(-1))),
        node("Concat", "n1 rest", "to", axis=0),
        node("Reshape", "x to", "flat"),
        node("Slice", "s two four", "size"),
        node("Cast", "size", "float", to=TensorProto.FLOAT),
        node("Mul", "float scale", "scaled"),
        node("Floor", "scaled", "whole"),
        node("Cast", "whole", "again", to=TensorProto.INT64),
        node("Slice", "s zero1 two", "front"),
        node("Concat", "front again", "sizes", axis=0),
        node("Resize", "x - - sizes", "y", mode="linear"),
    ]
    weights = {"zero": np.array(0), "axis": ints(0), "two": ints(2), "four": ints(4)}
    weights |= {"scale": np.float32([2, 1.5]), "zero1": ints(0)}
    graph = check(model(nodes, ("n", 3, 5, 4), weights, outputs="flat y"))
    assert kinds(graph) == ["Reshape", "Resize"]
    assert graph.tensors["y"].shape == (1, 3, 10, 6)


def test_constants_are_worked_out_as_onnx_runtime_does():
    nodes = [
        node("Neg", "i", "neg"),
        node("Div", "neg two", "div"),
        node("Range", "zero four one", "r"),
        node("ConstantOfShape", "shape", "full", value=numpy_helper.from_array(np.float32([3]))),
        node("Cast", "div", "float", to=TensorProto.FLOAT),
        node("Cast", "r", "range", to=TensorProto.FLOAT),
        node("Slice", "i last first axis0 back", "backwards"),
        node("Cast", "backwards", "reverse", to=TensorProto.FLOAT),
        node("Expand", "float wide", "e"),
        node("Tile", "range twos", "t"),
        node("Equal", "i two", "q"),
        node("Where", "q float range", "where"),
        *(node("Add", f"{a} {b}", c) for a, b, c in [("x", "full", "1"), ("1", "e", "2")]),
        *(node("Add", f"{a} {b}", c) for a, b, c in [("2", "range", "3"), ("3", "where", "4")]),
        node("ReduceSum", "t", "sum", keepdims=0),
        node("Add", "4 sum", "5"),
        node("Sqrt", "range", "root"),
        node("Add", "5 root", "6"),
        node("Relu", "float", "relu"),
        node("Add", "6 reverse", "7"),
        node("Add", "7 relu", "y"),
    ]
    weights = {"i": ints(1, 2, 3, -5), "two": ints(2), "zero": np.array(0), "four": np.array(4)}
    weights |= {"one": np.array(1), "shape": ints(2, 4), "wide": ints(2, 4), "twos": ints(2)}
    weights |= {"last": ints(-1), "first": ints(-(2**63)), "axis0": ints(0), "back": ints(-1)}
    assert kinds(check(model(nodes, (1, 2, 4), weights))) == ["Binary"] * 8


@pytest.mark.parametrize(
    "one",
    [
        node("Mod", "a b", "c", fmod=1),
        node("Mod", "i j", "c"),
        node("Max", "a b zero", "c"),
        node("Min", "a b zero", "c"),
        node("Pow", "i half", "c"),
        node("ReduceMax", "a", "c", noop_with_empty_axes=1),
        node("ReduceMax", "a", "c", keepdims=0),
    ],
)
def test_what_operators_on_constants_say(one):
    """The graph adds the constant to its input: as in ONNX Runtime, whatever the attributes."""
    nodes = [one, node("Cast", "c", "float", to=TensorProto.FLOAT), node("Add", "x float", "y")]
    weights = {"a": np.float32([-5, 3, 7]), "b": np.float32([3, -2, 4]), "zero": np.float32([0])}
    weights |= {"i": ints(-5, 3, 7), "j": ints(3, -2, 4), "half": np.float32([2, 1.5, 1])}
    assert kinds(check(model(nodes, (1, 2, 3), weights, opset=20))) == ["Binary"]


def test_a_fixed_batch_becomes_one():
    nodes = [node("Conv", "x w", "c"), node("Reshape", "c s", "f"), node("MatMul", "f m", "y")]
    weights = {"w": array(2, 3, 1, 1), "s": ints(4, -1), "m": array(40, 3)}
    graph = check(model(nodes, (4, 3, 5, 4), weights))
    assert graph.tensors["y"].shape == (1, 3)


def test_an_open_size_needs_a_shape():
    proto = model([node("GlobalAveragePool", "x", "y")], ("n", 3, "height", "width"))
    with pytest.raises(WeightsError, match=r"leaves its size open.*give its shape"):
        read_graph(proto.SerializeToString())
    graph = check(proto, shape=(5, 3, 7, 6))
    assert graph.tensors["x"].shape == (1, 3, 7, 6)


def test_a_shape_takes_the_place_of_the_files():
    proto = model([node("GlobalAveragePool", "x", "y")], (1, 3, 8, 8))
    graph = read_graph(proto.SerializeToString(), shape=(1, 3, 320, 240))
    assert graph.tensors["x"].shape == (1, 3, 320, 240)
    with pytest.raises(WeightsError, match=r"has 4 dimensions, got shape \(1, 3\)"):
        read_graph(proto.SerializeToString(), shape=(1, 3))
    for wrong in ((), (1, 3, 0, 8), (1, 3, 8.0, 8)):
        with pytest.raises(ValueError, match="shape must be positive integers, got"):
            read_graph(proto.SerializeToString(), shape=wrong)


def test_a_shape_that_the_network_cannot_have_is_refused_where_it_fails():
    nodes = [node("Reshape", "x s", "r"), node("MatMul", "r m", "y")]
    proto = model(nodes, (1, 3, 2, 2), {"s": ints(-1, 12), "m": array(12, 2)})
    with pytest.raises(WeightsError, match=r"'Reshape_r' \(Reshape\).*cannot be reshaped"):
        read_graph(proto.SerializeToString(), shape=(1, 3, 5, 5))


def test_outputs_that_are_the_input_or_each_other_keep_their_names():
    nodes = [node("Identity", "x", "a"), node("Relu", "x", "b"), node("Identity", "b", "c")]
    check(model(nodes, (1, 4), outputs="a b c"))


def test_what_no_output_needs_is_gone():
    nodes = [node("Relu", "x", "y"), node("Sigmoid", "x", "z"), node("Softmax", "z", "w")]
    graph = check(model(nodes, (1, 4)))
    assert kinds(graph) == ["Activate"]
    assert set(graph.tensors) == {"x", "y"}


def test_indices_may_be_cast():
    nodes = [node("ArgMax", "x", "a", axis=1), node("Cast", "a", "y_i", to=TensorProto.INT64)]
    graph = check(model(nodes, (1, 4, 3), outputs="y_i"))
    assert graph.tensors["y_i"].dtype == INT64


def test_a_slice_says_where_it_starts():
    proto = model(
        [node("Slice", "x a b c", "y")], (1, 6, 5), {"a": ints(-4), "b": ints(5), "c": ints(1)}
    )
    (only,) = check(proto).nodes
    assert isinstance(only, Slice)
    assert (only.starts, only.steps) == ((0, 2, 0), (1, 1, 1))


def test_metadata_travels():
    proto = model([node("Relu", "x", "y")], (1, 4))
    helper.set_model_props(proto, {"key": "value"})
    assert read_graph(proto.SerializeToString()).metadata == {"key": "value"}


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["Relu", "Clip", "Sigmoid", "HardSigmoid"])
def test_what_is_not_finite_propagates_as_in_onnx_runtime(special, kind):
    limits = {"low": np.float32(0), "high": np.float32(6)}
    one = node(kind, "x low high" if kind == "Clip" else "x", "y")
    data = model([one], (1, 8), limits if kind == "Clip" else None).SerializeToString()
    x = np.float32([[special, -1, 0, 1, 2, 3, 7, special]])
    (expected,) = onnx_runtime(data, x)
    np.testing.assert_allclose(run_graph(read_graph(data), x)["y"], expected, atol=1e-6)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(random_model())
def test_random_networks(proto):
    data = proto.SerializeToString()
    graph = read_graph(data)
    x = array(*graph.tensors["x"].shape)
    (expected,) = onnx_runtime(data, x)
    close(run_graph(graph, x)["y"], expected)


NETWORKS = {
    "ours": lambda: build("mobilenet_v2", width=0.25, classes=7),
    "torchvision": lambda: torchvision.models.mobilenet_v2(width_mult=0.25, num_classes=7),
    "torchvision v3": lambda: torchvision.models.mobilenet_v3_small(width_mult=0.5, num_classes=7),
    "timm": lambda: timm.create_model("mobilenetv2_035", num_classes=7),
    "timm, same padding": lambda: timm.create_model("tf_mobilenetv3_small_075", num_classes=7),
}


@pytest.mark.parametrize("free", some([False, True], (1,)), ids=["fixed", "free"])
@pytest.mark.parametrize("network", some(list(NETWORKS), (0, 1)))
def test_files_of_torchs_first_exporter(network, free):
    torch.manual_seed(0)
    made = shake_norms(NETWORKS[network]())
    graph = check(exported(made, (3, 3, 40, 40), dynamo=False, free=free))
    assert set(kinds(graph)) <= {"Conv", "Binary", "Reduce", "Dense", "Reshape"}


def beginning(network: str) -> torch.nn.Module:
    """A network's first layers and an end like its own: the second exporter is slow."""
    made = NETWORKS[network]()
    if network == "torchvision v3":
        layers, channels = [made.features[:6]], 24
    else:
        layers = [made.conv_stem, made.bn1, *made.blocks[:2], made.blocks[2][:1]]
        channels = 32
    end = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, 7)]
    return torch.nn.Sequential(*layers, *end)


@pytest.mark.every
@pytest.mark.parametrize("network", some(["torchvision v3", "timm, same padding"]))
def test_files_of_torchs_second_exporter(network):
    torch.manual_seed(0)
    made = shake_norms(beginning(network))
    graph = check(exported(made, (2, 3, 40, 40), dynamo=True, free=True))
    assert set(kinds(graph)) <= {"Conv", "Binary", "Reduce", "Dense", "Reshape"}


def test_relu6_is_what_a_layer_ends_in():
    torch.manual_seed(0)
    data = exported(torchvision.models.mobilenet_v2(), (1, 3, 32, 32), dynamo=False, free=False)
    ends = [made.activation for made in read_graph(data).nodes if isinstance(made, Conv)]
    assert ends.count(Activation("clip", 0.0, 6.0)) == 35
    assert ends.count(Activation()) == 17


class Logits(torch.nn.Module):
    """A segmentation network's map alone."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x)["out"]


def test_a_segmentation_network():
    torch.manual_seed(0)
    made = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None
    )
    data = exported(Logits(shake_norms(made)), (2, 3, 33, 33), dynamo=False, free=True)
    graph = check(data)
    assert set(kinds(graph)) == {"Conv", "Binary", "Reduce", "Resize"}
    assert graph.tensors[graph.outputs[0]].shape == (1, 21, 33, 33)
