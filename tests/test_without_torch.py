"""The runtime install, as on a device: nothing that only training needs can be imported."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.shapes import Shapes
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.registry import build, networks
from mobilenets.weights.sources.own import save
from tests.quick import quick_export

ABSENT = ("torch", "torchvision", "timm", "accelerate", "matplotlib", "h5py", "tflite")
ABSENT += ("tensorboardX", "onnxscript", "filelock", "tensorflow", "keras", "transformers")
COMMANDS = ("models", "profile", "predict", "eval", "compile", "bench", "train", "export", "demo")
COMMANDS += ("data check",)

DEVICE = f"""
import json, os, sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    tried = []
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in [*{ABSENT!r}, *os.environ["WITHOUT"].split()]:
            self.tried.append(name)
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from mobilenets.cli import main

statuses = []
for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as ended:
        statuses.append(ended.code or 0)
with open(os.environ["REPORT"], "w") as file:
    json.dump({{"statuses": statuses, "tried": Absent.tried}}, file)
"""


class Ran(NamedTuple):
    statuses: list[int]
    tried: list[str]
    out: str
    err: str


@pytest.fixture
def device(tmp_path) -> Callable[..., Ran]:
    """Runs command lines one after another in a process where the libraries are absent.

    And those named in `without`.
    """

    def run(*lines: tuple[object, ...], without: str = "") -> Ran:
        report = tmp_path / "report.json"
        environment = {**os.environ, "REPORT": str(report), "WITHOUT": without, "COLUMNS": "100"}
        given = json.dumps([list(map(str, line)) for line in lines])
        command = [sys.executable, "-c", DEVICE, given]
        done = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(report.read_text())
        return Ran(found["statuses"], found["tried"], done.stdout, done.stderr)

    return run


def small_network(name: str, task: str, labels: tuple[str, ...], resize: Preprocessing):
    """A narrow network of random weights, with its card."""
    import torch

    torch.manual_seed(0)
    arguments = {"width": 0.25, "classes": len(labels)}
    model = build(name, **arguments).eval()
    model.card = ModelCard(name, arguments, task, labels, resize)
    return model


def two_answers(ran: Ran) -> tuple[Any, Any]:
    """The JSON of the first two commands."""
    decoder = json.JSONDecoder()
    first, end = decoder.raw_decode(ran.out)
    return first, decoder.raw_decode(ran.out[end:].lstrip())[0]


@pytest.fixture(scope="module")
def shipped(tmp_path_factory) -> Path:
    """A folder with what a person with torch sends to a device: a model and some photographs."""
    from mobilenets.export import export_onnx

    folder = tmp_path_factory.mktemp("shipped")
    labels = Shapes(32).classes
    model = small_network("mobilenet_v2", "classify", labels, Preprocessing((32, 32)))
    with quick_export():
        export_onnx(model, folder / "model.onnx")
    save(model, folder / "weights.safetensors")
    for index in range(8):
        shape = folder / "photos" / labels[index]
        shape.mkdir(parents=True)
        Shapes(48).image(index).save(shape / "a.png")
    return folder


def test_a_model_and_its_images(device, shipped, tmp_path):
    """Cost, prediction, pictures and accuracy."""
    model, photos = shipped / "model.onnx", shipped / "photos"
    ran = device(
        ("profile", model, "--json"),
        ("predict", model, photos, "--top", 2, "--json"),
        ("predict", model, photos / "star", "--save-dir", tmp_path / "seen"),
        ("eval", model, photos, "--json"),
        ("eval", model, "shapes", "--limit", 16),
    )
    assert ran.statuses == [0] * 5, ran.err
    assert ran.tried == []
    cost, seen = two_answers(ran)
    assert cost["madds"] > 1e5
    assert len(seen) == 8
    assert {len(one["predictions"]) for one in seen} == {2}
    assert (tmp_path / "seen" / "a.jpg").is_file()


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> Path:
    """A detector of the built-in shapes as ONNX, and two pictures."""
    from mobilenets.export import export_onnx

    folder = tmp_path_factory.mktemp("detector")
    resize = Preprocessing((64, 64), "squash")
    model = small_network("ssdlite_mobilenet_v2", "detect", ShapeObjects().classes, resize)
    with quick_export():
        export_onnx(model, folder / "model.onnx")
    (folder / "photos").mkdir()
    for index in range(2):
        ShapeObjects().image(index).save(folder / "photos" / f"{index}.png")
    return folder


def test_a_detector(device, detector, tmp_path):
    """Boxes, pictures and average precision."""
    model, photos = detector / "model.onnx", detector / "photos"
    ran = device(
        ("eval", model, "shapes", "--limit", 8, "--json"),
        ("predict", model, photos, "--threshold", 0.01, "--json", "--save-dir", tmp_path / "seen"),
        ("eval", model, "shapes", "--limit", 8),
    )
    assert ran.statuses == [0] * 3, ran.err
    assert ran.tried == []
    found, seen = two_answers(ran)
    assert found["images"] == 8
    assert 0 <= found["ap"] <= found["ap50"] < 0.5
    assert [len(one["predictions"]) > 0 for one in seen] == [True, True]
    assert {len(one["box"]) for one in seen[0]["predictions"]} == {4}
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["0.jpg", "1.jpg"]


def test_what_a_data_set_holds(device):
    ran = device(("data", "check", "shapes", "--split", "val", "--save-dir", "seen"))
    assert ran.statuses == [0], ran.err
    assert ran.tried == []
    assert "8 images drawn" in ran.out


def test_what_networks_cost(device, shipped):
    ran = device(
        ("models",),
        ("models", "--pretrained"),
        ("profile", "mobilenet_v2"),
        ("profile", "mobilenet_v1", "--width", 0.5, "--layers"),
        ("profile", "mobilenet_v2_1.0_224.google"),
        ("profile", shipped / "weights.safetensors"),
        ("info", shipped / "weights.safetensors"),
        ("info", shipped / "model.onnx"),
    )
    assert ran.statuses == [0] * 8, ran.err
    assert ran.tried == []
    assert "engine\truns it" in ran.out
    assert "mobilenet_v1_0.25_128.google" in ran.out


def test_help(device):
    ran = device(("--help",), *((*command.split(), "--help") for command in COMMANDS))
    assert ran.statuses == [0] * (1 + len(COMMANDS)), ran.err
    assert ran.tried == []
    assert ran.out.count("Usage:") == 1 + len(COMMANDS)


def test_the_public_names_are_listed_and_those_of_a_device_are_there():
    names = "ModelCard, Preprocessing, evaluate, open, open_session, profile"
    code = (
        f"import sys\nfor name in {ABSENT!r}: sys.modules[name] = None\n"
        f"import mobilenets\nfrom mobilenets import {names}\nprint(*mobilenets.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout.split()


def test_what_needs_torch_says_so_in_one_line(device, shipped):
    lines = [
        ("train", "mobilenet_v2", "--data", "shapes"),
        ("export", "mobilenet_v2", "-o", "x.onnx"),
        ("predict", shipped / "weights.safetensors", shipped / "photos"),
        ("demo",),
    ]
    ran = device(*lines)
    assert ran.statuses == [1] * len(lines)
    assert "torch" in ran.tried
    said = ran.err.strip().splitlines()
    assert len(said) == len(lines), ran.err
    for line in said:
        assert line.startswith("error: ")
        assert "torch is not installed; pip install " in line
        assert "[train]' brings it (" in line or "[train] brings it (" in line


def test_every_part_of_a_use_that_needs_no_torch_loads_without_it(tmp_path):
    """What a device imports: all parts by the registry, but those that make or train networks."""
    code = f"""
