import contextlib
import json
import os
import pickle
import struct
import warnings

import numpy as np
import pytest
import safetensors.torch
import torch
import torchvision
from PIL import Image

from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import build
from mobilenets.weights import identify, load


def refused(path, message):
    """Both readers refuse `path` in one line that names it."""
    for function in (load, identify):
        with pytest.raises(WeightsError, match=message) as caught:
            function(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
        assert len(str(caught.value)) < 500


@pytest.fixture(scope="module")
def state():
    return torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=2).state_dict()


def test_a_missing_file_is_named(tmp_path):
    for path in (tmp_path / "w.pth", "no_such_file.safetensors", "no/such/name"):
        with pytest.raises(FileNotFoundError, match="no such file") as caught:
            load(path)
        assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", ["pth", "safetensors", "onnx", "h5", "png"])
def test_an_empty_file(tmp_path, suffix):
    (tmp_path / f"w.{suffix}").touch()
    refused(tmp_path / f"w.{suffix}", "is empty")


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_a_truncated_file(tmp_path, state, kind, share):
    path = tmp_path / "w.pth"
    if kind == "safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind == "zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    # A pickle cut off within a name asks for what does not exist.
    refused(path, "truncated or damaged|more than tensors")


def test_a_text_file_and_an_image(tmp_path):
    (tmp_path / "w.pth").write_text("these are no weights\n")
    refused(tmp_path / "w.pth", "not weights that mobilenets reads")
    Image.new("RGB", (8, 8)).save(tmp_path / "w.png")
    refused(tmp_path / "w.png", "not weights that mobilenets reads")
    (tmp_path / "w.json").write_text('{"a": 1}')
    refused(tmp_path / "w.json", "not weights that mobilenets reads")


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_another_network(tmp_path, name, suffix):
    path = tmp_path / f"w.{suffix}"
    save = torch.save if suffix == "pth" else safetensors.torch.save_file
    save(torchvision.models.get_model(name, num_classes=2).state_dict(), path)
    refused(path, "no network on MobileNet V1 or V2|no width of mobilenet_v2")


def test_onnx_is_for_predict_and_eval(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"\x08\x08\x12\x07pytorch")
    refused(tmp_path / "m.onnx", "predict and eval take it")


class Evil:
    def __reduce__(self):
        return os.mkdir, ("evil",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path, state, monkeypatch, zipped):
    monkeypatch.chdir(tmp_path)
    torch.save(
        {"state_dict": state, "extra": Evil()}, "w.pth", _use_new_zipfile_serialization=zipped
    )
    refused(tmp_path / "w.pth", "mkdir, more than tensors and plain values")
    (tmp_path / "bare.pth").write_bytes(pickle.dumps(Evil(), protocol=2))
    refused(tmp_path / "bare.pth", "mkdir")
    assert not (tmp_path / "evil").exists()


def test_a_whole_module_is_refused(tmp_path):
    torch.save(build("mobilenet_v1", width=0.1), tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "more than tensors and plain values")


def test_torchscript_is_refused(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, but such files are around
        torch.jit.script(torch.nn.Linear(2, 2)).save(tmp_path / "w.pt")
    refused(tmp_path / "w.pt", "TorchScript")


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, {"state_dict": {"a": 1}}, 7])
def test_a_pickle_without_a_state_dict(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "holds")


def test_a_script_that_kept_its_arguments_is_read(tmp_path, state):
    import argparse

    torch.save({"state_dict": state, "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.tar")
    assert identify(tmp_path / "w.tar").architecture == "mobilenet_v2"


def test_a_safetensors_header_that_claims_the_moon(tmp_path):
    header = {
        "classifier.weight": {"dtype": "F32", "shape": [2**40, 64], "data_offsets": [0, 2**48]}
    }
    text = json.dumps(header).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    refused(tmp_path / "w.safetensors", "truncated or damaged")
    (tmp_path / "h.safetensors").write_bytes(struct.pack("<Q", 90_000_000) + b"{")
    refused(tmp_path / "h.safetensors", "truncated or damaged")


def test_a_pickle_whose_tensors_claim_more_than_the_file(tmp_path, state):
    tiny = torch.zeros(1)
    hostile = {**state, "classifier.1.weight": tiny.expand(2**30, 1280)}
    torch.save(hostile, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", "more than the file has")


def test_a_tensor_too_many_or_too_few_is_named(tmp_path, state):
    path = tmp_path / "w.pth"
    torch.save({k: v for k, v in state.items() if k != "features.3.conv.1.1.bias"}, path)
    refused(path, r"there is no tensor features\.3\.conv\.1\.1\.bias")
    torch.save({**state, "features.3.se.weight": torch.zeros(3)}, path)
    refused(path, r"features\.3\.se\.weight has no place")


def test_a_folder_without_weights(tmp_path):
    (tmp_path / "notes.txt").touch()
    refused(tmp_path, "a folder without best.safetensors")


def test_a_damaged_config_beside(tmp_path):
    from transformers import MobileNetV1Config, MobileNetV1ForImageClassification

    config = MobileNetV1Config(depth_multiplier=0.25, num_labels=2)
    MobileNetV1ForImageClassification(config).save_pretrained(tmp_path)
    for text in ("{", "[1]"):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(WeightsError, match=r"config\.json"):
            load(tmp_path)


def test_noise_never_ends_in_another_error(tmp_path, state):
    """A byte turned here and there: read, or a WeightsError; nothing else."""
    rng = np.random.default_rng(0)
    for kind in ("zip", "safetensors"):
        path = tmp_path / kind
        (torch.save if kind == "zip" else safetensors.torch.save_file)(state, path)
        whole = path.read_bytes()
        for _ in range(25):
            data = bytearray(whole)
            for place in rng.integers(0, 3000, 3):
                data[place] ^= int(rng.integers(1, 256))
            path.write_bytes(data)
            with contextlib.suppress(WeightsError):
                load(path)
