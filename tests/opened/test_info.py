"""`mobilenets info`: what a file is, held to what other libraries say of the same file."""

import json

import numpy as np
import onnx
import pytest
import torch
import torchvision
from onnx import TensorProto, helper, numpy_helper
from safetensors import safe_open

import mobilenets
from mobilenets.about.describe import describe
from mobilenets.card import ModelCard, Preprocessing, TrainedOn
from mobilenets.data.shapes import Shapes
from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import build, networks
from mobilenets.training.runs.arguments import RunArguments, keep_arguments
from mobilenets.weights.sources.own import save


def test_an_onnx_file_and_its_checkpoint_say_the_same(files, call):
    ran = call("info", files.onnx, "--json")
    assert (ran.status, ran.err) == (0, "")
    found = json.loads(ran.out)
    stored = json.loads(call("info", files.checkpoint, "--json").out)
    for one in (found, stored):
        assert one["labels"] == list(Shapes(48).classes)
        assert (one["architecture"], one["task"], one["resolution"]) == (
            *("mobilenet_v2", "classify"),
            [48, 48],
        )
        assert one["preprocessing"]["resize"] == "squash"
        assert one["outputs"][0]["meaning"] == "logits"
    assert found["madds"] == stored["madds"]
    weights = onnx.load(files.onnx).graph.initializer
    assert found["parameters"] == sum(
        int(np.prod(one.dims)) for one in weights if one.dims and one.data_type == TensorProto.FLOAT
    )
    with safe_open(files.checkpoint, framework="np") as file:
        sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    assert stored["parameters"] == sum(
        int(np.prod(shape)) for name, shape in sizes.items() if "running" not in name
    )
    assert found["size"] == files.onnx.stat().st_size
    assert stored["size"] == files.checkpoint.stat().st_size
    assert (found["engine"], found["kind"], stored["engine"]) == (True, "ONNX", None)
    assert found["writer"] == "mobilenets, opset 18"


def test_an_open_model_says_what_the_command_says(files):
    said = describe(files.onnx)
    opened = mobilenets.open(files.onnx).info
    assert (opened.labels, opened.parameters, opened.engine) == (
        *(said.labels, said.parameters),
        True,
    )
    narrow = mobilenets.open("mobilenet_v2", width=0.25, classes=5).info
    module = build("mobilenet_v2", width=0.25, classes=5)
    assert narrow.parameters == sum(p.numel() for p in module.parameters())
    assert mobilenets.open(files.module).info.file == ""


def graph_of(path, nodes, shape, outputs=(("y", ("n", 4)),), inputs=1, weights=()):
    values = [
        helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, shape) for i in range(inputs)
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs]
    graph = helper.make_graph(nodes, "g", values, ends, list(weights))
    who = {"producer_name": "somebody", "producer_version": "2"}
    onnx.save(
        helper.make_model(graph, **who, opset_imports=[helper.make_opsetid("", 18)], ir_version=9),
        path,
    )
    return path


def test_the_operator_that_stops_the_engine_is_named(tmp_path, call):
    weight = numpy_helper.from_array(np.ones((4, 3, 8, 8), np.float32), "w")
    nodes = [
        helper.make_node("Conv", ["x0", "w"], ["a"]),
        helper.make_node("Flatten", ["a"], ["b"]),
        helper.make_node("Erf", ["b"], ["y"]),
    ]
    path = graph_of(tmp_path / "a.onnx", nodes, ("n", 3, 8, 8), weights=[weight])
    found = describe(path)
    assert found.engine is False
    assert "operator Erf is not supported" in found.reason
    assert "supported are" not in found.reason
    assert (found.parameters, found.madds) == (4 * 3 * 64, 4 * 3 * 64)
    assert (found.task, found.resolution) == ("classify", (8, 8))
    assert found.writer.startswith("somebody 2, opset")
    ran = call("info", path)
    assert (ran.status, ran.err) == (0, "")
    rows = dict(line.split("\t") for line in ran.out.splitlines())
    assert rows["engine"].startswith("does not run it: node")


@pytest.mark.parametrize(
    ("nodes", "options", "note"),
    [
        (
            [helper.make_node("Add", ["x0", "x1"], ["y"])],
            {"shape": ("n", 4), "inputs": 2},
            "needs one input",
        ),
        (
            [helper.make_node("Relu", ["x0"], ["y"])],
            {"shape": ("n", 3, 8, 8), "outputs": [("y", ("n", 3, 8, 8))]},
            "is no classifier's scores",
        ),
    ],
)
def test_a_graph_that_is_for_nothing_we_know_is_described_as_far_as_it_goes(
    tmp_path, call, nodes, options, note
):
    path = graph_of(tmp_path / "a.onnx", nodes, **options)
    found = json.loads(call("info", path, "--json").out)
    assert (found["task"], found["architecture"], found["labels"]) == ("", "", [])
    assert found["outputs"][0]["name"] == "y"
    assert any(note in one for one in found["notes"])
    runs = "so no command runs it" not in found["notes"]
    assert runs == (options.get("inputs", 1) == 1)


def test_weights_that_an_onnx_file_keeps_beside_it_count(tmp_path):
    weight = numpy_helper.from_array(np.ones((4, 3, 8, 8), np.float32), "w")
    nodes = [helper.make_node("Conv", ["x0", "w"], ["a"]), helper.make_node("Flatten", ["a"], "y")]
    path = graph_of(tmp_path / "a.onnx", nodes, ("n", 3, 8, 8), weights=[weight])
    model = onnx.load(path)
    onnx.save(model, path, save_as_external_data=True, location="w.bin", size_threshold=0)
    assert describe(path).size == path.stat().st_size + (tmp_path / "w.bin").stat().st_size
    (tmp_path / "w.bin").unlink()
    assert any("w.bin, which is not there" in one for one in describe(path).notes)


