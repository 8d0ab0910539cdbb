"""A use that another package adds goes through every command, and nothing in src knows of it."""

import csv
import importlib
import json

import numpy as np
import pytest
from PIL import Image

import mobilenets
from mobilenets.tasks.registry import networks, task_for, tasks
from tests.interrupted import stopped_before
from tests.models.common import assert_is_its_list
from tests.quick import quick_export

NAME = "gauge_mobilenet_v1"


@pytest.fixture
def gauge(tmp_path, monkeypatch):
    """The use, installed as its package would be: by an entry point."""
    info = tmp_path / "site" / "gauge-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: gauge\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[mobilenets.tasks]\ngauge = tests.stub_use\n")
    monkeypatch.syspath_prepend(str(info.parent))
    importlib.invalidate_caches()
    forget()
    yield tasks()["gauge"]
    monkeypatch.undo()
    forget()


def forget() -> None:
    for known in (tasks, networks):
        known.cache_clear()


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, level in enumerate(np.linspace(0, 1, 16)):
        grey = Image.new("RGB", (40, 40), (round(255 * level),) * 3)
        grey.save(folder / f"{level:.3f}-{i}.png")
    return folder


def test_it_is_profiled_and_its_module_is_its_list(gauge, call):
    assert task_for(NAME) is gauge
    cost = mobilenets.profile(NAME, width=0.25)
    assert cost.layers[-1].kind == "fc"
    assert NAME in call("models").out
    assert_is_its_list(networks()[NAME][1], {"width": 0.25}, (64, 64))


def test_through_train_resume_eval_export_and_predict(gauge, call, pictures, tmp_path):
    run = tmp_path / "run"
    words = ("train", NAME, "--data", pictures, "--output", run, "--resolution", 64, "--epochs", 4)
    words += ("--width", 0.25, "--set", "scale=2", "--workers", 0, "--json")
    with stopped_before(2):
        ran = call(*words)
    assert ran.status == 1
    assert "classes" not in ran.err
    other = call(*words, "--resume", "--set", "scale=3")
    assert other.status == 2
    assert "scale" in other.err
    ran = call(*words, "--resume")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    rows = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == list("1234")
    assert "val_loss" not in rows[0]
    assert found["error"] == pytest.approx(min(float(row["error"]) for row in rows))
    assert (run / "errors.png").exists()

    checkpoint = run / "best.safetensors"
    measured = json.loads(call("eval", checkpoint, pictures, "--split", "val", "--json").out)
    assert measured["error"] == pytest.approx(found["error"], abs=1e-5)
    assert measured["by_class"] == {}
    with quick_export():
        exported = call("export", checkpoint, "-o", tmp_path / "gauge.onnx", "--json")
    assert exported.status == 0, exported.err
    session = mobilenets.open_session(tmp_path / "gauge.onnx")
    assert [one.name for one in session.card.outputs] == ["level", "raw"]
    assert session.card.kept["unit"] == "of white"
    assert session.card.kept["worst"] >= found["error"]
    outputs = session(np.zeros((2, 3, 64, 64), np.float32))
    assert {name: values.shape for name, values in outputs.items()} == {
        "level": (2, 1),
        "raw": (2, 1),
    }
    from_file = json.loads(
        call("eval", tmp_path / "gauge.onnx", pictures, "--split", "val", "--json").out
    )
    assert from_file["error"] == pytest.approx(found["error"], abs=1e-3)
    (seen,) = json.loads(
        call("predict", tmp_path / "gauge.onnx", pictures / "0.000-0.png", "--json").out
    )
    assert 0 <= seen["predictions"]["level"] <= 1


def test_what_it_has_not_is_named(gauge, call, pictures, tmp_path):
    ran = call("train", NAME, "--data", pictures, "--set", "mixup=0.1")
    assert (ran.status, ran.err.strip()[:46]) == (
        2,
        "error: mixup is a setting to classify, the rec",
    )
    ran = call("train", NAME, "--data", pictures, "--teacher", "x")
    assert "teacher is to classify" in ran.err