import sys
for name in {ABSENT!r}:
    sys.modules[name] = None
from mobilenets.tasks.registry import networks, tasks
parts = "architecture data read recipes measure show outputs commands check weights demo"
for task in tasks().values():
    for name in parts.split():
        if task.has(name):
            task.part(name)
print(len(networks()), "networks")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(networks())} networks" in done.stdout


def test_a_model_answers_from_python_without_torch(shipped):
    """Everything that `mobilenets.open` gives of a deployed file; the rest says what is missing."""
    code = f"""
import sys
for name in {ABSENT!r}:
    sys.modules[name] = None
import mobilenets
from mobilenets.errors import InputError
model = mobilenets.open("model.onnx", threads=1)
answer = model.predict("photos/star/a.png", top=2)
assert answer.draw().width >= 32 and len(answer.to_json()) == 2 and answer.label in model.labels
assert len(model.predict("photos")) == 8
assert model.evaluate("photos", split="all").results["images"] == 8
assert model.profile().madds > 1e5
assert model.features("photos/star/a.png", model.layers[0]).ndim == 3
print(model.info)
import pydoc
assert "open(source" in pydoc.plain(pydoc.render_doc(mobilenets))
assert "train" not in dir(mobilenets) and "open" in dir(mobilenets)
try:
    mobilenets.open("weights.safetensors")
except InputError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=shipped, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "weights.safetensors runs on torch: torch is not installed; pip" in done.stdout
