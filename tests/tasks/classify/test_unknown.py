"""Telling what is none of the classes: the likeness, its floor, and what is answered."""

import numpy as np
import pytest
import torch

import mobilenets
from mobilenets.card import ModelCard
from mobilenets.errors import DataError, WeightsError
from mobilenets.tasks.classify.architecture.classifier import Likeness
from mobilenets.tasks.classify.familiar import (
    EVEN,
    fit,
    grown,
    imprinted,
    likeness,
    measured_floor,
)
from mobilenets.tasks.classify.know import tell_unknown
from mobilenets.tasks.classify.measure import Accuracy
from mobilenets.tasks.classify.measure.unknown import ordered
from mobilenets.tasks.classify.read import LIKENESS, LOGITS, UNKNOWN, decode
from mobilenets.tasks.registry import tasks
from mobilenets.weights.sources.own import save
from tests.small import of_shapes

TASK = tasks()["classify"]


@pytest.fixture
def features():
    """(60, 12) features that are never below 0, and their five classes."""
    random = np.random.default_rng(0)
    classes = np.arange(60) % 5
    return random.gamma(1.0, 1.0, (60, 12)) + 2 * np.eye(5, 12)[classes], classes


def test_centroids_are_those_of_the_inverse_covariance(features):
    """By the definition, without eigenvectors: whitening twice is the inverse of the spread."""
    x, classes = features
    found = fit(x, classes, 6)
    apart = np.sqrt(x) - np.sqrt(x).mean(0)
    spread = np.cov(apart.T, bias=True)
    even = np.trace(spread) / len(spread)
    twice = np.linalg.inv((1 - EVEN) * spread + EVEN * even * np.eye(12)) * EVEN * even
    for k in range(5):
        mean = apart[classes == k].mean(0)
        np.testing.assert_allclose(found.centroids[k], twice @ mean / np.sqrt(mean @ twice @ mean))
    assert not found.centroids[5].any()  # it has no images
    assert (np.linalg.norm(found.centroids, axis=1) <= 1).all()


def test_the_network_gives_the_likeness_of_the_fit(features):
    x, classes = features
    found = fit(x, classes, 5)
    module = Likeness(12, 5)
    module.middle.copy_(torch.from_numpy(found.middle))
    module.centroids.weight.data.copy_(torch.from_numpy(found.centroids))
    x[0, 0] = -1  # as leaky ReLU may give
    seen = module(torch.from_numpy(x).float()).numpy()
    np.testing.assert_allclose(seen, likeness(x, found.middle, found.centroids), atol=1e-5)


@pytest.mark.parametrize("images", [1, 19, 20, 21, 100, 999])
def test_nineteen_of_twenty_known_images_stay_known(images):
    values = np.random.default_rng(images).normal(size=images)
    kept = measured_floor(values)
    assert (values >= kept["floor"]).mean() >= 0.95
    assert (values >= kept["floor"]).sum() - 0.95 * images < 1 + 1e-9
    assert kept["images"] == images
    assert kept["lowest"] == sorted(kept["lowest"])
    assert all(value < kept["floor"] for value in kept["lowest"])


def test_the_order_of_strangers_is_scikit_learns():
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(0)
    known, strange = random.integers(3, 12, 80) / 1.0, random.integers(0, 9, 50) / 1.0
    expected = roc_auc_score([1] * 80 + [0] * 50, np.concatenate([known, strange]))
    assert ordered(known, strange) == pytest.approx(expected)
    assert ordered(known, np.zeros(0)) == 0.5


def test_unknown_is_the_first_answer():
    kept = {UNKNOWN: {"floor": 0.5, "lowest": [0.1, 0.2, 0.3]}}
    card = ModelCard("", labels=("cat", "dog"), outputs=(*LOGITS, LIKENESS), kept=kept)
    outputs = {
        "logits": np.array([[0, 1], [0, 1], [0, 1]], np.float32),
        "likeness": np.array([[0.6, 0.1], [0.25, 0.1], [0.0, 0.0]], np.float32),
    }
    found = decode(outputs, card, [(1, 1)] * 3, top=2, threshold=0.0)
    assert [[one.label for one in row] for row in found] == [
        ["dog", "cat"],
        ["unknown", "dog"],
        ["unknown", "dog"],
    ]
    assert [(one.index, one.score) for one in (found[1][0], found[2][0])] == [(-1, 0.998), (-1, 1)]
    (only,) = decode(outputs, card, [(1, 1)] * 3, top=1, threshold=0.5)[1]
    assert only.label == "unknown"
    answer = TASK.answer_of(found[1], b"")
    assert answer.unknown
    assert not TASK.answer_of(found[0], b"").unknown
    for damaged in ({}, 3, {"floor": "high", "lowest": []}):
        with pytest.raises(WeightsError, match="unknown must have floor and lowest, got "):
            decode(outputs, card.replace(kept={UNKNOWN: damaged}), [], top=1, threshold=0.0)
    silent = decode(outputs, card.replace(kept={}), [(1, 1)] * 3, top=1, threshold=0.0)
    assert [row[0].label for row in silent] == ["dog"] * 3


