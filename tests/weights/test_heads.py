"""Heads by `load`, and those that a torch user puts in: kept, or a line says why not."""

import copy
import logging

import pytest
import torch
from torch import nn

import mobilenets
from mobilenets.models.modules.norms import FoldedNorm
from mobilenets.tasks.registry import build
from mobilenets.weights.sources.own import save

from ..quick import quick_export
from ..training.test_norms import folded
from .peers import randomise
from .test_own import CARDS, network

SMALL = mobilenets.ModelCard(
    "mobilenet_v2",
    {"width": 0.25, "classes": 4},
    "classify",
    ("a", "b", "c", "d"),
    mobilenets.Preprocessing((64, 64)),
)
X = torch.randn(2, 3, 64, 64)


@pytest.fixture
def small():
    return network(SMALL)


def linear(model, bias=True):
    return nn.Linear(model.classifier.in_features, 3, bias=bias)


HEADS = {
    "Linear": linear,
    "without bias": lambda model: linear(model, bias=False),
    "Sequential": lambda model: nn.Sequential(nn.Dropout(0.2), linear(model)),
    "two": lambda model: nn.Sequential(
        nn.Linear(model.classifier.in_features, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 3)
    ),
}


@pytest.mark.parametrize("head", HEADS)
def test_a_head_put_in_by_hand_is_saved_loads_and_exports(head, small, tmp_path, caplog):
    small.classifier = HEADS[head](small)
    small.eval()
    with torch.no_grad():
        expected = small(X)
    save(small, tmp_path / "a.safetensors", labels=["x", "y", "z"])
    torch.save(small.state_dict(), tmp_path / "a.pth")
    torch.save({"model": nn.DataParallel(small).state_dict()}, tmp_path / "b.pth")
    names = {"a.safetensors": ("x", "y", "z")}
    for name in ("a.safetensors", "a.pth", "b.pth"):
        found = mobilenets.load(tmp_path / name)
        assert found.card.labels == names.get(name, ("class 0", "class 1", "class 2"))
        assert found.card.arguments["classes"] == 3
        with torch.no_grad():
            torch.testing.assert_close(found(X), expected)
    if head != "Sequential":  # an export takes seconds
        return
    with quick_export():
        mobilenets.export_onnx(small, tmp_path / "a.onnx")
    session = mobilenets.open_session(tmp_path / "a.onnx", runtime="onnxruntime")
    assert session.card.labels == ("class 0", "class 1", "class 2")
    logits = torch.from_numpy(session(X.numpy())["logits"])
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)  # norms folded
    assert "class 0 to class 2" in caplog.text


def test_a_head_of_the_same_size_loses_the_names_of_the_old_one(small, tmp_path):
    small.classifier = nn.Sequential(nn.Dropout(), small.classifier)
    assert small.card.labels == SMALL.labels, "the old one is in it"
    small.classifier = nn.Linear(small.classifier[1].in_features, 4)
    save(small, tmp_path / "a.safetensors")
    assert mobilenets.identify(tmp_path / "a.safetensors").labels == tuple(
        f"class {i}" for i in range(4)
    )


def no_op(model):
    model.backbone.stem.act = nn.Hardswish()


def other_epsilon(model):
    model.backbone.last.norm.eps = 0.5


def tanh(model):
    features = model.classifier.in_features
    model.classifier = nn.Sequential(nn.Linear(features, 4), nn.Tanh(), nn.Linear(4, 3))


def nothing(model):
    model.classifier = nn.Identity()


def shortcut(model):
    model.backbone.blocks[2].shortcut = False


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (no_op, r"stem\.act is Hardswish\(\), not ReLU6\(\)"),
        (other_epsilon, r"last\.norm is a norm of epsilon 0\.5, not a norm of epsilon 0\.001"),
        (tanh, "head is Linear, then Tanh, then Linear; of other heads Linear or"),
        (nothing, "head is nothing"),
        (shortcut, r"blocks\.2 is .*shortcut=False\), not .*shortcut=True"),
    ],
)
def test_what_our_constructor_cannot_build_is_refused_in_one_line(change, why, small, tmp_path):
    change(small)
    with pytest.raises(ValueError, match=f"not the mobilenet_v2 of its card: .*{why}") as error:
        save(small, tmp_path / "a.safetensors")
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
    torch.save(small.state_dict(), tmp_path / "a.pth")
    with pytest.raises(mobilenets.errors.WeightsError, match=why):
        mobilenets.load(tmp_path / "a.pth")


def test_tensors_of_ours_without_a_card_are_read_with_our_defaults(small, tmp_path):
    state = dict(small.state_dict())  # the metadata is lost
    torch.save(state, tmp_path / "a.pth")
    said = []
    found = mobilenets.load(tmp_path / "a.pth", say=said.append)
    with torch.no_grad():
        torch.testing.assert_close(found(X), small.eval()(X))
    assert found.card.labels == ()
    assert any("without a card" in line for line in said)


