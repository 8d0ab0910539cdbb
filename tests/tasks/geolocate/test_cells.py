import sys

import numpy as np
import pytest

from mobilenets.card import ModelCard
from mobilenets.errors import InputError, WeightsError
from mobilenets.tasks.geolocate.cells import Atlas, atlas_of, nearest_gap, temperature_of
from mobilenets.tasks.geolocate.partition import bounds, partition
from mobilenets.tasks.geolocate.sphere import distances
from tests.tasks.geolocate.places import atlas, card_with


def positions(count: int, seed: int = 0) -> np.ndarray:
    """Some crowded, some anywhere, two at one place."""
    random = np.random.default_rng(seed)
    crowd = np.array([45.8, 16.0]) + random.normal(0, 0.2, (count // 2, 2))
    rest = count - len(crowd)
    wide = np.stack([random.uniform(-80, 80, rest), random.uniform(-180, 180, rest)], 1)
    found = np.concatenate([crowd, wide])
    found[1] = found[0]
    return found


def slowly(points: np.ndarray, most: int, least: int) -> dict[str, list[int]]:
    """The partition by S2's own parents: each photograph's coarsest cell that is not split."""
    import s2geometry as s2

    leaves = [s2.S2CellId(s2.S2LatLng.FromDegrees(*map(float, point))) for point in points]
    found: dict[str, list[int]] = {}
    for i, leaf in enumerate(leaves):
        for level in range(21):
            cell = leaf.parent(level)
            if sum(cell.contains(other) for other in leaves) <= most or level == 20:
                found.setdefault(cell.ToToken(), []).append(i)
                break
    return {token: inside for token, inside in found.items() if len(inside) >= least}


@pytest.mark.parametrize(("most", "least"), [(7, 1), (7, 3), (1, 1), (200, 1)])
def test_cells_are_those_of_a_slow_twin(most, least):
    points = positions(80)
    found = partition(points, most, least)
    expected = slowly(points, most, least)
    assert {cell.token for cell in found.atlas.cells} == expected.keys()
    for number, cell in enumerate(found.atlas.cells):
        inside = np.flatnonzero(found.of == number).tolist()
        assert inside == expected[cell.token]
        assert cell.photographs == len(inside)
    assert (found.of < 0).sum() == 80 - sum(map(len, expected.values()))
    assert found.left_out == len(slowly(points, most, 1)) - len(expected)


def test_what_is_kept_of_a_cell():
    points = positions(80)
    found = partition(points, 20, 1)
    for number, cell in enumerate(found.atlas.cells):
        inside = points[found.of == number]
        away = distances([cell.mean], inside)[0]
        assert cell.spread == pytest.approx(np.sqrt((away**2).mean()))
        corner = distances([cell.corners[0]], cell.corners)[0]
        assert (corner[1:] > 0).all()
        assert away.max() < 4 * corner.max()


def test_bounds_follow_from_the_number_of_photographs():
    assert bounds(91_000_000) == (9539, 47)  # PlaNet: 10,000 and 50
    assert bounds(320) == (18, 1)
    assert bounds(5) == (8, 1)


def test_wrong_bounds_are_named():
    with pytest.raises(ValueError, match="least must be from 1 to most, got 5 and 3"):
        partition(positions(8), 3, 5)
    with pytest.raises(ValueError, match="none has 9 photographs"):
        partition(np.array([[10.0, 20.0], [50.0, 60.0]]), 9, 9)


def test_without_s2geometry_what_brings_it_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "s2geometry", None)
    with pytest.raises(InputError, match=r"need s2geometry, to train alone; pip install .*\[geo\]"):
        partition(positions(8), 3, 1)


def test_a_card_keeps_the_cells():
    made = partition(positions(60), 10, 1).atlas
    card = ModelCard.from_json(card_with(made).to_json(), "x")
    read = atlas_of(card)
    assert [c[:2] for c in read.cells] == [c[:2] for c in made.cells]
    assert [c.photographs for c in read.cells] == [c.photographs for c in made.cells]
    np.testing.assert_allclose(read.means, made.means, atol=1e-6)
    np.testing.assert_allclose(read.spreads, made.spreads, atol=1e-4)
    assert atlas_of(card) is read


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({}, "keeps no cells of a map"),
        ({"cells": [[1, 2]] * 12}, "cells are damaged"),
        ({"cells": atlas().to_json()[:5]}, "keeps 5 cells for 12 outputs"),
        ({"cells": [[*row[:5], "x", *row[6:]] for row in atlas().to_json()]}, "damaged"),
    ],
)
def test_a_card_without_its_cells_is_named(kept, words):
    with pytest.raises(WeightsError, match=words):
        atlas_of(card_with(atlas()).replace(kept=kept))


@pytest.mark.parametrize("value", [0, -1, "hot"])
def test_a_wrong_temperature_is_named(value):
    with pytest.raises(WeightsError, match="temperature must be above 0"):
        temperature_of(card_with(atlas(), temperature=value))


def test_the_gap_between_cells_is_the_median_to_the_nearest():
    made = atlas(30)
    all_of_them = distances(made.means, made.means) + np.diag(np.full(30, np.inf))
    assert nearest_gap(made.means) == pytest.approx(np.median(all_of_them.min(1)), rel=5e-3)
    assert nearest_gap(made.means[:1]) == 1


def test_many_cells_are_compared_without_a_table_of_all(monkeypatch):
    made = atlas(20)
    expected = made.between(np.array([3, 7]))
    monkeypatch.setattr("mobilenets.tasks.geolocate.cells.LARGE", 10)
    np.testing.assert_allclose(Atlas(made.cells).between(np.array([3, 7])), expected)
