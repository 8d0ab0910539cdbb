import errno
import hashlib
import os
import stat
import subprocess
import sys

import pytest
import safetensors.numpy
import torch

from mobilenets.card import ModelCard, Preprocessing, set_card
from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import build
from mobilenets.weights import identify, load
from mobilenets.weights.sources.own import read_card, save

from .peers import randomise

CARDS = [
    ModelCard(
        "mobilenet_v1", {"width": 0.25, "classes": 3, "shallow": True}, "classify", ("a", "b", "é")
    ),
    ModelCard("mobilenet_v1", {"width": 0.1, "classes": 2, "separable": False}, "classify"),
    ModelCard(
        "mobilenet_v2",
        {
            "width": 0.35,
            "classes": 5,
            "padding": "symmetric",
            "norm_eps": 1e-5,
            "output_stride": 16,
            "early_strides": [1, 2],
            "linear_bottleneck": False,
            "shortcut": "expansion",
            "expansion": 3,
            "finegrained": False,
        },
        task="classify",
        preprocessing=Preprocessing(size=(96, 64), order="BGR", resize="squash"),
        results={"top1": 0.5},
        recipe={"name": "modern", "epochs": 3},
    ),
    ModelCard(
        "ssdlite_mobilenet_v2",
        {"width": 0.35, "classes": 2, "scores": "softmax", "norm_eps": 1e-5},
        task="detect",
        labels=("ant", "bee"),
        preprocessing=Preprocessing(size=(96, 64), resize="squash"),
        results={"ap": 0.25},
    ),
    ModelCard("ssd_mobilenet_v1", {"width": 0.1, "classes": 3, "head_kernel": 3}, task="detect"),
    ModelCard(
        "deeplabv3_mobilenet_v2",
        {"width": 0.5, "divisor": 1, "classes": 2, "aspp": True, "output_stride": 8},
        task="segment",
        labels=("background", "road"),
        preprocessing=Preprocessing(size=(97, 65), resize="pad"),
        results={"miou": 0.5},
    ),
    ModelCard("deeplabv3_mobilenet_v1", {"width": 0.1, "classes": 3}, task="segment"),
]


def network(card, seed=0):
    model = randomise(build(card.architecture, **card.arguments), seed)
    model.card = card
    return model


@pytest.mark.parametrize("card", CARDS, ids=range(len(CARDS)))
def test_a_network_comes_back_as_it_was(tmp_path, card):
    path = tmp_path / "model.safetensors"
    model = network(card)
    save(model, path)
    found = load(path)
    x = torch.randn(1, 3, 97, 65)
    with torch.inference_mode():
        assert torch.equal(found(x), model(x))
    assert found.card == read_card(path) == identify(path) == card
    assert not found.training
    assert all(p.requires_grad for p in found.parameters())


def test_a_loaded_network_can_be_trained(tmp_path):
    save(network(CARDS[0]), tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors").train()
    before = model.classifier.weight.detach().clone()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    model(torch.randn(2, 3, 32, 32)).square().sum().backward()
    optimizer.step()
    assert not torch.equal(before, model.classifier.weight)
    assert model.backbone.stem.norm.num_batches_tracked == 1


@pytest.mark.every
def test_equal_networks_give_equal_bytes_in_every_process(tmp_path):
    path = tmp_path / "m.safetensors"
    save(network(CARDS[0]), path)
    again = tmp_path / "again.safetensors"
    code = "import sys; from mobilenets import load, save;save(load(sys.argv[1]), sys.argv[2])"
    subprocess.run([sys.executable, "-c", code, path, again], check=True)
    digests = {hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, again)}
    assert len(digests) == 1


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    save(network(CARDS[0]), path)
    old = path.read_bytes()

    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(network(CARDS[0], seed=1), path)
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_saved_file_is_readable_as_the_umask_says(tmp_path):
    save(network(CARDS[0]), tmp_path / "m.safetensors")
    (tmp_path / "plain").touch()
    modes = {stat.S_IMODE(p.stat().st_mode) for p in tmp_path.iterdir()}
    assert len(modes) == 1


def test_a_network_without_a_card_cannot_be_saved(tmp_path):
    with pytest.raises(ValueError, match="model must have a card"):
        save(build("mobilenet_v1", width=0.25), tmp_path / "m.safetensors")


def rewrite(path, **changes):
    """The same weights under another header."""
    tensors = safetensors.numpy.load_file(path)
    card = read_card(path).replace(**changes)
    safetensors.numpy.save_file(tensors, path, {"mobilenets": card.to_json()})


@pytest.mark.parametrize(
    "changes",
    [
        {"arguments": {"width": 16, "classes": 10**9}},
        {"arguments": {"width": 1e300}},
        {"arguments": {"width": "wide"}},
        {"architecture": "resnet50"},
        {"architecture": "ssd300_vgg16"},
        {"architecture": "ssdlite_mobilenet_v1"},
        {"architecture": "deeplabv3_mobilenet_v1"},
        {"arguments": {"width": 0.25, "classes": 4, "shallow": True}},
    ],
)
def test_a_header_that_does_not_fit_the_weights_is_refused(tmp_path, changes):
    path = tmp_path / "m.safetensors"
    save(network(CARDS[0]), path)
    rewrite(path, **changes)
    with pytest.raises(WeightsError, match="its weights do not fit its header") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_a_damaged_card_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file({}, path, {"mobilenets": "{"})
    with pytest.raises(WeightsError, match="metadata is damaged"):
        identify(path)


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        (
            {"architecture": "mobilenet_v2"},
            "expected mobilenet_v2 of width 0.25, but the file is a mobilenet_v1",
        ),
        (
            {"width": 1.0},
            "expected mobilenet_v1 of width 1, but the file is a mobilenet_v1 of width 0.25",
        ),
    ],
)
def test_another_network_than_expected_is_refused(tmp_path, expected, message):
    save(network(CARDS[0]), tmp_path / "m.safetensors")
    with pytest.raises(WeightsError, match=message):
        load(tmp_path / "m.safetensors", **expected)
    assert load(tmp_path / "m.safetensors", architecture="mobilenet_v1", width=0.25)


def test_the_backbone_may_be_expected_of_any_task(tmp_path):
    path = tmp_path / "m.safetensors"
    for card in (CARDS[2], CARDS[3], CARDS[5]):
        save(network(card), path)
        assert load(path, backbone="mobilenet_v2").card.architecture == card.architecture
        with pytest.raises(WeightsError, match="expected a network on mobilenet_v1, but the file"):
            load(path, backbone="mobilenet_v1")


def test_arguments_that_no_network_has_are_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    save(network(CARDS[4]), path)
    rewrite(path, arguments={**CARDS[4].arguments, "scores": "relu"})
    with pytest.raises(WeightsError, match="scores must be 'sigmoid' or 'softmax'"):
        load(path)


def test_identify_needs_no_torch(tmp_path):
    save(network(CARDS[0]), tmp_path / "m.safetensors")
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from mobilenets.weights import identify; print(identify(sys.argv[1]).arguments['width'])"
    )
    command = [sys.executable, "-c", code, tmp_path / "m.safetensors"]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stdout == "0.25\n"


def test_a_card_without_a_task_gets_that_of_its_architecture(tmp_path):
    arguments = {"width": 0.25, "classes": 2}
    model = build("ssdlite_mobilenet_v2", **arguments)
    card = ModelCard("ssdlite_mobilenet_v2", arguments, labels=("a", "b"))
    set_card(model, card)
    save(model, tmp_path / "x.safetensors")
    assert read_card(tmp_path / "x.safetensors") == card.replace(task="detect")
