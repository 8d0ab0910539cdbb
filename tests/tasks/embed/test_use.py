"""Embedding networks through the commands: trained, measured, exported, in any batch."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.outputs import only
from tests.quick import quick_export

import mobilenets
from mobilenets.card import card_of
from mobilenets.data.shapes import Shapes
from mobilenets.errors import WeightsError
from mobilenets.export import export_onnx
from mobilenets.export.source import settle
from mobilenets.inference import TorchSession, open_session
from mobilenets.tasks.embed.read import VECTORS
from mobilenets.tasks.registry import tasks
from mobilenets.training.loop import Trainer
from mobilenets.weights.sources.own import save

TASK = tasks()["embed"]
SIZE = 64


def made(name="embedding_mobilenet_v2", labels=("a", "b"), **knobs):
    """A network that tells images apart, though it has learned nothing."""
    torch.manual_seed(0)
    knobs = {"width": 0.35, "dimensions": 16, **knobs}
    model = TASK.network.build(name, labels, knobs)
    settle(model, SIZE)
    card = card_of(model)
    resized = mobilenets.Preprocessing((SIZE, SIZE))
    model.card = card.replace(preprocessing=resized)
    return model


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, 3, SIZE, SIZE)).astype(np.float32)


@pytest.mark.parametrize(
    "knobs",
    [
        {"pooling": "average"},
        {"pooling": "gem"},
        {"pooling": "depthwise", "kernel": 2},
        pytest.param({"last": False}, marks=pytest.mark.every),
        pytest.param({"name": "embedding_mobilenet_v1", "pooling": "gem"}, marks=pytest.mark.every),
    ],
    ids=["average", "gem", "depthwise", "without the last layer", "v1"],
)
def test_a_file_gives_the_networks_vectors_on_both_runtimes(tmp_path, knobs):
    model = made(**knobs)
    if knobs.get("pooling") == "gem":
        with torch.no_grad():
            model.pool.power.fill_(2.6)
    with quick_export():
        export_onnx(model, tmp_path / "m.onnx")
    batch = images(4)
    with torch.inference_mode():
        expected = model(torch.from_numpy(batch)).numpy()
    assert np.ptp(expected, axis=0).min() > 1e-3
    for runtime in ("mobilenets", "onnxruntime"):
        session = open_session(tmp_path / "m.onnx", runtime=runtime)
        assert session.note == ""
        assert session.card.outputs == VECTORS
        assert session.card.labels == ()
        assert "classes" not in session.card.arguments
        found = only(session(batch))
        np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert b"classifier" not in (tmp_path / "m.onnx").read_bytes()


def test_the_same_bits_alone_in_a_batch_and_on_two_threads(tmp_path):
    model = made(pooling="gem")
    with quick_export():
        export_onnx(model, tmp_path / "m.onnx")
    batch = images(9)
    whole = only(open_session(tmp_path / "m.onnx", threads=1)(batch))
    for threads, many in ((1, False), (2, False), (2, True)):
        session = open_session(tmp_path / "m.onnx", threads=threads, many=many)
        np.testing.assert_array_equal(only(session(batch)), whole)
        for i in (0, 8):
            alone = only(session(batch[i : i + 1]))
            if (threads, many) == (2, False):  # two threads sum up one image
                np.testing.assert_allclose(alone, whole[i : i + 1], atol=2e-5)
            else:
                np.testing.assert_array_equal(alone, whole[i : i + 1])


@pytest.mark.every
def test_training_on_half_of_the_shapes(call, tmp_path, monkeypatch, no_curves):
    from mobilenets.data import shapes

    monkeypatch.setattr(shapes, "LENGTHS", {"train": 64, "val": 48, "test": 48})
    words = ("train", "embedding_mobilenet_v2", "--from", "mobilenet_v2_0.35_64.shapes")
    words += ("--data", "shapes", "--epochs", 1, "--resolution", 48, "--workers", 0, "--json")
    run = tmp_path / "run"
    ran = call(*words, "--output", run, "--set", "per_class=4", "--set", "batch_size=16")
    assert ran.status == 0, ran.err
    assert "the head starts from a probe: the" in ran.err
    assert "val images of the classes ring, square, star, triangle" in ran.err
    best = json.loads(ran.out)["recall@1"]
    measured = json.loads(call("eval", run / "best.safetensors", "shapes", "--json").out)
    assert measured["recall@1"] == pytest.approx(best, abs=1e-6)
    assert set(measured["by_class"]) == {"ring", "square", "star", "triangle"}
    card = mobilenets.open(run / "best.safetensors").card
    assert set(card.kept["thresholds"]) == {"0.01"}
    other = call(*words, "--output", tmp_path / "other", "--set", "loss=pml:ContrastiveLoss")
    assert other.status == 0, other.err
    wrong = call(*words, "--output", tmp_path / "w", "--set", "per_class=3")
    assert wrong.status == 2
    assert "batch_size must be a multiple of per_class, 3" in wrong.err


def test_a_run_of_classes_in_turn_resumes_to_the_same_bits(call, tmp_path, monkeypatch, no_curves):
    from mobilenets.data import shapes

    monkeypatch.setattr(shapes, "LENGTHS", {"train": 64, "val": 16, "test": 16})
    words = ("train", "embedding_mobilenet_v2", "--data", "shapes", "--epochs", 2, "--workers", 0)
    words += ("--width", 0.35, "--resolution", 32, "--set", "per_class=4", "--set", "batch_size=8")
    assert call(*words, "--output", tmp_path / "whole").status == 0
    real = Trainer.train_step

    def stopped(self, *batch):
        if self.step == 6:  # in the second epoch, of four steps each
            self.stop = True
        return real(self, *batch)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_step", stopped)
        assert call(*words, "--output", tmp_path / "parts").status == 1
    assert call(*words, "--output", tmp_path / "parts", "--resume").status == 0
    one, other = (load_file(tmp_path / run / "last.safetensors") for run in ("whole", "parts"))
    for name, values in one.items():
        assert torch.equal(values, other[name]), name


def test_a_student_learns_from_vectors_alone(call, tmp_path, monkeypatch, no_curves):
    from mobilenets.data import shapes

    monkeypatch.setattr(shapes, "LENGTHS", {"train": 32, "val": 32, "test": 32})
    save(made(), tmp_path / "teacher.safetensors")
    words = ("train", "embedding_mobilenet_v2", "--data", "shapes", "--epochs", 1)
    words += ("--width", 0.35, "--workers", 0, "--resolution", 48, "--set", "teacher_weight=1")
    words += ("--teacher", tmp_path / "teacher.safetensors", "--output", tmp_path / "run")
    ran = call(*words, "--knob", "dimensions=16")
    assert ran.status == 0, ran.err
    assert call(*words).status == 2
    shown = tmp_path / "photos"
    shown.mkdir()
    for i in range(12):
        Shapes(60).image(i).save(shown / f"{i}.png")
    words = [word for word in words if word not in ("--data", "shapes")]
    words[words.index("--output") + 1] = tmp_path / "unlabelled"
    ran = call(*words, "--knob", "dimensions=16", "--unlabelled", shown)
    assert ran.status == 0, ran.err
    assert "val agreement" in ran.err


def test_predict_shows_some_numbers_and_json_has_all(call, tmp_path):
    save(made(), tmp_path / "m.safetensors")
    picture = tmp_path / "a.png"
    Shapes(60).image(0).save(picture)
    lines = call("predict", tmp_path / "m.safetensors", picture, "--top", 3).out.splitlines()
    assert len(lines) == 4
    (one,) = json.loads(
        call(
            "predict", tmp_path / "m.safetensors", picture, "--json", "--save-dir", tmp_path / "out"
        ).out
    )
    vector = one["predictions"]["embedding"]
    assert len(vector) == 16
    assert np.linalg.norm(vector) == pytest.approx(1)
    answer = mobilenets.open(tmp_path / "m.safetensors").predict(picture)
    np.testing.assert_allclose(answer.vector, vector, atol=1e-6)
    assert answer.draw().size[0] >= 360


def test_weights_without_a_card_are_recognised(tmp_path):
    for knobs in ({"pooling": "average"}, {"pooling": "depthwise", "kernel": 2}, {"last": False}):
        model = made(**knobs)
        torch.save(dict(model.state_dict()), tmp_path / "m.pth")
        loaded = mobilenets.load(tmp_path / "m.pth")
        assert card_of(loaded).architecture == "embedding_mobilenet_v2"
        with torch.inference_mode():
            batch = torch.from_numpy(images(2))
            torch.testing.assert_close(loaded(batch), model(batch), atol=1e-5, rtol=1e-4)


def test_vectors_that_are_not_finite_are_an_error():
    model = made()
    with torch.no_grad():
        model.projection.conv.weight.fill_(float("nan"))
    session = TorchSession(TASK.network.deploy(model), card_of(model))
    with pytest.raises(WeightsError, match="of 2 of 2 images are not finite"):
        TASK.read.decode(session(images(2)), session.card, [], top=5, threshold=0)
