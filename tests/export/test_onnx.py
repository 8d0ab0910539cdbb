import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from mobilenets.card import KEY, ModelCard, Preprocessing
from mobilenets.cost import profile
from mobilenets.cost.graph import profile_onnx
from mobilenets.engine.front.read import read_graph
from mobilenets.engine.ir.reference import run_graph
from mobilenets.errors import WeightsError
from mobilenets.export import export_onnx
from mobilenets.export import onnx as module
from mobilenets.export.source import open_source
from mobilenets.inference import open_session
from mobilenets.tasks.classify.read import LOGITS
from mobilenets.tasks.registry import build
from tests.engine.graphs import array, kinds
from tests.outputs import only
from tests.quick import quick_export, shake_norms
from tests.some import some


def network(name: str = "mobilenet_v2", size: tuple[int, int] = (64, 64), **arguments):
    torch.manual_seed(0)
    model = build(name, width=0.25, classes=7, **arguments).eval()
    shake_norms(model, (0.02, 0.1))
    labels = tuple("abcdefg")
    knobs = {"width": 0.25, **arguments}
    model.card = ModelCard(name, knobs, labels=labels, preprocessing=Preprocessing(size))
    return model


def close(found, expected) -> None:
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-4 * np.abs(expected).max())


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    model = network()
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    return model, path, export_onnx(model, path)


def run(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images})[0]


def test_outputs_are_the_networks_at_any_batch(exported):
    model, path, report = exported
    for count in (1, 2, 5):
        images = torch.randn(count, 3, 64, 64)
        expected = model(images).detach().numpy()
        close(run(path, images.numpy()), expected)
    assert report.difference <= 1e-4
    assert report.bytes == path.stat().st_size


def test_norms_and_padding_are_folded_away(exported):
    kinds = {node.op_type for node in onnx.load(exported[1]).graph.node}
    assert kinds == {"Conv", "Clip", "Add", "ReduceMean", "Gemm"}


def test_the_card_travels(exported):
    model, path, _ = exported
    assert open_session(path).card == model.card.replace(outputs=LOGITS, task="classify")
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert list(properties) == [KEY]


def test_nothing_of_the_machine_that_wrote_it_is_inside(exported):
    data = exported[1].read_bytes()
    assert b".py" not in data
    assert b"torch" not in data


def test_the_engine_finds_nothing_in_it_but_layers(exported):
    graph = read_graph(exported[1])
    assert set(kinds(graph)) == {"Conv", "Binary", "Reduce", "Dense"}
    assert graph.metadata
    x = array(1, 3, 64, 64)
    close(run_graph(graph, x)[graph.outputs[0]], run(exported[1], x))


def test_it_costs_what_its_network_does(exported):
    found = profile_onnx(exported[1])
    expected = profile("mobilenet_v2", width=0.25, classes=7, resolution=64)
    rows = [
        [(x.kind, x.input, x.output, x.kernel, x.stride, x.madds) for x in cost.layers]
        for cost in (found, expected)
    ]
    assert rows[0] == rows[1]
    assert (found.madds, found.resolution) == (expected.madds, (64, 64))


def test_the_network_itself_is_left_as_it_was(exported):
    assert isinstance(exported[0].backbone.stem.norm, torch.nn.BatchNorm2d)


@pytest.mark.every
@pytest.mark.parametrize(
    ("name", "size", "arguments"),
    some(
        [
            ("mobilenet_v1", (65, 97), {"padding": "same"}),
            ("mobilenet_v2", (97, 65), {"padding": "symmetric", "output_stride": 8}),
            ("mobilenet_v2", (33, 33), {"shortcut": "expansion", "linear_bottleneck": False}),
            ("mobilenet_v2", (65, 65), {"activation": "leaky_relu", "negative_slope": 0.1}),
        ]
    ),
)
def test_odd_sizes_a_fixed_batch_and_probabilities(tmp_path, name, size, arguments):
    model = network(name, size, **arguments)
    path = tmp_path / "m.onnx"
    export_onnx(model, path, softmax=True, batch=2)
    images = torch.randn(2, 3, *size)
    expected = model(images).softmax(1).detach().numpy()
    close(run(path, images.numpy()), expected)
    close(only(open_session(path, runtime="mobilenets")(images.numpy())), expected)
    assert open_session(path).card.output.meaning == "probabilities"
    assert only(open_session(path)(np.zeros((3, 3, *size), np.float32))).shape == (3, 7)


@pytest.mark.every
def test_a_file_that_differs_is_not_kept(tmp_path, monkeypatch):
    path = tmp_path / "m.onnx"
    path.write_bytes(b"before")
    real = module.form_of

    def wrong(*given):
        form = real(*given)
        form.network.classifier.bias.data += 0.5
        return form

    monkeypatch.setattr(module, "form_of", wrong)
    with quick_export(), pytest.raises(WeightsError, match="differs from its source"):
        export_onnx(network(), path)
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.onnx"]


def test_a_bare_name_gets_random_weights_and_knobs():
    model = open_source("mobilenet_v1", resolution=96, knobs={"width": 0.25, "shallow": True})
    assert len(model.backbone.blocks) == 8
    assert model.card.preprocessing.size == (96, 96)
    assert model.card.labels[0] == "tench"


def test_knobs_are_for_names(tmp_path):
    with pytest.raises(ValueError, match="width is for a network's name"):
        open_source(tmp_path / "x.safetensors", knobs={"width": 0.5})


def test_a_batch_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="batch must be a positive integer, got 0"):
        export_onnx(network(), tmp_path / "m.onnx", batch=0)
