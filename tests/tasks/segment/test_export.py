"""Segmentation networks in files: logits of the input's size, or each pixel's class."""

import numpy as np
import onnx
import pytest
import torch

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.export import export_onnx
from mobilenets.export import onnx as module
from mobilenets.export.source import open_source
from mobilenets.inference import open_session
from mobilenets.tasks.segment.read import CLASSES, LOGITS
from tests.outputs import only
from tests.quick import quick_export

pytestmark = pytest.mark.every

SIZE = (49, 65)
NAMES = ("ground", "cat", "dog")
NAME = "deeplabv3_mobilenet_v2"
KNOBS = {"width": 0.35, "classes": 3}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model, its file with logits, and its file with classes."""
    torch.manual_seed(0)
    model = open_source(NAME, resolution=49, knobs=KNOBS)
    model.card = ModelCard(NAME, KNOBS, "segment", NAMES, Preprocessing(SIZE, "pad"))
    folder = tmp_path_factory.mktemp("onnx")
    with quick_export():
        export_onnx(model, folder / "logits.onnx", batch=1)
    export_onnx(model, folder / "classes.onnx", argmax=True, batch=1)
    return model, folder / "logits.onnx", folder / "classes.onnx"


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (1, 3, *SIZE)).astype(np.float32)


@pytest.mark.parametrize("runtime", ["mobilenets", "onnxruntime"])
def test_the_file_gives_the_networks_logits_and_its_best_classes(exported, runtime):
    model, logits_path, classes_path = exported
    logits_of = open_session(logits_path, runtime=runtime)
    classes_of = open_session(classes_path, runtime=runtime)
    assert logits_of.card == model.card.replace(outputs=LOGITS)
    assert classes_of.card == model.card.replace(outputs=CLASSES)
    assert logits_of.note == classes_of.note == ""
    for seed in range(3):
        with torch.inference_mode():
            expected = model(torch.from_numpy(image(seed))).numpy()
        logits = only(logits_of(image(seed)))
        assert logits.shape == (1, 3, *SIZE)
        np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max())
        # Chosen in the file or from its logits: the same, to the pixel.
        np.testing.assert_array_equal(only(classes_of(image(seed))), logits.argmax(1))


def test_classes_are_integers_and_the_card_says_so(exported):
    _, logits_path, classes_path = exported
    kinds = {
        path: onnx.load(path).graph.output[0].type.tensor_type.elem_type
        for path in (logits_path, classes_path)
    }
    assert kinds == {logits_path: onnx.TensorProto.FLOAT, classes_path: onnx.TensorProto.INT64}


def test_a_file_of_other_classes_is_not_kept(tmp_path, monkeypatch):
    model = open_source(NAME, resolution=33, knobs=KNOBS)
    real = module.run
    monkeypatch.setattr(
        module,
        "run",
        lambda *given: [{name: 1 + found for name, found in one.items()} for one in real(*given)],
    )
    wrong = r"gives 100\.0% of the pixels another class"
    with quick_export(), pytest.raises(WeightsError, match=wrong):
        export_onnx(model, tmp_path / "m.onnx", argmax=True, batch=1)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", ["x", 2.5, -3])
def test_a_number_of_classes_that_is_none(classes):
    with pytest.raises(ValueError, match="classes must be a positive integer, got"):
        open_source(NAME, resolution=33, knobs={"classes": classes})


def test_options_of_other_tasks_are_refused(tmp_path, exported):
    model = exported[0]
    with pytest.raises(ValueError, match="softmax is for classifiers, this model's task is segm"):
        export_onnx(model, tmp_path / "m.onnx", softmax=True)
    with pytest.raises(ValueError, match="nms is for detectors, this model's task is segment"):
        export_onnx(model, tmp_path / "m.onnx", nms=True)
    classifier = open_source("mobilenet_v2", resolution=32, knobs={"width": 0.35})
    with pytest.raises(ValueError, match="argmax is to segment, this model's task is classify"):
        export_onnx(classifier, tmp_path / "m.onnx", argmax=True)
    assert not list(tmp_path.iterdir())
