"""Detectors on the engine: the tapped expansion, heads that join, and orders that need less."""

import numpy as np
import pytest
import torch

from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.graph import Concat
from mobilenets.engine.passes.fuse import FusedBlock, fuse, inputs_of
from mobilenets.engine.passes.order import thrifty
from mobilenets.engine.plan.program import Program, prepare
from mobilenets.engine.plan.schedule import BlockShape, Schedule, choose
from mobilenets.engine.steps.elementwise import CopyStep
from mobilenets.engine.targets.host import host
from mobilenets.export import export_onnx
from mobilenets.export.source import settle
from mobilenets.inference import open_session
from mobilenets.models.modules.layers import fold_norms
from mobilenets.runtime.images import read_image
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.detect.architecture import vgg
from mobilenets.tasks.detect.architecture.geometry import anchors_of, vgg_layers
from mobilenets.tasks.detect.architecture.ssd import Decoded, without_background
from mobilenets.tasks.detect.read import decode
from mobilenets.tasks.registry import build
from mobilenets.weights import load
from tests.engine.graphs import array, check, ints, kinds, model, node
from tests.engine.nets import agrees, mobilenet, net_of, same
from tests.outputs import only
from tests.quick import exported, quick_export
from tests.some import some

CASES = [
    ("ssd_mobilenet_v1", (97, 65), {}),
    ("ssd_mobilenet_v2", (64, 97), {"scores": "softmax"}),
    ("ssdlite_mobilenet_v1", (33, 64), {"padding": "symmetric"}),
    ("ssdlite_mobilenet_v2", (97, 129), {}),
]


def detector(name: str, size: tuple[int, int], lean: bool = True, **arguments) -> bytes:
    """A small detector's file: boxes and scores decoded."""
    torch.manual_seed(0)
    network = build(name, **{"width": 0.25, "classes": 5, **arguments})
    settle(network, 96)
    anchors = anchors_of(name, size, arguments.get("padding", "same"))
    decoded = Decoded(fold_norms(network), torch.from_numpy(anchors)).eval()
    decoded = without_background(decoded) if lean else decoded
    return exported(decoded, (1, 3, *size), dynamo=False, free=True)


def images(count: int, *size: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, *size)).astype(np.float32)


@pytest.mark.parametrize(("name", "size", "arguments"), some(CASES, (3,)))
@pytest.mark.parametrize(("threads", "stream"), some([(2, Schedule().stream), (1, 0)]))
def test_every_detector_gives_what_the_twin_and_onnx_runtime_give(
    name, size, arguments, threads, stream
):
    data = detector(name, size, **arguments)
    check(data, images(1, *size), shape=(1, 3, *size))
    with net_of(data, threads, Schedule(stream=stream), shape=(1, 3, *size)) as net:
        agrees(net, data, images(2, *size))


@pytest.mark.every
def test_the_comparator_gives_what_onnx_runtime_gives():
    torch.manual_seed(0)
    network = build("ssd300_vgg16", classes=5).eval()
    decoded = Decoded(network, torch.from_numpy(anchors_of("ssd300_vgg16", (300, 300))))
    data = exported(decoded.eval(), (1, 3, 300, 300), dynamo=False, free=True)
    with net_of(data, 2, shape=(1, 3, 300, 300)) as net:
        agrees(net, data, images(1, 300, 300))


