"""Whole networks: within 1e-4 of ONNX Runtime, whatever the size, batch, threads and schedule."""

import numpy as np
import onnx
import pytest
import timm
import torch
import torchvision
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilenets.data.folders import open_classification
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.graph import Graph
from mobilenets.engine.passes.fuse import FusedBlock, fuse
from mobilenets.engine.plan.schedule import Choice, Schedule
from mobilenets.engine.targets.host import host
from mobilenets.export import export_onnx
from mobilenets.export.source import settle
from mobilenets.inference import open_session
from mobilenets.runtime.preprocess import preprocess
from mobilenets.weights import load
from mobilenets.weights.published import PUBLISHED
from tests.engine.front.test_frontend import nhwc_network
from tests.engine.graphs import Draft, array, model, node, onnx_runtime, random_model
from tests.engine.nets import agrees, mobilenet, net_of, same
from tests.outputs import only
from tests.quick import exported, quick_export
from tests.some import some

QUICK = {"deadline": None, "suppress_health_check": list(HealthCheck), "derandomize": True}
STREAMS = (-1, 0, Schedule().stream)
GOOGLES = [found for found in PUBLISHED.values() if found.name.endswith(".google")]


def images(count: int, *size: int) -> np.ndarray:
    """As preprocessing leaves them, in -1..1."""
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, *size)).astype(np.float32)


EIGHT = {
    "mobilenet_v1_0.25_128", "mobilenet_v1_0.5_160", "mobilenet_v1_0.75_192",
    "mobilenet_v1_0.75_224", "mobilenet_v1_1.0_224", "mobilenet_v2_0.35_96",
    "mobilenet_v2_1.0_128", "mobilenet_v2_1.4_224",
}  # fmt: skip
"""Both networks, every size, widths above, below and at 1; the other 30 are marked `every`."""
CONFIGURATIONS = [
    pytest.param(i, id=name, marks=() if name in EIGHT else pytest.mark.every)
    for i, name in enumerate(found.name.removesuffix(".google") for found in GOOGLES)
]


@pytest.mark.parametrize("index", CONFIGURATIONS)
def test_the_published_configurations(index):
    one = GOOGLES[index]
    size = (one.resolution, one.resolution)
    data = mobilenet(one.architecture, one.width, one.resolution)
    with net_of(data, 1 + index % 4, shape=(1, 3, *size)) as net:
        agrees(net, data, images(1 + index % 5, *size))


def test_there_are_16_and_22_of_them():
    kinds = [found.architecture for found in GOOGLES]
    assert (kinds.count("mobilenet_v1"), kinds.count("mobilenet_v2")) == (16, 22)
    ours = [param.id for param in CONFIGURATIONS if not param.marks]
    assert set(ours) == EIGHT
    of_eight = [one for one in GOOGLES if one.name.removesuffix(".google") in EIGHT]
    assert {one.resolution for one in of_eight} == {one.resolution for one in GOOGLES}


ODD = [
    ("mobilenet_v1", (97, 97)),
    ("mobilenet_v1", (33, 64)),
    ("mobilenet_v2", (97, 97)),
    ("mobilenet_v2", (225, 225)),
    ("mobilenet_v2", (320, 240)),
]


@pytest.mark.parametrize(("name", "size"), some(ODD, (0, 2)))
def test_odd_sizes_and_every_batch(name, size):
    data = mobilenet(name, 0.25 if name == "mobilenet_v1" else 0.35, size, classes=11)
    with net_of(data, 2, shape=(1, 3, *size)) as net:
        for count in range(1, 6):
            agrees(net, data, images(count, *size))
        assert net(images(0, *size)).shape == (0, 11)


@pytest.mark.parametrize("threads", some([1, 2, 3, 4], (1, 3)))
def test_every_number_of_threads_gives_nearly_the_same(threads):
    data = mobilenet("mobilenet_v2", 0.5, 96, blocks=8)
    with net_of(data, threads, shape=(1, 3, 96, 96)) as net:
        x = images(2, 96, 96)
        agrees(net, data, x)
        first = net(x)
        assert all(np.array_equal(net(x), first) for _ in range(20))


# Files of others

OTHERS = {
    "torchvision's v2": lambda: torchvision.models.mobilenet_v2(num_classes=20),
    "torchvision's v3 small": lambda: torchvision.models.mobilenet_v3_small(num_classes=20),
    "torchvision's v3 large": lambda: torchvision.models.mobilenet_v3_large(width_mult=0.5),
    "timm's v1": lambda: timm.create_model("mobilenetv1_100", num_classes=20),
    "timm's v2": lambda: timm.create_model("mobilenetv2_050", num_classes=20),
    "timm's v3": lambda: timm.create_model("mobilenetv3_small_075", num_classes=20),
    "timm's v3, same padding": lambda: timm.create_model("tf_mobilenetv3_small_minimal_100"),
}