@pytest.mark.parametrize("card", [CARDS[2], CARDS[3], CARDS[5]], ids=lambda c: c.architecture)
def test_load_gives_a_new_head_of_any_size(card, tmp_path):
    model = network(card)
    save(model, tmp_path / "a.safetensors")
    found = mobilenets.load(tmp_path / "a.safetensors", classes=7, say=lambda line: None)
    assert found.card.labels == tuple(f"class {i}" for i in range(7))
    theirs, ours = model.state_dict(), found.state_dict()
    peer = build(card.architecture, **{**card.arguments, "classes": 7}).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in peer.items()}
    for name, value in ours.items():
        if name.startswith("backbone."):
            assert torch.equal(value, theirs[name])
    save(found, tmp_path / "b.safetensors")
    assert mobilenets.identify(tmp_path / "b.safetensors") == found.card


def test_load_with_labels_keeps_the_head_that_has_them_and_takes_knobs(small, tmp_path):
    save(small, tmp_path / "a.safetensors")
    same = mobilenets.load(tmp_path / "a.safetensors", labels=SMALL.labels, dropout=0.7)
    assert torch.equal(same.classifier.weight, small.classifier.weight)
    assert same.dropout.p == same.card.arguments["dropout"] == 0.7
    other = mobilenets.load(tmp_path / "a.safetensors", classes=4, say=lambda line: None)
    assert not torch.equal(other.classifier.weight, small.classifier.weight)
    boxes = mobilenets.load(
        tmp_path / "a.safetensors", labels=["x"], architecture="ssdlite_mobilenet_v2"
    )
    assert boxes(X).shape[2] == 4 + 1 + 1


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"clases": 3}, "did you mean 'classes'"),
        ({"classes": 0}, "classes must be a positive integer, got 0"),
        ({"classes": ["a"]}, "labels takes names"),
        ({"labels": "ab"}, "labels must be a list of one or more texts"),
        ({"labels": ["a", "a"]}, "got 'a' twice"),
        ({"classes": 3, "labels": ["a"]}, "the number of labels, 1, got 3"),
        ({"padding": "symmetric"}, "padding must be 'same' as in "),
        ({"classes": 2, "hidden": 4}, "hidden must be 0 as in "),
        ({"classes": 2, "architecture": "ssd_mobilnet_v2"}, "did you mean 'ssd_mobilenet_v2'"),
    ],
)
def test_what_load_cannot_do_is_said(given, why, small, tmp_path):
    save(small, tmp_path / "a.safetensors")
    with pytest.raises(ValueError, match=why):
        mobilenets.load(tmp_path / "a.safetensors", **given)


def test_folded_norms_learn_their_statistics_in_training(tmp_path, caplog):
    model = folded(dropout=0.0)
    model.card = mobilenets.ModelCard("mobilenet_v2", {"width": 0.25, "classes": 5})
    save(model, tmp_path / "a.safetensors")
    with caplog.at_level(logging.WARNING):
        found = mobilenets.load(tmp_path / "a.safetensors", dropout=0.0)
    assert "folded into these weights" in caplog.text
    torch.manual_seed(1)
    images = torch.randn(64, 3, 64, 64)
    with torch.no_grad():
        expected = model(images)
    scale = expected.abs().max()
    # What it computes in training is what it was, before and after it has its statistics.
    early = found.train()(images[:32])
    assert (early - expected[:32]).abs().max() <= 1e-4 * scale
    assert isinstance(found.backbone.stem.norm, FoldedNorm)
    early.sum().backward()
    found(images[32:])
    assert type(found.backbone.stem.norm) is nn.BatchNorm2d
    assert not any(isinstance(module, FoldedNorm) for module in found.modules())
    with torch.no_grad():
        assert (found.eval()(images) - expected).abs().max() <= 1e-2 * scale
    # Weights that have their statistics bring an ordinary norm.
    other = mobilenets.load(tmp_path / "a.safetensors")
    other.load_state_dict(found.state_dict())
    assert not any(isinstance(module, FoldedNorm) for module in other.modules())
    copied = copy.deepcopy(mobilenets.load(tmp_path / "a.safetensors"))
    assert isinstance(copied.backbone.stem.norm, FoldedNorm)


def test_an_ordinary_network_has_no_folded_norms(tmp_path, caplog):
    model = randomise(build("mobilenet_v2", width=0.25, classes=4), 0)
    model.card = SMALL
    save(model, tmp_path / "a.safetensors")
    found = mobilenets.load(tmp_path / "a.safetensors")
    assert not any(isinstance(module, FoldedNorm) for module in found.modules())
    assert not caplog.text