@pytest.mark.parametrize("dynamo", some([False, True]))
def test_vgg_with_a_sixteenth_of_its_channels(monkeypatch, dynamo):
    slim = [one._replace(channels=one.channels // 16) for one in vgg_layers()]
    monkeypatch.setattr(vgg, "vgg_layers", lambda: slim)
    torch.manual_seed(0)
    data = exported(Taps(), (1, 3, 76, 60), dynamo=dynamo, free=True)
    x = images(2, 76, 60)
    graph = check(data, x[:1], shape=(1, 3, 76, 60))
    assert not {"Expand", "Transpose"} & set(kinds(graph))
    with net_of(data, 2, shape=(1, 3, 76, 60)) as net:
        agrees(net, data, x)


class Taps(torch.nn.Module):
    """The two maps that VGG's heads read."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = vgg.VGG16()

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.trunk.taps(x, ["norm", "fc7"]).values())


def test_a_file_that_computes_the_backgrounds_scores_is_read_too():
    check(detector("ssdlite_mobilenet_v1", (48, 48), lean=False), shape=(1, 3, 48, 48))


@pytest.fixture(scope="module")
def lite() -> bytes:
    """SSDLite on V2 at the paper's size; scores of 80 classes."""
    return detector("ssdlite_mobilenet_v2", (320, 320), width=1.0, classes=80)


@pytest.fixture(scope="module")
def planned(lite) -> Program:
    """For one thread of this machine."""
    return prepare(read_graph(lite, shape=(1, 3, 320, 320)), host(), 1, Schedule())


def test_the_tapped_expansion_is_by_itself_and_all_else_is_fused(planned):
    blocks = [unit for unit in fuse(planned.graph) if isinstance(unit, FusedBlock)]
    alone = [unit.source for unit in blocks if unit.expand is None]
    # Without expansion: V2's first block, the tapped one, and twelve heads.
    assert len(alone) == 14
    assert len(blocks) == 17 + 4 + 12
    (tap,) = {source for source in alone if alone.count(source) == 3}
    shape = planned.graph.tensors[tap].shape
    assert shape == (1, 576, 20, 20)


def test_heads_write_where_they_are_joined(planned):
    graph, within = planned.graph, planned.lowered.within
    joints = [one for one in graph.nodes if isinstance(one, Concat) and one.axis == 1]
    assert {whole for whole, _ in within.values()} == {joint.output for joint in joints}
    assert len(within) == 12
    copied = [entry.names for entry in planned.entries if isinstance(entry.step, CopyStep)]
    # Centres and sides out of the codes, boxes out of corners, and both beside the scores.
    assert len(copied) == 4


def test_sigmoids_are_the_heads_own(planned):
    blocks = [unit for unit in fuse(planned.graph) if isinstance(unit, FusedBlock)]
    for head, end in (("boxes", "none"), ("scores", "sigmoid")):
        found = [unit for unit in blocks if unit.name.startswith(head)]
        assert [unit.project.activation.kind for unit in found] == [end] * 6


def test_the_tap_is_let_go_of_before_the_rest_is_made(planned):
    names = [name for entry in planned.entries for name in entry.names]
    assert names.index("scores.0") < names.index("blocks.14")
    assert planned.arena_bytes < 1_900_000


def test_an_order_runs_everything_once_and_after_what_it_reads(lite):
    for data, size in ((lite, 320), (mobilenet("mobilenet_v2", 0.35, 64), 64)):
        graph = read_graph(data, shape=(1, 3, size, size))
        units = fuse(graph)
        order = thrifty(units, graph, Schedule().limit(1))
        assert sorted(map(id, order)) == sorted(map(id, units))
        made = {graph.input}
        for unit in order:
            assert set(inputs_of(unit)) <= made
            made.add(unit.output)
        if size == 64:
            assert order == units  # a chain has one order


def test_what_is_streamed_stays_together():
    """The small map has two readers, but the large one's come first: they are one chain."""
    weights = {"w": array(8, 3, 3, 3), "v": array(8, 8, 3, 3), "u": array(1, 8, 1, 1)}
    nodes = [
        node("Conv", "x w", "a", pads=[1] * 4),
        node("MaxPool", "a", "p", kernel_shape=[8, 8], strides=[8, 8]),
        node("Conv", "p v", "b", pads=[1] * 4),
        node("Conv", "b v", "c", pads=[1] * 4),
        node("Conv", "p u", "d"),
        node("Concat", "c d", "y", axis=1),
    ]
    data = model(nodes, (1, 3, 64, 64), weights).SerializeToString()
    graph = read_graph(data)
    order = [unit.output for unit in thrifty(fuse(graph), graph, 100)]
    assert order.index("c") == order.index("b") + 1
    with net_of(data) as net:
        agrees(net, data, array(1, 3, 64, 64))


# Joining in place

_RELU, _SIGMOID = node("Relu", "x", "a"), node("Sigmoid", "x", "b")
JOINED = {
    "two maps": [_RELU, _SIGMOID, node("Concat", "a b", "c")],
    "one is read besides": [_RELU, node("Sigmoid", "a", "b"), node("Concat", "a b", "c")],
    "one is read later": [
        *(_RELU, _SIGMOID, node("Concat", "a b", "d")),
        *(node("Exp", "a", "e"), node("Concat", "d e", "c")),
    ],
    "twice the same": [_RELU, node("Concat", "a a", "c")],
    "the input": [_RELU, node("Concat", "a x", "c")],
    "nested": [
        *(_RELU, _SIGMOID, node("Concat", "a b", "d")),
        *(node("Exp", "x", "e"), node("Concat", "e d", "c")),
    ],
    "in two joints": [
        *(_RELU, _SIGMOID, node("Concat", "a b", "d")),
        *(node("Concat", "b a", "e"), node("Add", "d e", "c")),
    ],
}


@pytest.mark.parametrize("tail", some(["", "Relu", "HardSwish"], (0, 1)))
@pytest.mark.parametrize("axis", some([0, 1, 2], (1,)))
@pytest.mark.parametrize("name", JOINED)
def test_what_is_joined_is_right_whoever_else_reads_it(name, axis, tail):
    nodes = [
        node("Concat", " ".join(one.input), one.output[0], axis=axis)
        if one.op_type == "Concat"
        else one
        for one in JOINED[name]
    ]
    nodes += [node(tail, "c", "t")] if tail else []
    data = model(nodes, (1, 3, 21), outputs="t" if tail else "c").SerializeToString()
    with net_of(data, 2) as net:
        agrees(net, data, array(1, 3, 21))


def test_parts_that_are_outputs_themselves_or_by_another_name():
    nodes = [
        node("Relu", "x", "a"),
        node("Sigmoid", "x", "b"),
        node("Exp", "x", "d"),
        node("Concat", "a b d", "c", axis=1),
        node("Reshape", "b s", "e"),
    ]
    proto = model(nodes, (1, 3, 4), {"s": ints(1, 12)}, outputs="c a e")
    data, x = proto.SerializeToString(), array(1, 3, 4)
    with net_of(data, 2) as net:
        agrees(net, data, x)


# What the front end does for them


def test_an_activation_goes_to_the_layers_that_can_end_in_it():
    weights = {"w": array(6, 3, 1, 1), "v": array(4, 3, 1, 1), "s": ints(1, -1, 2)}
    nodes = [
        node("Conv", "x w", "a"),
        node("Transpose", "a", "b", perm=[0, 2, 3, 1]),
        node("Reshape", "b s", "c"),
        node("Conv", "x v", "d"),
        node("Transpose", "d", "e", perm=[0, 2, 3, 1]),
        node("Reshape", "e s", "f"),
        node("Concat", "c f", "g", axis=1),
        node("Sigmoid", "g", "y"),
    ]
    assert "Activate" not in kinds(check(model(nodes, (1, 3, 5, 4), weights)))
    # Not where a layer's own end would be lost, nor where somebody reads what was there before.
    ended = [*nodes[:1], node("Relu", "a", "r"), node("Transpose", "r", "b", perm=[0, 2, 3, 1])]
    assert "Activate" in kinds(check(model([*ended, *nodes[2:]], (1, 3, 5, 4), weights)))
    assert "Activate" in kinds(check(model(nodes, (1, 3, 5, 4), weights, outputs="y g")))


@pytest.mark.parametrize("value", [0.2, np.nan])
def test_a_constant_of_one_value_is_a_number(value):
    constant = np.full((1, 5, 2), value, np.float32)
    graph = read_graph(
        model([node("Mul", "x c", "y")], (1, 5, 2), {"c": constant}).SerializeToString()
    )
    assert graph.nodes[0].constant.ndim == (2 if np.isnan(value) else 0)
    # Where it makes the value larger, it keeps its shape.
    check(model([node("Mul", "x c", "y")], (1, 1, 2), {"c": constant * 0 + 3}))


def test_wide_rows_without_expansion_go_in_groups():
    def chosen(width: int, middle: int) -> int:
        return choose(BlockShape(width, width, middle, width, False, 10**5, 4), 16, 1).group

    assert chosen(20, 576) == 96
    assert chosen(10, 1280) == 128
    assert chosen(14, 512) == 512  # V1 at 224


# Published weights on photographs


@pytest.mark.every
@pytest.mark.assets
def test_the_same_objects_in_photographs_as_on_onnx_runtime(assets, tmp_path, monkeypatch):
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.onnx"
    with quick_export():
        export_onnx(load(assets / "weights" / "ssd_mobilenet_v1_coco_quant.tflite"), path)
    sessions = [open_session(path, runtime=runtime) for runtime in ("mobilenets", "onnxruntime")]
    files = sorted((assets / "coco128" / "images").iterdir())[:6]
    pictures = [read_image(file) for file in files]
    card = sessions[0].card
    x = np.stack([preprocess(picture, card.preprocessing) for picture in pictures])
    found, expected = (only(session(x)) for session in sessions)
    same(found, expected)
    sizes = [picture.size for picture in pictures]
    ours, theirs = (
        decode({"boxes": boxes}, card, sizes, top=100, threshold=0.4) for boxes in (found, expected)
    )
    assert sum(map(len, ours)) > 5
    for mine, others in zip(ours, theirs, strict=True):
        assert [one.label for one in mine] == [one.label for one in others]
        for one, other in zip(mine, others, strict=True):
            np.testing.assert_allclose(one.box, other.box, atol=0.5)
