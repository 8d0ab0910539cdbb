"""How a segmentation network's new head starts."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

import mobilenets
from mobilenets.card import Preprocessing, card_of, set_card
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.registry import tasks
from mobilenets.tasks.segment import probe
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.training.probe import features, fit_head
from tests.some import some
from tests.tasks.segment.test_training import Few

TASK = tasks()["segment"]


DATA = Few(size=65, pictures=6)


@pytest.fixture(scope="module")
def new():
    """For the shapes, on the backbone that is in the package."""
    torch.manual_seed(0)
    loaded = mobilenets.load("mobilenet_v2_0.35_64.shapes")
    name = "deeplabv3_mobilenet_v2"
    made, _ = TASK.network.adapt(name, loaded, DATA.classes, {"output_stride": 8})
    set_card(made, card_of(made).replace(preprocessing=Preprocessing((65, 65), "pad")))
    return made.eval()


@pytest.fixture
def model(new):
    """One of one's own."""
    return copy.deepcopy(new)


def seen(model) -> tuple[torch.Tensor, torch.Tensor]:
    return features(model, model.card, TASK, DATA, list(range(len(DATA))), cpu=True)


def right(model, rows) -> float:
    """The share of places that get their class."""
    maps, targets = rows
    with torch.no_grad():
        found = model.classifier(model.hidden(maps)).argmax(1)
    return float((found == targets)[targets != VOID].float().mean())


def test_rows_are_the_maps_and_the_classes_of_their_places(model):
    maps, places = seen(model)
    assert maps.shape == (12, 112, 9, 9)
    assert places.shape == (12, 9, 9)
    for row, index in ((0, 0), (6, 3)):  # each image's mirror image lies behind it
        assert np.array_equal(places[row], DATA.target(index)[::8, ::8])
    assert torch.equal(places[7], places[6].flip(1))
    x = torch.from_numpy(preprocess(DATA.image(3), model.card.preprocessing))[None]
    with torch.no_grad():
        torch.testing.assert_close(maps[6:7], model.backbone(x))
        torch.testing.assert_close(maps[7:8], model.backbone(x.flip(3)))


def test_a_new_head_learns_and_the_backbone_does_not(model):
    rows = seen(model)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    said = []
    assert fit_head(model, model.card, TASK, DATA, said.append, cpu=True)
    assert said == ["the head starts from a probe: 40 steps on the features of 6 images"]
    after = model.state_dict()
    assert all(torch.equal(after[k], v) for k, v in before.items() if k.startswith("backbone."))
    assert after["pool.norm.running_mean"].any()
    background = (rows[1] == 0)[rows[1] != VOID].float().mean()
    assert right(model, rows) > background + 0.5 * (1 - background)
    assert not any(module.training for module in model.modules())


def test_the_same_rows_give_the_same_head(model, monkeypatch):
    monkeypatch.setattr(probe, "STEPS", 2)
    rows, before = seen(model), {k: v.clone() for k, v in model.state_dict().items()}
    heads = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model.load_state_dict(before)
        probe.fit(model, rows)
        heads.append(model.classifier.weight.clone())
    assert torch.equal(*heads)
    assert not torch.equal(heads[0], before["classifier.weight"])


def clouds(model, classes: int, places: np.ndarray):
    """Maps whose places lie around a middle for each class, and a head that has learned before."""
    random = np.random.default_rng(0)
    middles = random.normal(size=(classes, 112))
    maps = middles[np.minimum(places, classes - 1)] + random.normal(size=(*places.shape, 112))
    model.project.norm.running_mean.fill_(0.1)
    maps = torch.from_numpy(maps).float().permute(0, 3, 1, 2)
    return maps, torch.from_numpy(places.astype(np.uint8))


def test_a_classifier_is_scikit_learns_on_the_same_places(model, monkeypatch):
    """With the strength that was chosen; weighted as it weights, whatever the sample's shares."""
    monkeypatch.setattr("mobilenets.tasks.probe.STRENGTHS", (3.0,))
    random = np.random.default_rng(1)
    places = random.choice([0, 1, 2, VOID], p=[0.6, 0.3, 0.05, 0.05], size=(8, 9, 9))
    maps, targets = clouds(model, 3, places)
    kept = model.project.conv.weight.clone()
    assert probe.fit(model, (maps, targets)).startswith("logistic regression on 6")
    assert torch.equal(model.project.conv.weight, kept)

    with torch.no_grad():
        hidden = model.hidden(maps).permute(0, 2, 3, 1).reshape(-1, 256).double().numpy()
        ours = model.classifier(model.hidden(maps))[:, :3].permute(0, 2, 3, 1).reshape(-1, 3)
    y = targets.flatten().numpy()
    x = hidden[y != VOID] - hidden[y != VOID].mean(0)
    scale = np.sqrt(np.square(x).sum(1).mean())
    peer = LogisticRegression(C=3.0, tol=1e-9, max_iter=10_000).fit(x / scale, y[y != VOID])
    shares = np.bincount(y[y != VOID]) / (y != VOID).sum()
    wanted = peer.decision_function(x / scale) + np.log(np.sqrt(np.median(shares) / shares))
    found = F.softmax(ours.double(), 1).numpy()[y != VOID]
    assert found == pytest.approx(F.softmax(torch.from_numpy(wanted), 1).numpy(), abs=2e-3)


def test_rare_classes_and_classes_that_take_turns_are_in_the_sample(monkeypatch):
    monkeypatch.setattr(probe, "PLACES", 60)
    turns = torch.arange(8).repeat(1000).to(torch.uint8)  # eight classes, one after another
    turns[77] = 8
    turns[::3] = VOID
    turns[77] = 8
    chosen = turns[probe.sample(turns, 9)]
    assert torch.bincount(chosen.long(), minlength=9).tolist() == [6] * 8 + [1]
    assert VOID not in chosen


def test_a_class_that_is_nowhere_is_never_the_answer(model):
    maps, targets = clouds(model, 3, np.random.default_rng(1).integers(0, 3, size=(4, 9, 9)))
    targets[targets == 1] = 5
    probe.fit(model, (maps, targets))
    with torch.no_grad():
        found = model.classifier(model.hidden(maps)).argmax(1)
    assert set(found.unique().tolist()) == {0, 2, 5}
    assert torch.isfinite(model.classifier.bias).all()


@pytest.mark.parametrize("only", some([3, VOID], [1]))
def test_one_class_or_none_is_nothing_to_fit(model, only):
    before = {k: v.clone() for k, v in model.state_dict().items()}
    assert probe.fit(model, (torch.rand(2, 112, 9, 9), torch.full((2, 9, 9), only))) == ""
    assert all(torch.equal(model.state_dict()[k], v) for k, v in before.items())
