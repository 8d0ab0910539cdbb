import numpy as np
import pytest

from mobilenets.tasks.geolocate.measure import TEMPERATURES, Errors, evaluator, weighted_medians
from mobilenets.tasks.geolocate.read import decode
from mobilenets.tasks.geolocate.recipes.settings import PlaceObjective
from mobilenets.tasks.geolocate.sphere import distances
from tests.tasks.geolocate.places import atlas, card_with

MADE = atlas(20, spread=200)


def outputs(images: int, sure: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that know the place, by a normal distribution that is too `sure`, and positions."""
    random = np.random.default_rng(seed)
    of = random.integers(len(MADE.cells), size=images)
    seen = MADE.means[of] + random.normal(0, 2.5, (images, 2))
    truth = MADE.means[of]
    logits = -((distances(seen, MADE.means) / 300) ** 2) * sure
    return logits.astype(np.float32), truth


def counted(logits, truth, card, parts=3, **objective) -> Errors:
    found = evaluator(card, None, PlaceObjective(**objective) if objective else None)
    for part in np.array_split(np.arange(len(logits)), parts):
        found.update({"logits": logits[part]}, [tuple(p) for p in truth[part]])
    return found


def test_figures_are_those_of_the_answers():
    logits, truth = outputs(60, 1.0)
    card = card_with(MADE, temperature=1.5)
    found = counted(logits, truth, card)
    seen = decode({"logits": logits}, card, [(1, 1)] * 60, top=1, threshold=0)
    away = [distances([t], [(s.lat, s.lon)])[0, 0] for t, s in zip(truth, seen, strict=True)]
    results = dict(found.results())
    assert results["median_km"] == pytest.approx(np.median(away))
    for most in (1, 25, 200, 750, 2500):
        assert results[f"within_{most}km"] == pytest.approx(np.mean(np.array(away) <= most))
    inside = [a <= s.circles[1].radius for a, s in zip(away, seen, strict=True)]
    assert results["in_radius_90"] == pytest.approx(np.mean(inside))
    assert results["radius_90_km"] == pytest.approx(np.median([s.circles[1].radius for s in seen]))
    assert results["images"] == 60
    assert "loss" not in results
    assert found.kept() == {}
    assert found.by_class() == {}
    assert found.confusions(0) == []


def test_the_loss_is_the_training_loss():
    import torch

    from mobilenets.tasks.geolocate.learn import criterion

    logits, truth = outputs(40, 1.0)
    card = card_with(MADE)
    expected = criterion(card, PlaceObjective(90.0))(
        torch.from_numpy(logits), torch.from_numpy(truth)
    )
    by_objective = dict(counted(logits, truth, card, smoothing_km=90.0).results())["loss"]
    assert by_objective == pytest.approx(float(expected), rel=1e-5)
    told = card.replace(recipe={"objective": {"smoothing_km": 90.0}})
    assert dict(counted(logits, truth, told).results())["loss"] == by_objective


@pytest.mark.parametrize("sure", [0.2, 1.0, 6.0])
def test_the_temperature_makes_the_larger_radius_hold_nine_in_ten(sure):
    card = card_with(MADE)
    found = counted(*outputs(400, sure), card)
    temperature = found.kept()["temperature"]
    assert temperature in TEMPERATURES
    assert dict(found.results())["in_radius_90"] == pytest.approx(0.9, abs=0.05)
    other = counted(*outputs(400, sure, seed=5), card_with(MADE, temperature=temperature))
    assert 0.8 <= dict(other.results())["in_radius_90"] <= 0.97


def test_the_surer_a_wrong_network_is_the_higher_is_its_temperature():
    cold, hot = (counted(*outputs(400, sure), card_with(MADE)).kept() for sure in (0.5, 6.0))
    assert cold["temperature"] < hot["temperature"]


def test_processes_count_together():
    logits, truth = outputs(50, 1.0)
    card = card_with(MADE)
    whole = counted(logits, truth, card, smoothing_km=50.0)
    first = counted(logits[:20], truth[:20], card, smoothing_km=50.0)
    first.merge(counted(logits[20:], truth[20:], card, smoothing_km=50.0))
    assert dict(first.results()) == pytest.approx(dict(whole.results()))
    assert first.judge(49, 0) == whole.judge(49, 0)


def test_medians_of_resamples_are_numpys():
    random = np.random.default_rng(0)
    values, drawn = random.normal(size=31), random.integers(0, 4, (50, 31)).astype(float)
    expected = [np.median(np.repeat(values, row.astype(int))) for row in drawn]
    np.testing.assert_allclose(weighted_medians(values, drawn), expected)
    assert np.isnan(weighted_medians(values, np.zeros((1, 31)))).all()


def test_intervals_are_of_places_not_of_photographs():
    logits, truth = outputs(40, 1.0)
    card = card_with(MADE, temperature=1.0)
    once = counted(logits, truth + np.arange(40)[:, None] * 1e-4, card).intervals()
    four = counted(
        np.repeat(logits, 4, 0), np.repeat(truth + np.arange(40)[:, None] * 1e-4, 4, 0), card
    ).intervals()
    assert "of the 40 places" in four.how
    a, b = once.results["median_km"], four.results["median_km"]
    assert b.high - b.low == pytest.approx(a.high - a.low, rel=0.2)


def test_an_image_is_judged_by_its_circle():
    logits, truth = outputs(30, 1.0)
    found = counted(logits, truth, card_with(MADE, temperature=1.0))
    errors, radii = found.errors(), found.answers()[1]
    for i in range(30):
        verdict = found.judge(i, 0)
        assert verdict.right == (errors[i] <= radii[i, 1])
        assert verdict.figures["km"] == pytest.approx(errors[i])
    target = (45.0, 15.0)
    assert (found.truth(target).lat, found.truth(target).circles) == (45.0, ())


def test_nothing_counted_gives_no_figures():
    found = evaluator(card_with(MADE), None)
    assert np.isnan(dict(found.results())["median_km"])
    assert found.intervals().how == ""
    assert found.kept() == {}
    found.figure()


def test_the_picture_has_a_curve_and_a_map(tmp_path):
    found = counted(*outputs(30, 1.0), card_with(MADE, temperature=1.0))
    figure = found.figure()
    assert len(figure.axes) == 2
    assert "median" in figure.axes[0].get_title()
    figure.savefig(tmp_path / "x.png", dpi=40)
