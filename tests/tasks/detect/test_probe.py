"""How a detector's new heads start."""

import copy

import pytest
import torch

import mobilenets
from mobilenets.card import Preprocessing, card_of, set_card
from mobilenets.evaluation import evaluate
from mobilenets.inference import TorchSession
from mobilenets.tasks.detect import probe
from mobilenets.tasks.detect.architecture.geometry import MATCH_IOU, card_anchors
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.learn.transforms import match
from mobilenets.tasks.registry import tasks
from mobilenets.training.probe import features, fit_head
from tests.tasks.detect.test_training import Few

TASK = tasks()["detect"]


DATA = Few(size=96)


@pytest.fixture(scope="module")
def new():
    """For the shapes, on the backbone that is in the package."""
    torch.manual_seed(0)
    loaded = mobilenets.load("mobilenet_v2_0.35_64.shapes")
    name = "ssdlite_mobilenet_v2"
    model, _ = TASK.network.adapt(name, loaded, DATA.classes, {"scores": "softmax"})
    set_card(model, card_of(model).replace(preprocessing=Preprocessing((96, 96), "squash")))
    return model.eval()


@pytest.fixture
def model(new):
    """One of one's own."""
    return copy.deepcopy(new)


def test_rows_are_the_maps_and_what_each_anchor_is_to_find(model):
    *maps, targets = features(model, model.card, TASK, DATA, [0, 1, 2], cpu=True)
    anchors = torch.from_numpy(card_anchors(model.card))
    assert [tuple(part.shape) for part in maps] == [(6, 192, 6, 6), (6, 1280, 3, 3)]
    assert targets.shape == (6, len(anchors), 5)
    for row, mirrored in ((2, False), (5, True)):
        objects = DATA.target(2)
        boxes = torch.from_numpy(objects.boxes) / 96
        if mirrored:
            boxes = torch.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)
        expected = match(boxes, torch.from_numpy(objects.labels), anchors, MATCH_IOU)
        torch.testing.assert_close(targets[row], expected)


def test_new_heads_learn_and_the_backbone_does_not(model, monkeypatch):
    monkeypatch.setattr(probe, "STEPS", 50)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    said = []
    assert fit_head(model, model.card, TASK, DATA, said.append, cpu=True)
    assert said == ["the head starts from a probe: 50 steps on the features of 4 images"]
    after = model.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items() if k.startswith("backbone."))
    found = evaluate(TorchSession(model, model.card), DATA, TASK).results
    assert found["ap50"] > 0.2
    assert not any(module.training for module in model.modules())


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_new_scores_begin_with_the_prior_of_retinanet(model, scores):
    head = model.scores[0]
    probe.expect_little(head, scores)
    logits = head.predict.bias.detach().view(-1, head.values)
    shares = logits.softmax(1) if scores == "softmax" else logits.sigmoid()
    objects = shares[:, 1:].sum(1) if scores == "softmax" else shares[:, 1:]
    assert objects == pytest.approx(torch.full_like(objects, 0.01), abs=1e-6)
    assert shares[:, 0] == pytest.approx(torch.full((len(shares),), 0.99), abs=1e-6)
    with torch.no_grad():
        head.predict.bias[0] = 1.5
    probe.expect_little(head, scores)  # one that has learned stays
    assert head.predict.bias[0] == 1.5


@pytest.mark.every
def test_without_an_object_there_is_nothing_to_fit(model):
    anchors = len(card_anchors(model.card))
    rows = torch.rand(2, 192, 6, 6), torch.rand(2, 1280, 3, 3), torch.zeros(2, anchors, 5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert probe.fit(model, rows) == ""
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())


def test_crowds_are_not_learned(model):
    crowd = Objects.of([[10, 10, 60, 60]], [1], crowd=[True])
    *_, targets = probe.rows(model, torch.rand(1, 3, 96, 96), [crowd], [(96, 96)])
    assert not targets.any()