@pytest.mark.parametrize("name", some(list(OTHERS), (1,)))
def test_files_of_torchvision_and_timm(name):
    torch.manual_seed(0)
    network = OTHERS[name]()
    settle(network, 112)  # with other statistics, rounding grows from layer to layer
    data = exported(network, (2, 3, 112, 112), dynamo=False, free=True)
    with net_of(data, 1 + len(name) % 2, shape=(1, 3, 112, 112)) as net:
        agrees(net, data, images(2, 112, 112))


def test_a_file_with_its_channels_last():
    proto = nhwc_network()
    with net_of(proto, 2) as net:
        assert net.input_shape == (1, 9, 8, 3)
        agrees(net, proto.SerializeToString(), array(1, 9, 8, 3))


def test_outputs_that_are_several_in_the_files_order_and_rows_of_a_batch():
    nodes = [
        node("Relu", "x", "a"),
        node("ArgMax", "a", "b_i", axis=1, keepdims=0),
        node("Reshape", "a s", "c"),
        node("Identity", "b_i", "d_i"),
        node("Identity", "x", "e"),
    ]
    proto = model(
        nodes, ("n", 6, 2), {"s": np.array([-1, 3], np.int64)}, outputs="c a b_i d_i e", opset=17
    )
    data, x = proto.SerializeToString(), array(3, 6, 2)
    with net_of(data, 2) as net:
        assert net.output_shapes == ((4, 3), (1, 6, 2), (1, 2), (1, 2), (1, 6, 2))
        for found, expected in zip(net(x), onnx_runtime(data, x, False), strict=True):
            same(found, expected)


# Drawn at random


@pytest.mark.parametrize("examples", some([12, 30]))
def test_random_graphs(examples):
    @settings(max_examples=examples, **QUICK)
    @given(random_model(), st.integers(1, 4), st.sampled_from(STREAMS))
    def agree(proto, threads, stream):
        data = proto.SerializeToString()
        with net_of(data, threads, Schedule(stream=stream)) as net:
            agrees(net, data, array(*net.input_shape))

    agree()