def test_an_evaluation_counts_what_is_called_unknown():
    kept = {UNKNOWN: {"floor": 0.5, "lowest": []}}
    card = ModelCard("", labels=("cat", "dog"), outputs=(*LOGITS, LIKENESS), kept=kept)
    one, other = (Accuracy(("cat", "dog"), (0, 1), card) for _ in range(2))

    def outputs(*values: float) -> dict[str, np.ndarray]:
        likeness = np.array([[value, 0] for value in values], np.float32)
        return {"logits": np.zeros((len(values), 2), np.float32), "likeness": likeness}

    one.update(outputs(0.9, 0.4), [0, 1])
    other.update(outputs(0.6, 0.7), [0, 1])
    assert "unknown_found" not in dict(one.results())
    other.strangers(outputs(0.1, 0.8, 0.2))
    one.merge(other)
    found = dict(one.results())
    assert [one.judge(i, 0.0).figures["likeness"] for i in (1, 2)] == pytest.approx([0.4, 0.6])
    assert found["called_unknown"] == 0.25
    assert found["unknown_found"] == pytest.approx(2 / 3)
    assert found["strangers"] == 3
    assert found["unknown_auroc"] == pytest.approx((4 + 1 + 4) / 12)
    assert "called_unknown" not in dict(Accuracy(("a", "b"), (0, 1)).results())


def test_a_new_class_is_as_likely_as_the_others_of_what_all_have_in_common(features):
    x, _ = features
    random = np.random.default_rng(1)
    weight, bias, mean = random.normal(size=(7, 12)), random.normal(size=7), x.mean(0)
    row, shift = imprinted(x[:5], weight, bias, mean)
    assert row @ mean + shift == pytest.approx((weight @ mean + bias).mean())
    assert np.linalg.norm(row) == pytest.approx(np.linalg.norm(weight, axis=1).mean())
    direction = x[:5].mean(0) - mean
    assert row @ direction == pytest.approx(np.linalg.norm(row) * np.linalg.norm(direction))
    row, _ = imprinted(x[:5], weight, bias, None)
    assert row.sum() == pytest.approx(0)


def test_a_new_centroid_finds_its_own_images_as_alike_as_others_find_theirs(features):
    x, classes = features
    found = fit(x, classes, 5)
    own = x[classes == 3]
    row = grown(own, found, 0.2)
    apart = np.sqrt(own) - found.middle
    apart /= np.linalg.norm(apart, axis=1, keepdims=True)
    length = np.linalg.norm(row)
    seen = []
    for i in range(len(own)):
        others = np.delete(apart, i, 0).mean(0)
        seen.append(apart[i] @ others / np.linalg.norm(others) * length)
    assert np.mean(seen) == pytest.approx(0.2)
    assert grown(own[:1], found, 0.2).shape == (12,)


@pytest.fixture
def knowing():
    """A small network that tells unknown images."""
    model = of_shapes(32)
    random = torch.Generator().manual_seed(0)
    rows = torch.rand(64, 1280, generator=random), torch.arange(64) % 8
    said = tell_unknown(model, rows, rows)
    assert said.startswith("unknown below a likeness of ")
    assert said.endswith("95% of 64 validation images reach")
    return model


def test_it_gives_two_outputs_and_is_kept_in_a_file(knowing, tmp_path):
    images = torch.rand(2, 3, 32, 32)
    expected = knowing.eval()(images)
    assert [tuple(part.shape) for part in expected] == [(2, 8), (2, 8)]
    save(knowing, tmp_path / "known.safetensors")
    loaded = mobilenets.load(tmp_path / "known.safetensors")
    for found, wanted in zip(loaded(images), expected, strict=True):
        assert torch.equal(found, wanted)
    assert loaded.card.kept == knowing.card.kept
    assert [one.name for one in loaded.card.outputs] == ["logits", "likeness"]
    torch.save(dict(knowing.state_dict()), tmp_path / "plain.pt")  # without a card
    plain = mobilenets.load(tmp_path / "plain.pt", say=lambda line: None)
    assert [one.name for one in plain.card.outputs] == ["logits", "likeness"]
    assert isinstance(knowing.train()(images), torch.Tensor)


def test_with_other_classes_it_forgets_what_it_knew(knowing):
    knowing.classifier = torch.nn.Linear(1280, 3)
    assert knowing.known is None
    assert "known" not in knowing.card.arguments
    assert len(knowing.card.outputs) == 1
    assert not knowing.card.kept


def test_what_is_trained_on_starts_without_it(knowing):
    labels = knowing.card.labels
    model, new = TASK.network.adapt("mobilenet_v2", knowing, labels, {})
    assert not new
    assert model.known is None
    assert model.card.kept == {}


def test_random_weights_know_nothing():
    with pytest.raises(ValueError, match="known is not for random weights"):
        TASK.network.build("mobilenet_v2", ("a", "b"), {"known": True})
    with pytest.raises(DataError, match="needs validation images"):
        tell_unknown(of_shapes(32), (), ())
