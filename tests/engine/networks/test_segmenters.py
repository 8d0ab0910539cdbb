"""Segmentation networks: logits and classes of every pixel, sums instead of parts side by side."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir import graph as g
from mobilenets.engine.ir.reference import run_graph
from mobilenets.engine.ir.types import FLOAT32, INT64
from mobilenets.engine.passes.fuse import FusedBlock, ResizedBest, fuse
from mobilenets.engine.plan.program import prepare, unfused_bytes
from mobilenets.engine.plan.schedule import Schedule
from mobilenets.engine.steps.best import BestStep
from mobilenets.engine.steps.resize import PlanesStep
from mobilenets.engine.targets.host import host
from mobilenets.errors import WeightsError
from mobilenets.export.source import settle
from mobilenets.models.modules.layers import fold_norms
from mobilenets.tasks.registry import build
from mobilenets.tasks.segment.architecture.deeplab import Labelled
from tests.engine.graphs import array, check, ints, kinds, model, node, onnx_runtime
from tests.engine.nets import agrees, net_of, outputs_of, same, targets
from tests.quick import exported
from tests.some import some

QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
LINEAR = ("half_pixel", "align_corners", "asymmetric")


def network(name: str, **arguments) -> torch.nn.Module:
    """Random weights, norms folded."""
    torch.manual_seed(0)
    made = build(name, **{"classes": 5, **arguments})
    settle(made, 65)
    return fold_norms(made).eval()


def images(count: int, *size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, *size)).astype(np.float32)


NETWORKS = [
    ("deeplabv3_mobilenet_v2", (65, 97), 2, {"width": 0.5}),
    ("deeplabv3_mobilenet_v2", (33, 48), 1, {"width": 1.0, "output_stride": 8, "aspp": True}),
    ("deeplabv3_mobilenet_v1", (97, 65), 3, {"width": 0.5, "output_stride": 32, "classes": 21}),
]


@pytest.mark.parametrize(("name", "size", "threads", "arguments"), some(NETWORKS))
def test_networks_give_the_twins_logits_and_onnx_runtimes(name, size, threads, arguments):
    made, x = network(name, **arguments), images(2, *size)
    data = exported(made, (1, 3, *size), dynamo=False, free=True)
    graph = check(data, x[:1], shape=(1, 3, *size))
    assert not {"Concat", "Expand"} & set(kinds(graph))
    with net_of(labelled(graph), threads) as net:
        logits, best = net(x)
    same(logits, onnx_runtime(data, x)[0])
    np.testing.assert_array_equal(best, logits.argmax(1))


def labelled(graph: g.Graph) -> g.Graph:
    """The best class of each pixel too, resized by itself."""
    (logits,) = graph.outputs
    shape = graph.tensors[logits].shape
    tensors = {**graph.tensors, "again": g.Tensor("again", shape, FLOAT32)}
    tensors["best"] = g.Tensor("best", (1, *shape[2:]), INT64)
    again = replace(graph.nodes[-1], output="again")
    nodes = (*graph.nodes, again, g.ArgMax("best", ("again",), "best", 1, False))
    return replace(graph, nodes=nodes, tensors=tensors, outputs=(logits, "best"))


def test_all_blocks_are_fused_and_no_map_of_the_outputs_size_is_in_the_arena():
    size = (1, 3, 513, 513)
    made = Labelled(network("deeplabv3_mobilenet_v2", classes=21))
    best = read_graph(exported(made, size, dynamo=False, free=True), shape=size)
    *nodes, last = best.nodes
    logits = replace(best, nodes=tuple(nodes), outputs=last.inputs)
    for graph, kind in ((logits, PlanesStep), (best, BestStep)):
        assert sum(isinstance(unit, FusedBlock) for unit in fuse(graph)) == 17
        for threads, most in ((1, 2.8e6), (2, 3.6e6)):
            program = prepare(graph, host(), threads, Schedule())
            assert program.arena_bytes < most < unfused_bytes(graph) / 8
            assert isinstance(program.entries[-1].step, kind)


# Resizing and its best channels


@st.composite
def resizing(draw):
    """Channels, old and new sizes, coordinates, threads."""
    sizes = [draw(st.integers(1, 9)), draw(st.integers(2, 9))]
    new = [draw(st.integers(1, 70)) for _ in sizes]
    channels = draw(st.sampled_from([1, 2, 4, 5, 6, 21]))
    return channels, sizes, new, draw(st.sampled_from(LINEAR)), draw(st.integers(1, 3))


def resize(x: str, made: str, coordinates: str, **fields):
    how = {"mode": "linear", "coordinate_transformation_mode": coordinates, **fields}
    return node("Resize", f"{x} - - s", made, **how)


@pytest.mark.parametrize("examples", some([20, 40]))
def test_planes_and_best_channels_are_onnx_runtimes(examples):
    settings(max_examples=examples, **QUICK)(given(resizing())(planes_and_best_channels))()


def planes_and_best_channels(drawn):
    channels, sizes, new, coordinates, threads = drawn
    nodes = [
        resize("x", "y", coordinates),
        resize("x", "r", coordinates),
        node("ArgMax", "r", "b_i", axis=1, keepdims=0),
    ]
    weights = {"s": ints(1, channels, *new)}
    data = model(nodes, (1, channels, *sizes), weights, "y b_i").SerializeToString()
    x = array(1, channels, *sizes)
    with net_of(data, threads) as net:
        resized, best = outputs_of(net, x)
    expected, wanted = onnx_runtime(data, x)
    same(resized, expected)
    np.testing.assert_array_equal(best, resized.argmax(1))
    near = np.take_along_axis(expected, best[:, None], 1) - expected.max(1, keepdims=True)
    assert (near > -1e-5).all()
    assert (best == wanted).mean() > 0.99


@pytest.mark.parametrize("target", targets().values(), ids=targets())
@pytest.mark.parametrize(("vectors", "more"), some([(1, -1), (1, 0), (2, 1), (8, 1)], (0, 2)))
def test_rows_around_each_tile(target, vectors, more):
    wide = vectors * target.lanes + more
    for coordinates in LINEAR:
        nodes = (
            g.Resize("r", ("x",), "r", coordinates),
            g.ArgMax("b", ("r",), "b", 1, True),
            g.Resize("y", ("x",), "y", coordinates),
            g.Softmax("p", ("y",), "p", 1),
        )
        shape = (1, 7, 9, wide)
        tensors = {"x": g.Tensor("x", (1, 7, 4, 3), FLOAT32)}
        tensors |= {name: g.Tensor(name, shape, FLOAT32) for name in "ryp"}
        tensors["b"] = g.Tensor("b", (1, 1, 9, wide), INT64)
        graph = g.Graph(nodes, tensors, "x", ("b", "y", "p"))
        x = array(1, 7, 4, 3)
        with net_of(graph, 2, target=target) as net:
            best, resized, shares = net(x)
        values = run_graph(graph, x)
        same(resized, values["y"])
        same(shares, values["p"])
        np.testing.assert_array_equal(best, resized.argmax(1, keepdims=True))


def test_of_equal_channels_the_first_is_best_and_nan_never():
    nodes = [resize("x", "r", "align_corners"), node("ArgMax", "r", "b_i", axis=1)]
    data = model(nodes, (1, 40, 3, 3), {"s": ints(1, 40, 9, 33)}, "b_i")
    x = np.ones((1, 40, 3, 3), np.float32)
    with net_of(data, 2) as net:
        assert not net(x).any()
        x[:, 7:] = 2
        assert (net(x) == 7).all()
        x[:, 7] = np.nan
        assert (net(x) == 8).all()


NEAREST = [
    ("asymmetric", "floor", (3, 4), (6, 12)),
    ("half_pixel", "round_prefer_floor", (3, 4), (6, 4)),
    ("half_pixel", "round_prefer_ceil", (3, 5), (9, 5)),
    ("asymmetric", "ceil", (8, 6), (4, 3)),
    ("half_pixel", "floor", (9, 4), (3, 8)),
    ("pytorch_half_pixel", "floor", (9, 4), (1, 2)),
]


@pytest.mark.parametrize(("mode", "rounding", "old", "new"), NEAREST)
def test_nearest_by_whole_factors(mode, rounding, old, new):
    fields = {"mode": "nearest", "nearest_mode": rounding}
    one = resize("x", "y", mode, **fields)
    data = model([one], (1, 3, *old), {"s": ints(1, 3, *new)}).SerializeToString()
    if mode == "half_pixel" and rounding == "floor":
        with pytest.raises(WeightsError, match="nearest is for whole factors, got 4 to 8 pixels"):
            read_graph(data)
        return
    check(data)
    with net_of(data, 2) as net:
        agrees(net, data, array(1, 3, *old))


def test_what_nearest_cannot_do_is_named():
    for mode, new in (("asymmetric", 8), ("align_corners", 10)):
        one = resize("x", "y", mode, mode="nearest", nearest_mode="floor")
        with pytest.raises(WeightsError, match=f"nearest is for whole factors, got 5 to {new}"):
            read_graph(model([one], (1, 3, 5, 5), {"s": ints(1, 3, new, 5)}).SerializeToString())


# Parts side by side


def side_by_side(order: str, reader: str = "") -> bytes:
    """A 1x1 convolution of `order`: v, a pixel repeated; m and n, maps."""
    nodes = [
        node("GlobalAveragePool", "x", "mean"),
        node("Expand", "mean shape", "v"),
        node("Conv", "x wm", "m"),
        node("Relu", "x", "n"),
        node("Concat", " ".join(order), "joined", axis=1),
        node("Conv", "joined w b", "c"),
        node("Relu", "c", "y"),
        *([node("Relu", reader, "z")] if reader else []),
    ]
    depth = sum({"v": 6, "m": 9, "n": 6}[name] for name in order)
    weights = {"shape": ints(1, 6, 5, 7), "wm": array(9, 6, 1, 1)}
    weights |= {"w": array(19, depth, 1, 1), "b": array(19)}
    outputs = "y z" if reader else "y"
    return model(nodes, (1, 6, 5, 7), weights, outputs).SerializeToString()


@pytest.mark.parametrize("order", some(["mvn", "vm", "mv", "vmv"]))
def test_parts_side_by_side_are_a_sum(order):
    data = side_by_side(order)
    graph = check(data)
    assert not {"Concat", "Expand"} & set(kinds(graph))
    for target in targets().values():
        for threads in (1, 3):
            with net_of(graph, threads, target=target) as net:
                agrees(net, data, array(1, 6, 5, 7))


def test_parts_stay_side_by_side_where_that_is_read_or_nothing_is_repeated():
    for data in (side_by_side("vm", "joined"), side_by_side("mn"), side_by_side("vv")):
        graph = check(data)
        assert "Concat" in kinds(graph)
        with net_of(graph, 2) as net:
            agrees(net, data, array(1, 6, 5, 7))


def test_a_single_pixel_resized_is_repeated():
    nodes = [node("GlobalAveragePool", "x", "m"), resize("m", "y", "half_pixel")]
    graph = check(model(nodes, (1, 3, 4, 5), {"s": ints(1, 3, 4, 5)}))
    assert kinds(graph) == ["Reduce", "Expand"]


def test_classes_that_are_read_with_their_logits_are_not_fused():
    nodes = [resize("x", "y", "asymmetric"), node("ArgMax", "y", "b_i", axis=1)]
    data = model(nodes, (1, 4, 3, 3), {"s": ints(1, 4, 6, 20)}, "y b_i").SerializeToString()
    graph = read_graph(data)
    assert not any(isinstance(unit, ResizedBest) for unit in fuse(graph))
    with net_of(graph, 2) as net:
        agrees(net, data, array(1, 4, 3, 3))
