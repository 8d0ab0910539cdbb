import numpy as np
import pytest

from mobilenets.tasks.geolocate.sphere import RADIUS, distances, in_words, length, middle, pairwise

PARIS, LONDON, SYDNEY = (48.8566, 2.3522), (51.5074, -0.1278), (-33.8688, 151.2093)


@pytest.mark.parametrize(
    ("first", "second", "kilometres"),
    [
        (PARIS, LONDON, 343.6),
        (PARIS, SYDNEY, 16960),
        ((0, 179.5), (0, -179.5), 111.195),
        ((90, 0), (-90, 77), np.pi * RADIUS),
        ((0, 0), (0, 180), np.pi * RADIUS),
        (PARIS, PARIS, 0),
        ((45, 15), (45.00001, 15), 0.0011119),
    ],
)
def test_known_distances(first, second, kilometres):
    assert distances([first], [second])[0, 0] == pytest.approx(kilometres, rel=1e-3, abs=1e-12)
    assert pairwise([first], [second])[0] == pytest.approx(kilometres, rel=1e-3, abs=1e-12)


def test_distances_are_scikit_learns():
    from sklearn.metrics.pairwise import haversine_distances

    random = np.random.default_rng(0)
    a = np.stack([random.uniform(-90, 90, 40), random.uniform(-180, 180, 40)], 1)
    b = a[:30] + random.normal(0, 1e-4, (30, 2)).clip(-1, 1)
    expected = haversine_distances(np.radians(a), np.radians(b)) * RADIUS
    np.testing.assert_allclose(distances(a, b), expected, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(pairwise(a[:30], b), np.diag(expected[:30]), rtol=1e-6, atol=1e-9)


def test_the_middle_lies_across_the_date_line():
    assert middle([(10, 179), (10, -179)]) == pytest.approx((10.0015, 180), abs=1e-3)
    assert middle([(80, 0), (80, 180)])[0] == pytest.approx(90)


def test_words():
    assert in_words(-33.8688, 151.2093) == "33.8688 S, 151.2093 E"
    assert in_words(1, -2) == "1.0000 N, 2.0000 W"
    assert [length(km) for km in (0.35, 12.34, 1240)] == ["350 m", "12.3 km", "1,240 km"]
