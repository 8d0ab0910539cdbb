"""The cost of ONNX files: our networks exported, and small graphs made by hand."""

import json
import random
import tracemalloc
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from mobilenets.card import KEY, ModelCard, Preprocessing
from mobilenets.cost import Cost, profile
from mobilenets.cost.graph import profile_onnx
from mobilenets.cost.numbers import fold_numbers
from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import build
from tests.some import some

SUMS = ("madds", "output_bytes", "peak_bytes", "peak_fused_bytes", "largest_maps")


def save(path, nodes, *, weights=None, shape=("n", 3, 8, 8), metadata=None):
    """A graph from `x` to `y`; weights are arrays, or the shapes of them."""
    held = [
        numpy_helper.from_array(np.ones(value, "f") if isinstance(value, tuple) else value, name)
        for name, value in (weights or {}).items()
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        held,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 8
    helper.set_model_props(model, metadata or {})
    onnx.save(model, path)
    return path


def scramble(model):
    """Random norms and biases, so that the exporter has something to fold."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -1, 1)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.bias, -1, 1)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.uniform_(module.bias)
    return model.eval()


def exported(model, path, resolution):
    """The file of a network, the batch left open."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            scramble(model),
            (torch.zeros(2, 3, *resolution),),
            path,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    return path


@pytest.mark.parametrize(
    ("name", "knobs", "resolution"),
    some(
        [
            ("mobilenet_v2", {"width": 0.35, "classes": 7}, (65, 96)),
            ("mobilenet_v1", {"width": 0.25, "classes": 7}, (64, 64)),
        ],
        (),  # tests/export has one of ours
    ),
)
def test_an_export_costs_what_its_network_does(tmp_path, name, knobs, resolution):
    path = exported(build(name, **knobs), tmp_path / "model.onnx", resolution)
    found, expected = profile_onnx(path), profile(name, resolution=resolution, **knobs)
    for sum_ in SUMS:
        assert getattr(found, sum_) == getattr(expected, sum_)
    per_layer = [
        [(x.kind, x.input, x.output, x.kernel, x.stride, x.madds) for x in cost.layers]
        for cost in (found, expected)
    ]
    assert per_layer[0] == per_layer[1]
    # The exporter folds a norm's gamma into weights and its beta into a bias.
    assert (found.conv_fc, found.norm) == (expected.conv_fc + expected.norm // 2, 0)
    assert found.resolution == resolution


@pytest.mark.parametrize("dims", [{0: "n"}, {0: "n", 2: "h", 3: "w"}], ids=["batch", "all open"])
def test_paddings_worked_out_in_the_graph_are_known(tmp_path, dims):
    """The first of torch's exporters writes "same" padding as arithmetic on the input's shape."""
    knobs, path = {"width": 0.1, "classes": 7, "padding": "same"}, tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            scramble(build("mobilenet_v2", **knobs)),
            (torch.zeros(1, 3, 65, 96),),
            path,
            dynamo=False,
            input_names=["x"],
            dynamic_axes={"x": dims},
        )
    assert any(node.op_type == "Cast" for node in onnx.load(path).graph.node)
    expected = profile("mobilenet_v2", resolution=(65, 96), **knobs)
    found = profile_onnx(path, resolution=(65, 96))
    counted = [[x for x in cost.layers if x.madds] for cost in (found, expected)]
    layers = [[(x.kind, x.output, x.stride, x.madds) for x in one] for one in counted]
    assert layers[0] == layers[1]


@pytest.mark.parametrize("op", ["ConstantOfShape", "Expand"])
def test_a_huge_result_is_not_worked_out(tmp_path, op):
    """A few bytes that ask for 400 MB, in a graph with a shape that cannot be known."""
    weights = {"huge": np.array([10**4, 10**4], np.int64), "w": (4, 3, 3, 3), "one": (1, 1)}
    inputs = ["huge"] if op == "ConstantOfShape" else ["one", "huge"]
    nodes = [
        helper.make_node(op, inputs, ["zeros"]),
        helper.make_node("Mystery", ["x"], ["a"], domain="somebody"),
        helper.make_node("Conv", ["a", "w"], ["y"]),
    ]
    model = onnx.load(save(tmp_path / "huge.onnx", nodes, weights=weights))
    tracemalloc.start()
    assert not fold_numbers(model, {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6
    assert [node.op_type for node in model.graph.node] == [op, "Mystery", "Conv"]


@pytest.mark.every
def test_an_exported_detector_costs_what_its_network_does(tmp_path):
    name, knobs = "ssdlite_mobilenet_v2", {"width": 0.25, "classes": 3}
    path = exported(build(name, **knobs), tmp_path / "model.onnx", (65, 96))
    found, expected = profile_onnx(path), profile(name, resolution=(65, 96), **knobs)
    # Views, transposes and sums of the outputs are layers of the file alone.
    per_layer = [
        [
            (x.kind, x.input, x.output, x.kernel, x.stride, x.madds, bool(x.block))
            for x in cost.layers
            if x.madds
        ]
        for cost in (found, expected)
    ]
    assert sorted(per_layer[0]) == sorted(per_layer[1])
    assert (found.madds, found.conv_fc) == (expected.madds, expected.conv_fc + expected.norm // 2)


def test_counts_of_every_kind_by_hand(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["a"], strides=[2, 2], pads=[0, 0, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "g", "g", "g", "g"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Conv", ["r", "d"], ["c"], group=6, pads=[1, 1, 1, 1]),
        helper.make_node("Add", ["r", "c"], ["s"]),
        helper.make_node("MaxPool", ["s"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("MatMul", ["f", "m"], ["q"]),
        helper.make_node("Add", ["q", "mb"], ["t"]),
        helper.make_node("Gemm", ["t", "h", "hb"], ["y"], transB=1),
    ]
    weights = {
        "w": (6, 3, 3, 3),
        "b": (6,),
        "g": (6,),
        "d": (6, 1, 3, 3),
        "m": (24, 5),
        "mb": (5,),
        "h": (4, 5),
        "hb": (4,),
    }
    cost = profile_onnx(save(tmp_path / "a.onnx", nodes, weights=weights))
    by_hand = [
        ("conv3x3", (6, 4, 4), 6 * 27 + 6, 12, 6 * 27 * 16),
        ("depthwise", (6, 4, 4), 6 * 9, 0, 6 * 9 * 16),
        ("pool", (6, 2, 2), 0, 0, 0),
        ("fc", (5,), 24 * 5 + 5, 0, 24 * 5),
        ("fc", (4,), 4 * 5 + 4, 0, 20),
    ]
    assert [(x.kind, x.output, x.parameters, x.norm, x.madds) for x in cost.layers] == by_hand
    assert cost.output_bytes == 4 * (96 + 96 + 24 + 5 + 4)
    # The image (192) and the stem's output (96) against the shortcut's three of 96.
    assert cost.peak_bytes == 4 * 288
    assert profile_onnx(tmp_path / "a.onnx", bytes_per_element=1).peak_bytes == 288


def test_a_tensor_read_elsewhere_is_not_overwritten(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Conv", ["a", "v"], ["b"]),
        helper.make_node("Relu", ["a"], ["c"]),
        helper.make_node("Concat", ["b", "c"], ["y"], axis=1),
    ]
    weights = {"w": (3, 3, 1, 1), "v": (3, 3, 1, 1)}
    cost = profile_onnx(save(tmp_path / "a.onnx", nodes, weights=weights))
    assert [x.kind for x in cost.layers] == ["conv1x1", "conv1x1", "Relu", "Concat"]


def test_weights_made_from_weights_are_parameters_and_no_activations(tmp_path):
    nodes = [
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["w"]),
        helper.make_node("Conv", ["x", "w"], ["y"]),
    ]
    weights = {"q": np.ones((4, 3, 1, 1), "i1"), "s": (1,), "z": np.zeros(1, "i1")}
    cost = profile_onnx(save(tmp_path / "a.onnx", nodes, weights=weights))
    assert (cost.parameters, cost.madds, len(cost.layers)) == (12, 12 * 64, 1)


def test_integer_and_transposed_operators_count_too(tmp_path):
    q = ["s", "z"]
    nodes = [
        helper.make_node("QuantizeLinear", ["x", *q], ["a"]),
        helper.make_node("QLinearConv", ["a", *q, "w", *q, *q, "b"], ["c"]),
        helper.make_node("DequantizeLinear", ["c", *q], ["d"]),
        helper.make_node("ConvTranspose", ["d", "t"], ["e"], strides=[2, 2]),
        helper.make_node("GlobalAveragePool", ["e"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("QuantizeLinear", ["f", *q], ["g"]),
        helper.make_node("QLinearMatMul", ["g", *q, "m", *q, *q], ["h"]),
        helper.make_node("DequantizeLinear", ["h", *q], ["y"]),
    ]
    weights = {
        "s": np.ones((), "f"),
        "z": np.zeros((), "i1"),
        "w": np.ones((4, 3, 1, 1), "i1"),
        "b": np.ones(4, "i4"),
        "t": (4, 5, 2, 2),
        "m": np.ones((5, 6), "i1"),
    }
    cost = profile_onnx(save(tmp_path / "a.onnx", nodes, weights=weights))
    assert [(x.kind, x.output, x.parameters, x.madds) for x in cost.layers] == [
        ("conv1x1", (4, 8, 8), 12 + 4, 12 * 64),
        ("conv2x2", (5, 16, 16), 80, 80 * 64),
        ("pool", (5,), 0, 0),
        ("fc", (6,), 30, 30),
    ]


def test_atrous_rates_and_resized_maps(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], dilations=[3, 3], pads=[3, 3, 3, 3]),
        helper.make_node("Concat", ["a", "x"], ["b"], axis=1),
        helper.make_node("Resize", ["b", "", "", "size"], ["y"], mode="linear"),
    ]
    weights = {"w": (4, 3, 3, 3), "size": np.array([1, 7, 15, 17])}
    cost = profile_onnx(save(tmp_path / "a.onnx", nodes, weights=weights, shape=(1, 3, 8, 8)))
    assert [(x.kind, x.dilation, x.output, x.madds) for x in cost.layers] == [
        ("conv3x3", 3, (4, 8, 8), 4 * 27 * 64),
        ("Concat", 1, (7, 8, 8), 0),
        ("Resize", 1, (7, 15, 17), 0),
    ]


def conv_only(path, **keywords):
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    return save(path, [node], weights={"w": (4, 3, 3, 3)}, **keywords)


def test_resolution_replaces_the_files_own_and_fills_an_open_one(tmp_path):
    path = conv_only(tmp_path / "a.onnx")
    assert profile_onnx(path).madds == 4 * 27 * 64
    assert profile_onnx(path, resolution=(4, 6)).madds == 4 * 27 * 24
    path = conv_only(tmp_path / "b.onnx", shape=("n", 3, "h", "w"))
    assert profile_onnx(path, resolution=5).madds == 4 * 27 * 25
    with pytest.raises(ValueError, match=r"resolution must be given.*b\.onnx leaves it open"):
        profile_onnx(path)


def test_metadata_says_the_name_and_the_resolution(tmp_path):
    card = ModelCard("mobilenet_v2", {"width": 0.5}, preprocessing=Preprocessing(size=(6, 4)))
    path = conv_only(tmp_path / "a.onnx", shape=("n", 3, "h", "w"), metadata={KEY: card.to_json()})
    cost = profile_onnx(path)
    assert (cost.name, cost.arguments, cost.resolution) == ("mobilenet_v2", {"width": 0.5}, (6, 4))
    assert json.loads(json.dumps(cost.to_dict(layers=True)))["madds"] == 4 * 27 * 24


def test_damaged_and_foreign_files_are_refused_by_name(tmp_path):
    whole = conv_only(tmp_path / "whole.onnx").read_bytes()
    noise = random.Random(0)
    cases = {
        "empty": b"",
        "text": b"this is no network\n" * 9,
        "noise": bytes(noise.randrange(256) for _ in range(999)),
        **{f"cut{n}": whole[:n] for n in range(7, len(whole), 11)},
    }
    for name, content in cases.items():
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=rf"{name}\.onnx"):
            profile_onnx(path)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([helper.make_node("Gemm", ["x", "w"], ["y"])], "shapes do not fit"),
        (
            [
                helper.make_node("Mystery", ["x"], ["a"], domain="somebody"),
                helper.make_node("Conv", ["a", "w"], ["y"]),
            ],
            "cannot be known|do not fit",
        ),
    ],
)
def test_shapes_that_cannot_be_are_refused(tmp_path, nodes, message):
    path = save(tmp_path / "odd.onnx", nodes, weights={"w": (4, 3, 3, 3)})
    with pytest.raises(WeightsError, match=message):
        profile_onnx(path)


def test_a_graph_without_blocks_has_no_fused_operation():
    cost = Cost("x", profile("mobilenet_v1", separable=False).layers, {"image": (3, 224, 224)})
    assert cost.peak_fused_bytes == cost.peak_bytes
