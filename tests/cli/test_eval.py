"""What `mobilenets eval` says of each class."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from mobilenets import inference
from mobilenets.card import ModelCard, Preprocessing
from mobilenets.cli import evaluate
from mobilenets.data.folders import open_classification
from mobilenets.data.shapes import Shapes
from mobilenets.export import export_onnx
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.detect.read import DETECTIONS
from mobilenets.tasks.registry import build, tasks
from mobilenets.training.loop import Trainer
from mobilenets.training.recipes import recipe
from mobilenets.weights import load
from tests.quick import quick_export


class AllBut:
    """A detector that finds every shape of the first validation images, but those of one class."""

    note = ""

    def __init__(self, missed: str) -> None:
        self.data = ShapeObjects("val")
        self.missed = self.data.classes.index(missed)
        self.card = ModelCard(
            "ssdlite_mobilenet_v2",
            task="detect",
            labels=self.data.classes,
            preprocessing=Preprocessing((64, 64), "squash"),
            outputs=DETECTIONS,
        )
        self.image = 0

    def __call__(self, batch: np.ndarray) -> dict[str, np.ndarray]:
        found = np.zeros((len(batch), 100, 6), np.float32)
        for rows in found:
            there = self.data.target(self.image)
            self.image += 1
            known = there.labels != self.missed
            boxes = there.boxes[known] / self.data.size
            columns = [boxes, np.full((len(boxes), 1), 0.9), there.labels[known, None]]
            rows[: len(boxes)] = np.concatenate(columns, 1)
        return {"detections": found}


@pytest.fixture
def blind(monkeypatch):
    """`eval`'s model is one that does not see hearts; twelve images."""
    monkeypatch.setattr(inference, "open_model", lambda *given, **options: AllBut("heart"))
    monkeypatch.setattr("mobilenets.evaluation.spread", lambda length, limit: list(range(12)))
    return ("eval", "x.onnx", "shapes")


def test_a_detectors_precision_of_each_class(call, blind):
    found = json.loads(call(*blind, "--json").out)
    by_class = found["by_class"]
    assert set(by_class) == set(ShapeObjects().classes)  # all are there, in twelve images
    for name, figures in by_class.items():
        expected = 0 if name == "heart" else 1
        assert (figures["ap"], figures["ap50"]) == pytest.approx((expected, expected))
    assert found["ap"] == pytest.approx(7 / 8)


def test_a_person_reads_the_best_class_first(call, blind, monkeypatch):
    lines = call(*blind).out.splitlines()
    rows = [line for line in lines if any(name in line for name in ShapeObjects().classes)]
    assert len(rows) == 8
    assert "1.0000" in rows[0]
    assert "heart" in rows[-1]
    assert "0.0000" in rows[-1]
    monkeypatch.setattr(evaluate, "MOST_CLASSES", 3)
    out = call(*blind).out
    assert "heart" not in out
    assert "and 5 classes more: --json has all" in out


def test_a_classifiers_accuracy_of_each_class(call, checkpoint, tmp_path):
    """Folders of some classes, one of them empty of readable images."""
    for name, count in {"heart": 3, "star": 2, "ring": 1}.items():
        (tmp_path / name).mkdir()
        for i in range(count):
            Image.new("RGB", (40, 40), (60 * i, 9, 90)).save(tmp_path / name / f"{i}.png")
    (tmp_path / "ring" / "0.png").write_bytes(b"nothing")
    found = json.loads(call("eval", checkpoint, tmp_path, "--split", "all", "--json").out)
    by_class = found["by_class"]
    assert {name: one["images"] for name, one in by_class.items()} == {"heart": 3, "star": 2}
    right = sum(one["top1"] * one["images"] for one in by_class.values())
    assert right / 5 == pytest.approx(found["top1"])
    ran = call("eval", checkpoint, tmp_path)  # what training would hold out
    assert "star" in ran.out
    assert "measured on 2 of 2 images: held out of 6 by their names" in ran.err


def test_a_classifier_on_the_test_part(call, checkpoint, tmp_path):
    for i, part in enumerate(("train", "val", "test")):
        for name in ("heart", "star"):
            for k in range(i + 1):
                path = tmp_path / part / name / f"{k}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (40, 40), (60 * k, 9, 90)).save(path)
    assert json.loads(call("eval", checkpoint, tmp_path, "--json").out)["images"] == 4
    ran = call("eval", checkpoint, tmp_path, "--split", "test", "--json")
    assert json.loads(ran.out)["images"] == 6
    ran = call("eval", checkpoint, "shapes", "--split", "test", "--limit", "8", "--json")
    assert json.loads(ran.out)["images"] == 8


def test_images_that_a_checkpoint_was_trained_on_are_counted(call, checkpoint, tmp_path):
    """By what they hold: `train` leaves that in the card, and an export takes it along."""
    folder = tmp_path / "photos"
    shapes = Shapes(32, length=40)
    for i in range(40):
        (folder / shapes.classes[i % 8]).mkdir(parents=True, exist_ok=True)
        shapes.image(i).save(folder / shapes.classes[i % 8] / f"{i}.png")
    train, val = (open_classification(folder, split) for split in ("train", "val"))
    arguments = {"width": 0.25, "classes": 8}
    size = Preprocessing((32, 32))
    card = ModelCard("mobilenet_v1", arguments, labels=train.classes, preprocessing=size)
    run = Trainer(
        build("mobilenet_v1", **arguments),
        tasks()["classify"],
        (train, val),
        recipe("modern", epochs=1, batch_size=32),
        tmp_path,
        card=card,
        workers=0,
    )
    run.save_weights("best.safetensors", {})
    path = tmp_path / "best.safetensors"
    ran = call("eval", path, folder, "--json")
    assert "measured on 8 of 8 images: held out of 40 by their names" in ran.err
    assert "trained on" not in ran.err
    assert json.loads(ran.out)["trained_on"] == {"images": 0, "exact": True}
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(folder, elsewhere)
    for file in list(elsewhere.glob("*/*.png")):
        file.rename(file.with_name(f"IMG_{file.name}"))
    with quick_export():
        export_onnx(load(path), tmp_path / "model.onnx")
    for weights in (path, tmp_path / "model.onnx"):
        ran = call("eval", weights, elsewhere, "--split", "all", "--json")
        assert "note: 32 of 40 images measured here were trained on" in ran.err
        assert json.loads(ran.out)["trained_on"] == {"images": 32, "exact": True}
    assert "trained_on" not in json.loads(call("eval", checkpoint, folder, "--json").out)
