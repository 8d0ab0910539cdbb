"""The fit of a linear layer, beside scikit-learn's."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mobilenets.tasks import probe
from mobilenets.tasks.probe import (
    binary_regression,
    fit_classes,
    fit_marks,
    softmax_regression,
)


def clouds(rows: int, channels: int, classes: int = 3, spread: float = 1.5):
    """Features around a middle for each class, not centred, and their classes."""
    random = np.random.default_rng(0)
    y = np.arange(rows) % classes
    middles = random.normal(size=(classes, channels))
    x = middles[y] + spread * random.normal(size=(rows, channels)) + 3
    return torch.from_numpy(x), torch.from_numpy(y)


@pytest.mark.parametrize("strength", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("classes", [2, 3])
def test_the_layer_is_scikit_learns(strength, classes):
    from sklearn.linear_model import LogisticRegression

    x, y = clouds(60, 8, classes)
    found = softmax_regression(x, y, classes, strength)
    peer = LogisticRegression(C=strength, tol=1e-9, max_iter=10_000).fit(x.numpy(), y.numpy())
    if classes == 2:  # theirs has one row of weights for two classes: a sigmoid, otherwise reined
        ours, twin = objective(found, x, y, strength), sigmoid_twin(x, y, strength)
        assert ours == pytest.approx(twin, rel=1e-6)
        return
    assert found.weight.numpy() == pytest.approx(peer.coef_, abs=1e-4)
    bias = found.bias - found.bias.mean()  # a softmax leaves their sum open
    assert bias.numpy() == pytest.approx(peer.intercept_ - peer.intercept_.mean(), abs=1e-3)


def objective(layer, x, y, strength: float) -> float:
    fit = F.cross_entropy(F.linear(x, *layer), y, reduction="sum")
    return float(strength * fit + layer.weight.square().sum() / 2)


def sigmoid_twin(x, y, strength: float) -> float:
    """Two rows of weights w and -w are a sigmoid of 2w: C doubles against |w|^2."""
    from sklearn.linear_model import LogisticRegression

    peer = LogisticRegression(C=2 * strength, tol=1e-9, max_iter=10_000).fit(x.numpy(), y.numpy())
    half = torch.from_numpy(peer.coef_) / 2
    bias = torch.tensor(peer.intercept_) / 2
    layer = probe.Linear(torch.cat([-half, half]), torch.cat([-bias, bias]))
    return objective(layer, x, y, strength)


@pytest.mark.parametrize("channels", [8, 90], ids=["more rows", "more channels"])
def test_the_whole_fit_is_scikit_learns_with_the_strength_it_chose(channels):
    from sklearn.linear_model import LogisticRegression

    x, y = clouds(60, channels)
    found = fit_classes(x, y, 3)
    scale = (x - x.mean(0)).square().sum(1).mean().sqrt()
    peer = LogisticRegression(C=found.strength, tol=1e-9, max_iter=10_000)
    peer.fit((x / scale).numpy(), y.numpy())
    ours = torch.softmax(F.linear(x, *found.layer), 1).numpy()
    assert ours == pytest.approx(peer.predict_proba((x / scale).numpy()), abs=1e-3)


def test_the_strength_is_chosen_on_rows_left_out():
    """Labels that say nothing ask for a hard rein, clean clouds for none."""
    noisy, clean = clouds(60, 30), clouds(60, 8, spread=0.02)
    noisy = noisy[0], noisy[1][torch.from_numpy(np.random.default_rng(1).permutation(60))]
    found = [fit_classes(x, y, 3) for x, y in (noisy, clean)]
    assert found[0].strength < found[1].strength
    assert found[0].right < 0.6
    assert found[1].right == 1.0


def test_a_class_without_images_is_never_the_answer():
    x, y = clouds(30, 8)
    y[y == 1] = 3  # of five classes, 1 and 4 have none
    found = fit_classes(x, y, 5)
    assert set(F.linear(x, *found.layer).argmax(1).tolist()) == {0, 2, 3}
    assert torch.isfinite(found.layer.weight).all()
    assert not found.layer.weight[[1, 4]].any()


def test_few_rows_are_enough():
    x, y = clouds(3, 8)  # one of each class: nothing can be left out
    found = fit_classes(x, y, 3)
    assert found.right != found.right
    assert F.linear(x, *found.layer).argmax(1).tolist() == y.tolist()
    one = fit_classes(x[:1], y[:1], 3)
    assert F.linear(x[:1], *one.layer).argmax(1).tolist() == [0]


def test_features_that_are_no_numbers_are_refused():
    x, y = clouds(6, 4)
    x[0, 0] = float("nan")
    with pytest.raises(ValueError, match="features must be finite"):
        fit_classes(x, y, 3)


def test_many_rows_are_fitted_without_choosing(monkeypatch):
    x, y = clouds(60, 8)
    monkeypatch.setattr(probe, "OPERATIONS", 1.0)
    assert fit_classes(x, y, 3).strength == probe.USUAL


def several(rows: int, channels: int):
    """Features, and five columns of marks with unknown ones: two of chance, one always yes."""
    x, _ = clouds(rows, channels)
    random = np.random.default_rng(1)
    marks = (x.numpy() @ random.normal(size=(channels, 5)) > 0).astype(np.int8)
    marks[:, 3] = random.integers(0, 2, rows)
    marks[random.random((rows, 5)) < 0.2] = -1
    marks[:, 4] = np.abs(marks[:, 4])
    marks[:, 4] = 1
    return x, torch.from_numpy(marks)


def test_layers_of_marks_are_scikit_learns_on_what_each_knows():
    from sklearn.linear_model import LogisticRegression

    x, marks = several(80, 6)
    x = (x - x.mean(0)) / x.std()
    strengths = torch.tensor([0.5, 3.0, 20.0, 1.0])
    found = binary_regression(x, marks[:, :4], strengths)
    for k, strength in enumerate(strengths.tolist()):
        known = (marks[:, k] >= 0).numpy()
        peer = LogisticRegression(C=strength, tol=1e-10, max_iter=10_000)
        peer.fit(x.numpy()[known], marks[:, k].numpy()[known])
        assert found.weight[k].numpy() == pytest.approx(peer.coef_[0], abs=2e-3)
        assert float(found.bias[k]) == pytest.approx(float(peer.intercept_[0]), abs=2e-3)


@pytest.mark.parametrize("channels", [6, 120], ids=["more rows", "more channels"])
def test_marks_are_fitted_each_with_its_own_strength(channels):
    x, marks = several(80, channels)
    found = fit_marks(x, marks)
    again = fit_marks(x, marks)
    assert torch.equal(found.layer.weight, again.layer.weight)
    outputs = F.linear(x.double(), *found.layer)
    for k in (0, 1, 2):
        known = marks[:, k] >= 0
        assert ((outputs[known, k] > 0) == (marks[known, k] == 1)).double().mean() > 0.9
    assert not found.layer.weight[4].any()  # the same on all rows: its share, whatever is seen
    assert float(found.layer.bias[4].sigmoid()) > 0.98
    assert 0.5 < found.right < 1
    unknown = fit_marks(x, torch.full_like(marks, -1))
    assert not unknown.layer.weight.any()
    assert float(unknown.layer.bias[0]) == 0
    with pytest.raises(ValueError, match="finite"):
        fit_marks(x * torch.inf, marks)
