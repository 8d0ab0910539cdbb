"""From weights to a model that tells unknown images, and to one with new classes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mobilenets
from mobilenets.data.folders import open_new_classes
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.evaluation import evaluate
from mobilenets.inference import TorchSession
from mobilenets.tasks.registry import tasks
from mobilenets.training.known.new_classes import learn
from mobilenets.training.run import Plan, train
from tests.quick import quick_export
from tests.small import of_shapes

WEIGHTS = "mobilenet_v2_0.35_64.shapes"


def drawn(folder: Path, names: dict[str, int], start: int = 0) -> Path:
    """Noise of some colours, striped for long names: `names` has how many images of each."""
    for name, number in names.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(start, start + number):
            random = np.random.default_rng([i, len(name), *name.encode()])
            colour = np.random.default_rng(list(name.encode())).integers(0, 256, 3)
            pixels = random.normal(colour, 40, (64, 64, 3))
            if len(name) > 6:
                pixels[:, np.arange(64) // 8 % 2 == i % 2] = 255 - colour
            pixels = np.clip(pixels, 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def shapes(folder: Path, split: str, length: int) -> Path:
    images = Shapes(64, split, length=length)
    for i in range(length):
        place = folder / split / images.classes[images.target(i)]
        place.mkdir(parents=True, exist_ok=True)
        images.image(i).save(place / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shapes")
    shapes(folder, "train", 160)
    return shapes(folder, "val", 64)


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    """A checkpoint of a run with `unknown`, the whole way."""
    folder = tmp_path_factory.mktemp("run")
    said: list[str] = []
    plan = Plan("mobilenet_v2", WEIGHTS, unknown=True)
    changes = {"epochs": 1, "policy": "none", "batch_size": 32}
    result = train(
        plan, data, changes=changes, output=folder, workers=0, device="cpu", say=said.append
    )
    assert any(line.startswith("unknown below a likeness of ") for line in said), said
    return result.checkpoint


def test_what_is_deployed_tells_unknown_images_as_the_checkpoint_does(trained, data, tmp_path):
    strangers = drawn(tmp_path / "strangers", {"red": 12})
    model = mobilenets.open(trained)
    with quick_export():
        model.export(tmp_path / "known.onnx")
    deployed = mobilenets.open(tmp_path / "known.onnx")
    assert deployed.session.runs_on == "mobilenets"
    assert [one.name for one in deployed.card.outputs] == ["logits", "likeness"]
    answers = [one.predict(strangers) for one in (model, deployed)]
    for one, other in zip(*answers, strict=True):
        assert one.labels == other.labels
        assert one.scores == pytest.approx(other.scores, abs=1e-4)
    assert sum(one.unknown for one in answers[1]) >= 10
    for each in (model, deployed):
        found = each.evaluate(data, unknown=strangers).results
        assert found["called_unknown"] <= 0.05
        assert found["unknown_found"] >= 10 / 12
        assert found["strangers"] == 12
    plain = of_shapes(64)
    session, some = TorchSession(plain, plain.card), Shapes(64, "val", length=8)
    with pytest.raises(ValueError, match="unknown is for a model that tells"):
        evaluate(session, some, tasks()["classify"], unknown=list(strangers.glob("*/*")))


def test_probabilities_are_exported_beside_the_likeness(trained, tmp_path):
    with quick_export():
        mobilenets.open(trained).export(tmp_path / "known.onnx", softmax=True)
    model = mobilenets.open(tmp_path / "known.onnx")
    assert [one.name for one in model.card.outputs] == ["probabilities", "likeness"]
    strangers = drawn(tmp_path / "strangers", {"red": 3})
    assert {one.label for one in model.predict(strangers)} == {"unknown"}


def test_a_class_is_learned_from_five_images(trained, data, tmp_path):
    new = drawn(tmp_path / "new", {"red": 5, "striped": 5})
    said: list[str] = []
    made = learn(trained, new, output=tmp_path / "more.safetensors", say=said.append)
    before, after = mobilenets.load(trained), mobilenets.load(made.path)
    assert made.classes == ("red", "striped")
    assert after.card.labels == (*before.card.labels, "red", "striped")
    assert torch.equal(after.classifier.weight[:8], before.classifier.weight)
    assert torch.equal(after.known.centroids.weight[:8], before.known.centroids.weight)
    for name, value in before.backbone.state_dict().items():
        assert torch.equal(value, after.backbone.state_dict()[name])
    assert made.results["new_images"] == 10
    assert made.results["new"] >= 0.9
    answers = made.open().predict(drawn(tmp_path / "other", {"red": 4}, start=50))
    assert [one.label for one in answers] == ["red"] * 4
    assert after.card.trained_on.images == 160 + 10
    with pytest.raises(ValueError, match="'red' is a class already"):
        learn(made.path, new / "red", output=tmp_path / "twice.safetensors", say=None)
    assert not (tmp_path / "twice.safetensors").exists()
    with_old = learn(
        trained, new / "red", output=tmp_path / "old.safetensors", unknown=data, say=said.append
    )
    assert with_old.results["old"] >= with_old.results["old_before"] - 0.05
    assert said[-1].startswith("the old classes: ")


def test_weights_of_others_learn_too(tmp_path):
    """Without a mean of what they know, the row is taken less its own mean."""
    new = drawn(tmp_path / "new", {"train/red": 5, "val/red": 3})
    said: list[str] = []
    made = learn(WEIGHTS, new, output=tmp_path / "more.safetensors", say=said.append)
    assert "--unknown DATA measures it" in said[-2]
    assert said[-1].endswith("of 3 images of new classes are right, held out")
    assert made.results["new_images"] == 3
    assert len(mobilenets.load(made.path).card.outputs) == 1


def test_what_cannot_be_learned_is_said(trained, tmp_path):
    with pytest.raises(ValueError, match="learn needs images of new classes, or unknown"):
        learn(trained, output=tmp_path / "x.safetensors", say=None)
    with pytest.raises(ValueError, match=r"output must end in .safetensors"):
        learn(trained, tmp_path, output=tmp_path / "x.onnx", say=None)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="no image of broken can be read"):
        learn(trained, tmp_path / "broken", output=tmp_path / "x.safetensors", say=None)
    with pytest.raises(ValueError, match="unknown is to classify, ssdlite_mobilenet_v2"):
        train(Plan("ssdlite_mobilenet_v2", unknown=True), "shapes", output=tmp_path / "run")
    with pytest.raises(DataError, match="no such data folder"):
        learn(trained, tmp_path / "none", output=tmp_path / "x.safetensors", say=None)


def test_new_classes_lie_in_folders_or_are_one_folder(tmp_path):
    drawn(tmp_path / "two", {"train/red": 2, "train/blue": 1, "test/red": 3})
    new, held = open_new_classes(tmp_path / "two")
    assert (new.classes, len(new), len(held)) == (("blue", "red"), 3, 3)
    one, none = open_new_classes(tmp_path / "two" / "train" / "red")
    assert (one.classes, len(one), none) == (("red",), 2, None)
    drawn(tmp_path / "odd", {"train/red": 2, "test/green": 1})
    with pytest.raises(DataError, match="test has classes that train does not have: green"):
        open_new_classes(tmp_path / "odd")