def test_what_torch_save_wrote(tmp_path, call):
    model = torchvision.models.mobilenet_v2(width_mult=0.35, num_classes=7)
    torch.save({"state_dict": model.state_dict()}, tmp_path / "a.pth")
    found = json.loads(call("info", tmp_path / "a.pth", "--json").out)
    assert (found["architecture"], found["kind"]) == ("mobilenet_v2", "what torch.save writes")
    assert found["parameters"] == sum(p.numel() for p in model.parameters())
    assert "torchvision" in found["origin"]


@pytest.mark.assets
def test_a_detector_of_tflite(assets, call):
    path = assets / "weights" / "ssd_mobilenet_v1_coco_quant.tflite"
    found = json.loads(call("info", path, "--json").out)
    assert (found["kind"], found["task"], len(found["labels"])) == ("TFLite", "detect", 90)
    assert [one["meaning"] for one in found["outputs"]] == ["boxes"]
    assert found["size"] == path.stat().st_size
    assert f"mobilenets export {path}" in found["reason"]


def test_the_folder_of_a_run(tmp_path, call):
    labels = ("cat", "dog")
    model = build("mobilenet_v2", width=0.25, classes=2)
    known = TrainedOn.of(30, range(5, 35))
    model.card = ModelCard(
        "mobilenet_v2",
        {"width": 0.25, "classes": 2},
        labels=labels,
        preprocessing=Preprocessing((32, 32)),
        results={"top1": 0.75},
        trained_on=known,
    )
    keep_arguments(tmp_path, RunArguments("mobilenet_v2", "shapes", recipe="modern"))
    ran = call("info", tmp_path)
    assert ran.status == 1
    assert "a training run that has kept no checkpoint yet" in ran.err
    save(model, tmp_path / "best.safetensors")
    found = json.loads(call("info", tmp_path, "--json").out)
    assert found["file"] == str(tmp_path / "best.safetensors")
    assert found["run"] == {"model": "mobilenet_v2", "data": "shapes", "recipe": "modern"}
    assert found["results"] == {"top1": 0.75}
    assert (found["trained_on"]["images"], found["trained_on"]["keys"]) == (30, 30)
    model.card = model.card.replace(trained_on=TrainedOn.of(30, range(6, 36)))
    save(model, tmp_path / "other.safetensors")
    other = describe(tmp_path / "other.safetensors")
    assert other.trained_on["digest"] != found["trained_on"]["digest"]
    assert "trained on\t30 images, digest" in call("info", tmp_path).out


def test_names_need_no_file_and_no_network(monkeypatch, tmp_path, call):
    monkeypatch.setenv("MOBILENETS_CACHE", str(tmp_path))
    found = describe("mobilenet_v2_1.0_224.google")
    assert (found.file, found.results, found.resolution) == ("", {"top1": 0.718}, (224, 224))
    assert "not fetched yet" in found.kind
    assert not list(tmp_path.iterdir())
    for name in networks():
        found = describe(name)
        assert (found.parameters > 0, found.engine) == (True, None)
    assert describe("mobilenet_v2_0.35_64.shapes").size > 100_000  # part of the package
    ran = call("info", "mobilenetv2")
    assert ran.status == 2
    assert "did you mean 'mobilenet_v2'?" in ran.err
    assert call("info", tmp_path / "not.onnx").status == 1


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.bin", b"\xff\xd8\xff\xe0" + bytes(60), "an image (JPEG)"),
        ("a.onnx.bin", b"\x08\x08\x12\x07pytorch" + bytes(60), "whose name does not end in .onnx"),
        ("a.pte", b"\x1c\0\0\0ET12" + bytes(60), "an ExecuTorch program"),
        ("a.mlmodel", bytes(range(3, 80)), "a Core ML model"),
        ("a.safetensors", b"<!DOCTYPE html><html>" + bytes(60), "a web page"),
        ("a.tar.gz", b"\x1f\x8b" + bytes(80), "an archive"),
        ("labels", b"cat\ndog\n" * 20, "seems to be text"),
        ("a.pth", b"", "is empty"),
        ("a.onnx", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("b.onnx", b"\xff\xd8\xff\xe0" + bytes(60), "it seems to be an image (JPEG)"),
        ("c.onnx", b"\x1c\0\0\0TFL3" + bytes(60), "it seems to be a TFLite file"),
        ("d.onnx", b"\x08\x08\x12\x07pytorch" + bytes(60), "not an ONNX file"),
    ],
)
def test_what_is_no_model_of_ours_is_named_in_a_line(tmp_path, call, name, content, what):
    path = tmp_path / name
    path.write_bytes(content)
    ran = call("info", path)
    assert (ran.status, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert what in ran.err


def test_folders_that_hold_no_model_are_named(tmp_path):
    (tmp_path / "photos" / "cat").mkdir(parents=True)
    Shapes(32).image(0).save(tmp_path / "photos" / "cat" / "0.png")
    with pytest.raises(WeightsError, match="a folder of images"):
        describe(tmp_path / "photos")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"\x08\x01")
    with pytest.raises(WeightsError, match="a TensorFlow SavedModel"):
        describe(tmp_path / "saved")
