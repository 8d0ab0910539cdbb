"""Whole files against LiteRT, every value in between; and what is refused, in one line."""

from pathlib import Path

import numpy as np
import pytest

import mobilenets
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.front.source import Source
from mobilenets.engine.front.tflite.graph import tflite_graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.errors import WeightsError
from tests.engine.front.tflite.files import Draft, litert, showing_all
from tests.engine.front.tflite.single import FLOAT, UINT8, ints
from tests.engine.graphs import close
from tests.engine.nets import net_of, outputs_of
from tests.some import some
from tests.weights.tflite_files import flipped

FILES = [
    "mobilenet_v1_0.25_96_person_int8",
    "mobilenet_v1_0.25_96_vww_int8",
    "mobilenet_v1_0.25_96_vww_float",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v1_0.5_160_quant",
    "mobilenet_v2_1.0_224_quant",
    "ssd_mobilenet_v1_coco_quant",
    "deeplabv3_mobilenet_v2_0.5_257",
    "deeplabv3_mobilenet_v2_0.5_pascal_quant",
]


@pytest.fixture
def weights(assets) -> Path:
    return assets / "weights"


def noise(graph, seed=0):
    """An input of any numbers of the graph's type."""
    tensor, random = graph.tensors[graph.input], np.random.default_rng(seed)
    if tensor.dtype.name == "float32":
        return random.uniform(-1, 1, tensor.shape).astype(np.float32)
    info = np.iinfo(tensor.dtype.name)
    return random.integers(info.min, info.max + 1, tensor.shape).astype(tensor.dtype.numpy)


def same(found, wanted, what):
    assert found.shape == wanted.shape, what
    assert found.dtype == wanted.dtype, what
    if wanted.dtype.kind == "f":
        close(found, wanted, 2e-5)
    else:
        np.testing.assert_array_equal(found, wanted, what)


@pytest.mark.assets
@pytest.mark.parametrize("name", some(FILES, range(4)))
def test_every_value_is_litert_s(name, weights):
    data, _ = showing_all((weights / f"{name}.tflite").read_bytes())
    graph = tflite_graph(Source(name, data), None)
    x = noise(graph)
    values = run_graph(graph, x)
    for value, wanted in zip(graph.outputs, litert(data, x), strict=True):
        same(values[value], wanted, value)


@pytest.mark.assets
@pytest.mark.parametrize("name", some(FILES, (0, 3)))
def test_the_smaller_graph_gives_the_same(name, weights):
    path = weights / f"{name}.tflite"
    whole, small = tflite_graph(Source.open(path), None), read_graph(path)
    assert len(small.nodes) < len(whole.nodes)
    x = noise(whole, 1)
    values, expected = run_graph(small, x), run_graph(whole, x)
    assert small.outputs == whole.outputs
    for value in small.outputs:
        same(values[value], expected[value], value)


@pytest.mark.assets
@pytest.mark.parametrize(
    "name", some(["mobilenet_v1_0.25_96_vww_float", "deeplabv3_mobilenet_v2_0.5_257"])
)
def test_a_float_file_is_compiled(name, weights):
    data = (weights / f"{name}.tflite").read_bytes()
    graph = read_graph(data)
    x = noise(graph)
    (wanted,) = litert(data, x)
    with net_of(graph, 2) as net:
        close(net(x), wanted, 2e-5)


INTEGERS = [name for name in FILES if "float" not in name and "257" not in name]


@pytest.mark.assets
@pytest.mark.parametrize("name", some(INTEGERS, range(2)))
def test_integers_are_compiled_to_the_same_bits(name, weights):
    """As the twin's, which above is LiteRT's."""
    path = weights / f"{name}.tflite"
    graph = read_graph(path)
    x = noise(graph)
    values = run_graph(graph, x)
    for threads in (1, 2):
        with mobilenets.compile(path, threads=threads) as net:
            assert net.input_dtype == graph.tensors[graph.input].dtype.name
            for value, found in zip(graph.outputs, outputs_of(net, x), strict=True):
                same(found, values[value], value)


@pytest.mark.assets
def test_what_picks_boxes_is_left_out_and_its_options_kept(weights):
    graph = read_graph(weights / "ssd_mobilenet_v1_coco_quant.tflite")
    shapes = [graph.tensors[name].shape for name in graph.outputs]
    assert shapes == [(1, 1917, 4), (1, 1917, 91)]
    assert "max_detections" in str(bytes.fromhex(graph.metadata["TFLite_Detection_PostProcess"]))


@pytest.mark.assets
@pytest.mark.parametrize("seeds", some([range(60), range(60, 20_000)]))
def test_a_damaged_file_is_read_or_refused_in_one_line(seeds, weights):
    data = (weights / "mobilenet_v1_0.25_96_person_int8.tflite").read_bytes()
    said = []
    for seed in seeds:
        try:
            read_graph(flipped(data, np.random.default_rng(seed)))
        except WeightsError as error:
            said.append(str(error))
    assert len(said) > len(seeds) // 10
    assert not [line for line in said if "\n" in line or len(line) > 2000]


