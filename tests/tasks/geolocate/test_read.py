import numpy as np
import pytest

from mobilenets.errors import WeightsError
from mobilenets.tasks.geolocate.answer import PlaceAnswer
from mobilenets.tasks.geolocate.read import decode, place, shares_of
from mobilenets.tasks.geolocate.sphere import distances
from tests.tasks.geolocate.places import atlas, card_with


def slowly(shares, cells):
    """The point and its radii, cell by cell."""
    expected = [
        sum(p * distances([a.mean], [b.mean])[0, 0] for p, b in zip(shares, cells, strict=True))
        for a in cells
    ]
    chosen = int(np.argmin(expected))
    away = sorted(
        (np.hypot(distances([cells[chosen].mean], [one.mean])[0, 0], one.spread), share)
        for one, share in zip(cells, shares, strict=True)
    )
    radii = []
    for held in (0.5, 0.9):
        total = 0.0
        for radius, share in away:
            total += share
            if total >= held - 1e-9:
                radii.append(radius)
                break
    return chosen, radii


def test_the_point_of_least_expected_distance_is_a_slow_twins():
    made = atlas(14)
    random = np.random.default_rng(1)
    logits = random.normal(0, 2, (9, 14)).astype(np.float32)
    shares = np.stack([shares_of(logits, t) for t in (0.5, 1.0, 3.0)], axis=1)
    found = place(shares, made)
    for i in range(9):
        for k in range(3):
            chosen, radii = slowly(shares[i, k], made.cells)
            assert found.chosen[i, k] == chosen
            np.testing.assert_allclose(found.radii[i, k], radii)


def test_it_is_not_the_likeliest_cell_but_where_the_others_are():
    made = atlas(3)
    near = [made.cells[1]._replace(mean=(45, 15)), made.cells[1]._replace(mean=(45.1, 15.1))]
    made = type(made)((made.cells[0]._replace(mean=(60, 30)), *near))
    card = card_with(made)
    logits = np.log(np.array([[0.4, 0.31, 0.29]], np.float32))
    (found,) = decode({"logits": logits}, card, [(1, 1)], top=2, threshold=0)
    assert (found.lat, found.lon) == (45.1, 15.1)  # the nearer to the likeliest
    assert [round(one.share, 3) for one in found.cells] == [0.4, 0.31]
    assert [circle.held for circle in found.circles] == [0.5, 0.9]
    assert found.circles[0].radius < 100 < 1000 < found.circles[1].radius


def test_a_temperature_makes_circles_wider():
    made = atlas(14)
    logits = np.random.default_rng(1).normal(0, 3, (5, 14)).astype(np.float32)
    radii = []
    for temperature in (0.5, 5.0):
        card = card_with(made, temperature=temperature)
        seen = decode({"logits": logits}, card, [(1, 1)] * 5, top=1, threshold=0.6)
        assert all(len(one.circles) == 1 for one in seen)
        radii.append(np.mean([one.circles[0].radius for one in seen]))
    assert radii[0] < radii[1]


def test_outputs_that_do_not_fit_are_named():
    card = card_with(atlas())
    with pytest.raises(WeightsError, match="5 outputs but its card 12 cells"):
        decode({"logits": np.zeros((1, 5), np.float32)}, card, [(1, 1)], top=1, threshold=0)
    bad = np.full((2, 12), np.nan, np.float32)
    with pytest.raises(WeightsError, match="not finite for 2 of 2"):
        decode({"logits": bad}, card, [(1, 1)] * 2, top=1, threshold=0)


def test_an_answer_has_fields():
    from mobilenets.tasks.geolocate import show

    logits = np.random.default_rng(1).normal(size=(1, 12)).astype(np.float32)
    (seen,) = decode({"logits": logits}, card_with(atlas()), [(1, 1)], top=3, threshold=0)
    answer = PlaceAnswer(seen, b"", show)
    assert (answer.lat, answer.lon) == (seen.lat, seen.lon)
    assert answer.radius() == seen.circles[1].radius
    assert answer.radius(0.5) <= answer.radius(0.9)
    assert len(answer.cells) == 3
    with pytest.raises(ValueError, match=r"held must be 0.5 or 0.9, got 0.7"):
        answer.radius(0.7)
