"""Detectors in files: decoded, without the background, and with suppression inside."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper
from torchvision.ops import batched_nms

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.export import export_onnx
from mobilenets.export import onnx as module
from mobilenets.export.source import open_source
from mobilenets.inference import open_session
from mobilenets.tasks.detect import suppression
from mobilenets.tasks.detect.architecture.geometry import anchors_of
from mobilenets.tasks.detect.architecture.ssd import Decoded, without_background
from mobilenets.tasks.detect.read import BOXES, DETECTIONS, LEAST_SCORE
from mobilenets.tasks.detect.suppression import add_suppression, suppressed
from tests.export.test_onnx import network as classifier
from tests.outputs import only

pytestmark = pytest.mark.every

SIZE = (64, 96)
CLASSES = ("cat", "dog", "bird")
NAME = "ssdlite_mobilenet_v2"


def network(name: str = NAME, **knobs):
    model = open_source(name, resolution=64, knobs={"width": 0.25, "classes": 3, **knobs})
    arguments = {"width": 0.25, "classes": 3, **knobs}
    model.card = ModelCard(
        name, arguments, "detect", CLASSES, preprocessing=Preprocessing(SIZE, "squash")
    )
    return model


def decoded(model) -> Decoded:
    padding = model.card.arguments.get("padding", "same")
    anchors = anchors_of(model.card.architecture, model.card.preprocessing.size, padding)
    return Decoded(model, torch.from_numpy(anchors)).eval()


def images(count: int) -> torch.Tensor:
    return torch.rand(count, 3, *SIZE, generator=torch.Generator().manual_seed(count)) * 2 - 1


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its file with boxes, and its file with detections."""
    torch.manual_seed(0)
    model = network()
    folder = tmp_path_factory.mktemp("onnx")
    traced = []
    with pytest.MonkeyPatch.context() as patch:
        real = module.trace
        patch.setattr(module, "trace", lambda *given: traced.append(real(*given)) or traced[0])
        export_onnx(model, folder / "boxes.onnx")
        patch.setattr(module, "trace", lambda *given: traced[0])  # tracing takes seconds
        export_onnx(model, folder / "detections.onnx", nms=True)
    return model, folder / "boxes.onnx", folder / "detections.onnx"


@pytest.mark.parametrize("runtime", ["mobilenets", "onnxruntime"])
def test_the_file_gives_the_networks_boxes_and_scores(exported, runtime):
    model, path, _ = exported
    session = open_session(path, runtime=runtime)
    assert session.card == model.card.replace(outputs=BOXES)
    assert session.note == ""
    for count in (1, 2, 5):
        with torch.inference_mode():
            expected = decoded(model)(images(count)).numpy()
        found = only(session(images(count).numpy()))
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_nobody_computes_the_backgrounds_scores(exported):
    file = onnx.load(exported[1])
    weights = {one.name: tuple(one.dims) for one in file.graph.initializer}
    heads = [name for name in weights if "scores" in name and name.endswith("predict.weight")]
    assert [weights[name][0] for name in heads] == [9, 18, 18, 18, 18, 18]
    kinds = {node.op_type for node in file.graph.node}
    assert kinds <= {
        "Add", "Clip", "Concat", "Conv", "Div", "Exp", "Mul", "Reshape", "Sigmoid", "Slice", "Sub",
        "Transpose",
    }  # fmt: skip


def by_torchvision(boxes: np.ndarray) -> np.ndarray:
    """(anchors, 4 + classes) -> (100, 6) as torchvision suppresses."""
    rows, classes = np.nonzero(boxes[:, 4:] > LEAST_SCORE)
    corners = torch.from_numpy(boxes[rows, :4])
    scores = torch.from_numpy(boxes[rows, 4 + classes])
    kept = batched_nms(corners, scores, torch.from_numpy(classes), 0.6)[:100].numpy()
    result = np.zeros((100, 6), np.float32)
    result[: len(kept), :4] = corners[kept]
    result[: len(kept), 4] = scores[kept]
    result[: len(kept), 5] = classes[kept]
    return result


def test_detections_are_what_torchvision_leaves(exported):
    model, boxes, detections = exported
    session = open_session(detections)
    assert session.card == model.card.replace(outputs=DETECTIONS)
    given = images(3).numpy()
    found = only(session(given))
    assert found.shape == (3, 100, 6)
    for one, all_boxes in zip(
        found, only(open_session(boxes, runtime="onnxruntime")(given)), strict=True
    ):
        np.testing.assert_allclose(one, by_torchvision(all_boxes), atol=1e-5)