def drawn(shape, out, kind, others=lambda draft: [], more=(), **options):
    """A file of one operator of floats, whose sides may be open."""
    draft = Draft()
    x = draft.tensor(shape)
    y = draft.tensor(out)
    draft.add(kind, [x, *others(draft)], [y], **options)
    return draft.finish([x, *more], [y])


def test_an_open_size_is_asked_for_and_taken():
    data = drawn((-1, -1, -1, 3), (-1, -1, -1, 3), "RELU")
    with pytest.raises(WeightsError, match="give its shape"):
        read_graph(data)
    graph = read_graph(data, shape=(4, 5, 6, 3))
    assert graph.tensors[graph.outputs[0]].shape == (1, 5, 6, 3)


REFUSED = {
    "a mean over images": (
        drawn((-1, 4, 4, 3), (4, 4, 3), "MEAN", ints([0])),
        "mixes the images",
    ),
    "several images": (drawn((4, 5), (4, 5), "RELU"), "one image at a time"),
    "two inputs": (drawn((1, 5), (1, 5), "RELU", more=(0,)), "one input"),
    "an unknown operator": (drawn((1, 5), (1, 5), "COS"), "COS is not supported"),
    "a transposed shape": (
        drawn((1, 5, 4), (1, 4, 5), "TRANSPOSE", ints([0, 0, 1])),
        "order must be",
    ),
    "a reshape to more": (drawn((1, 6), (1, 7), "RESHAPE", ints([1, 7])), "cannot be reshaped"),
    "a weight of runtime": (
        drawn((1, 6), (1, 6), "FULLY_CONNECTED", lambda draft: [0]),
        "must be a constant",
    ),
    "pads below 0": (
        drawn((1, 6), (1, 5), "PAD", ints([[0, 0], [0, -1]])),
        "pads must be 0 to",
    ),
    "too much": (
        drawn((1, 60, 60), (1, 60, 60), "PAD", ints([[0, 0], [0, 2**20], [0, 2**20]])),
        "a tensor can have",
    ),
}


@pytest.mark.parametrize(("data", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(data, why):
    with pytest.raises(WeightsError, match=why) as caught:
        read_graph(data)
    assert "\n" not in str(caught.value)


def test_a_dilation_written_as_three_operators_is_one():
    draft, random = Draft(), np.random.default_rng(0)
    x = draft.tensor((1, 9, 9, 4))
    block = draft.constant(np.int32([2, 2]))
    wide = draft.constant(np.int32([[2, 3], [2, 3]]))
    cut = draft.tensor((4, 7, 7, 4))
    draft.add("SPACE_TO_BATCH_ND", [x, block, wide], [cut])
    weight = draft.constant(random.normal(size=(1, 3, 3, 4)).astype(FLOAT))
    bias = draft.constant(random.normal(size=4).astype(FLOAT))
    made = draft.tensor((4, 5, 5, 4))
    options = {"padding": 1, "strideH": 1, "strideW": 1, "depthMultiplier": 1}
    draft.add("DEPTHWISE_CONV_2D", [cut, weight, bias], [made], **options)
    y = draft.tensor((1, 9, 9, 4))
    crops = draft.constant(np.int32([[0, 1], [0, 1]]))
    draft.add("BATCH_TO_SPACE_ND", [made, block, crops], [y])
    data = draft.finish([x], [y])
    graph = read_graph(data)
    given = random.normal(size=(1, 9, 9, 4)).astype(FLOAT)
    close(run_graph(graph, given)[graph.outputs[0]], litert(data, given)[0], 1e-5)
    assert [type(node).__name__ for node in graph.nodes] == ["Transpose", "Conv", "Transpose"]
    assert graph.nodes[1].dilations == (2, 2)


def test_weights_of_16_bits_are_dequantized():
    draft, random = Draft(), np.random.default_rng(0)
    x = draft.tensor((1, 9))
    half = draft.constant(random.normal(size=(6, 9)).astype(np.float16))
    weight = draft.tensor((6, 9))
    draft.add("DEQUANTIZE", [half], [weight])
    y = draft.tensor((1, 6))
    draft.add("FULLY_CONNECTED", [x, weight, -1], [y])
    data = draft.finish([x], [y])
    given = random.normal(size=(1, 9)).astype(FLOAT)
    graph = read_graph(data)
    close(run_graph(graph, given)[graph.outputs[0]], litert(data, given)[0], 1e-5)


def test_a_shape_worked_out_as_the_network_runs_is_known():
    """As Keras writes a flattening: the batch's size, and the rest."""
    draft = Draft()
    x = draft.tensor((-1, 2, 3, 4), UINT8, 0.1, 3)
    size, first, shape = (draft.tensor(s, np.int32) for s in ((4,), (), (2,)))
    draft.add("SHAPE", [x], [size])
    bounds = [draft.constant(np.int32([value])) for value in (0, 1, 1)]
    draft.add("STRIDED_SLICE", [size, *bounds], [first], shrinkAxisMask=1)
    draft.add("PACK", [first, draft.constant(np.int32(24))], [shape], valuesCount=2, axis=0)
    y = draft.tensor((-1, 24), UINT8, 0.1, 3)
    draft.add("RESHAPE", [x, shape], [y])
    graph = read_graph(draft.finish([x], [y]))
    assert graph.tensors[graph.outputs[0]].shape == (1, 24)