def _convolve(draw, draft: Draft, outputs: int, kernel: int, stride: int, groups: int) -> None:
    """A convolution that keeps a pixel at least, and perhaps an activation."""
    size = draft.shape[2:]
    dilation = draw(st.sampled_from([1, 1, 2])) if kernel > 1 and stride == 1 else 1
    reach = (kernel - 1) * dilation
    before = [draw(st.integers(0, reach)) for _ in size]
    least = [max(0, reach + 1 - b - s) for b, s in zip(before, size, strict=True)]
    after = [draw(st.integers(low, max(low, reach))) for low in least]
    made = [
        (s + b + a - reach - 1) // stride + 1 for s, b, a in zip(size, before, after, strict=True)
    ]
    scale = (draft.shape[1] // groups * kernel**2) ** -0.5
    draft.then(
        "Conv",
        draft.weight(outputs, draft.shape[1] // groups, kernel, kernel, low=-scale, high=scale),
        draft.weight(outputs),
        shape=(1, outputs, *made),
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        dilations=[dilation] * 2,
        pads=[*before, *after],
        group=groups,
    )
    if draw(st.booleans()):
        draft.then(draw(st.sampled_from(["Relu", "HardSwish", "Sigmoid"])))


@st.composite
def random_blocks(draw) -> onnx.ModelProto:
    """Inverted residuals and pairs one after the other, of any shapes, perhaps after a stem."""
    size = [draw(st.integers(1, 26)) for _ in range(2)]
    channels = st.one_of(st.integers(1, 20), st.sampled_from([8, 16, 24, 32, 48]))
    draft = Draft((1, draw(channels), *size), draw(st.integers(0, 2**32 - 1)))
    if draw(st.booleans()):
        draft = Draft((1, 3, *size), 1)
        _convolve(draw, draft, draw(channels), draw(st.integers(2, 3)), draw(st.integers(1, 2)), 1)
    for _ in range(draw(st.integers(1, 4))):
        start, shape = draft.name, draft.shape
        if draw(st.booleans()):
            middle = shape[1] * draw(st.integers(1, 6))
            draft.then("Conv", draft.weight(middle, shape[1], 1, 1), shape=(1, middle, *shape[2:]))
            draft.then("Clip", draft.weight(low=-1, high=0), draft.weight(low=0, high=6))
        kernel, stride = draw(st.sampled_from([(3, 1), (3, 1), (3, 2), (5, 1), (5, 2), (2, 3)]))
        _convolve(draw, draft, draft.shape[1], kernel, stride, draft.shape[1])
        outputs = draw(st.sampled_from([shape[1], shape[1], draw(channels)]))
        _convolve(draw, draft, outputs, 1, 1, 1)
        if draft.shape == shape and draw(st.booleans()):
            draft.then("Add", start)
    return draft.finish()


def _choice(draw, graph: Graph, block: FusedBlock) -> Choice:
    """Any group that is allowed, any strip."""
    middle, lanes = len(block.depthwise.weight), host().lanes
    vectors = middle // lanes if middle % lanes == 0 else 0
    sizes = [n * lanes for n in range(1, vectors + 1) if vectors % n == 0] or [middle]
    high = graph.tensors[block.output].shape[2]
    return Choice(
        draw(st.sampled_from(["rows", "rows", "groups"])),
        draw(st.sampled_from(sizes)),
        draw(st.integers(1, high)),
    )


@pytest.mark.parametrize("examples", some([6, 15]))
def test_random_blocks_under_random_schedules(examples):
    @settings(max_examples=examples, **QUICK)
    @given(random_blocks(), st.integers(1, 4), st.sampled_from(STREAMS), st.data())
    def agree(proto, threads, stream, data):
        content = proto.SerializeToString()
        graph = read_graph(content)
        blocks = [unit for unit in fuse(graph) if isinstance(unit, FusedBlock)]
        chosen = {
            block.name: _choice(data.draw, graph, block)
            for block in blocks
            if data.draw(st.integers(0, 3))
        }
        with net_of(graph, threads, Schedule(chosen, stream)) as net:
            agrees(net, content, array(1, *net.input_shape[1:]))

    agree()


# What is not finite


@pytest.mark.parametrize("stream", STREAMS)
def test_what_is_not_finite_goes_where_onnx_runtime_lets_it(stream):
    data = mobilenet("mobilenet_v2", 0.35, 40, blocks=6)
    with net_of(data, 2, Schedule(stream=stream), shape=(1, 3, 40, 40)) as net:
        for special in (np.nan, np.inf, -np.inf):
            x = images(1, 40, 40)
            x[0, 1, 13, 22] = special
            agrees(net, data, x)
            agrees(net, data, images(1, 40, 40))  # nothing of it stays behind


ENDS = {
    "Relu": [node("Relu", "c", "y")],
    "Clip": [node("Clip", "c low high", "y")],
    "HardSwish": [node("HardSwish", "c", "y")],
    "LeakyRelu": [node("LeakyRelu", "c", "y", alpha=0.1)],
    "HardSigmoid": [node("HardSigmoid", "c", "y", alpha=0.3)],
    "Sigmoid": [node("Sigmoid", "c", "y")],
    "silu": [node("Sigmoid", "c", "s"), node("Mul", "c s", "y")],
    "Softmax": [node("Softmax", "c", "y", axis=1)],
    "average": [node("GlobalAveragePool", "c", "y")],
    "none": [node("Identity", "c", "y")],
}


@pytest.mark.parametrize("kernel", some([1, 3]))
@pytest.mark.parametrize("end", ENDS)
def test_what_is_not_finite_through_each_activation(end, kernel):
    pads = [kernel // 2] * 4
    nodes = [node("Conv", "x w", "c", pads=pads), *ENDS[end]]
    weights = {"low": np.float32(0), "high": np.float32(6), "w": array(21, 5, kernel, kernel)}
    data = model(nodes, (1, 5, 9, 7), weights).SerializeToString()
    x = 3 * array(1, 5, 9, 7)
    x[0, 2, [0, 4, 8], [0, 3, 6]] = np.nan, np.inf, -np.inf
    with net_of(data, 2) as net:
        agrees(net, data, x)


# Real images

CLASSIFIERS = {
    "mobilenet_v2_1.0_224_quant": 0.877,
    "mobilenet_v1_0.5_160_quant": 0.671,
    "mobilenet_v1_0.25_128_quant": 0.456,
}


@pytest.mark.assets
@pytest.mark.parametrize("name", some(list(CLASSIFIERS), (2,)))
def test_the_same_class_for_every_image_as_on_onnx_runtime(assets, tmp_path, monkeypatch, name):
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "model.onnx"
    with quick_export():
        export_onnx(load(assets / "weights" / f"{name}.tflite"), path)
    ours = open_session(path, runtime="mobilenets", threads=1)
    theirs = open_session(path, runtime="onnxruntime", threads=1)
    sample = open_classification(assets / "imagenet-sample", "all")
    right = []
    for start in range(0, len(sample), 50):
        indices = range(start, min(start + 50, len(sample)), 5)
        x = np.stack([preprocess(sample.image(i), ours.card.preprocessing) for i in indices])
        found, expected = only(ours(x)), only(theirs(x))
        same(found, expected)
        np.testing.assert_array_equal(found.argmax(1), expected.argmax(1))
        classes = found.argmax(1) - (found.shape[1] - len(sample.classes))
        right += [c == sample.target(i) for c, i in zip(classes, indices, strict=True)]
    assert abs(np.mean(right) - CLASSIFIERS[name]) < 0.1