def test_suppression_runs_on_onnx_runtime_and_says_so(exported):
    session = open_session(exported[2])
    assert session.runs_on == "onnxruntime"
    assert session.note.endswith("operator NonMaxSuppression is not supported")
    assert "ONNX Runtime" in session.note
    with pytest.raises(WeightsError, match="NonMaxSuppression is not supported"):
        open_session(exported[2], runtime="mobilenets")


def test_a_file_that_suppresses_otherwise_is_not_kept(exported, tmp_path, monkeypatch):
    proto = onnx.load(exported[1])
    monkeypatch.setattr(module, "trace", lambda *given: proto)
    monkeypatch.setattr(suppression, "add_suppression", wrong_overlap)
    with pytest.raises(WeightsError, match="differs from its source"):
        export_onnx(exported[0], tmp_path / "m.onnx", nms=True)
    assert list(tmp_path.iterdir()) == []


def wrong_overlap(proto: onnx.ModelProto) -> onnx.ModelProto:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(suppression, "NMS_IOU", 0.3)
        return add_suppression(proto)


# Suppression alone, on boxes that are given


def suppress(boxes: np.ndarray) -> np.ndarray:
    """What the nodes make of boxes (N, anchors, 4 + classes)."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ("batch", *boxes.shape[1:]))
        for name in ("given", "boxes")
    ]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["given"], ["boxes"])], "g", ends[:1], ends[1:]
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    session = onnxruntime.InferenceSession(add_suppression(proto).SerializeToString())
    return session.run(None, {"given": boxes})[0]


@pytest.mark.parametrize(("anchors", "classes"), [(1, 1), (7, 2), (300, 1), (500, 20)])
def test_any_number_of_boxes_and_classes(anchors, classes):
    random = np.random.default_rng(anchors)
    corners = random.uniform(-0.1, 0.7, (3, anchors, 2))
    sides = random.uniform(0.05, 0.5, (3, anchors, 2))
    scores = random.uniform(0, 1, (3, anchors, classes)) ** 4
    boxes = np.concatenate([corners, corners + sides, scores], 2).astype(np.float32)
    found = suppress(boxes)
    for one, given in zip(found, boxes, strict=True):
        np.testing.assert_array_equal(one, by_torchvision(given))


def test_scores_that_are_equal_or_too_low():
    boxes = np.zeros((2, 3, 6), np.float32)
    boxes[0, :, :4] = [[0, 0, 1, 1], [0, 0, 1, 1], [0.9, 0.9, 1, 1]]
    boxes[0, :, 4:] = [[0.5, 0.5], [0.5, 0.2], [0.5, LEAST_SCORE]]
    boxes[1, :, 4:] = LEAST_SCORE / 2
    found = suppress(boxes)
    assert found[0, :3, 4:].tolist() == [[0.5, 0], [0.5, 0], [0.5, 1]]
    assert found[0, 1, 0] == np.float32(0.9)
    assert not found[0, 3:].any()
    assert not found[1].any()
    np.testing.assert_array_equal(suppressed(boxes), found)  # what an export is compared with


# What is asked for


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_leaving_the_background_out_changes_nothing_else(scores):
    model = network("ssd_mobilenet_v1", scores=scores)
    whole = decoded(model)
    lean = without_background(whole)
    assert lean.background == (scores == "softmax")
    with torch.inference_mode():
        torch.testing.assert_close(lean(images(2)), whole(images(2)), rtol=0, atol=1e-6)
    assert model.scores[0].values == 4  # the network itself is left as it was


def test_options_of_the_other_task_are_named(tmp_path):
    with pytest.raises(ValueError, match="softmax is for classifiers"):
        export_onnx(network(), tmp_path / "m.onnx", softmax=True)
    with pytest.raises(ValueError, match="nms is for detectors, this model's task is classify"):
        export_onnx(classifier(), tmp_path / "m.onnx", nms=True)


def test_a_bare_name_is_a_detector_of_the_papers_size_and_cocos_classes():
    model = open_source(NAME, knobs={"width": 0.25})
    assert model.card.preprocessing.size == (320, 320)
    assert (len(model.card.labels), model.card.labels[0]) == (80, "person")
    assert open_source(NAME, resolution=64, knobs={"classes": 2}).card.labels == (
        "class 0",
        "class 1",
    )
