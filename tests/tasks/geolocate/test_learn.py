import math

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenets.card import Preprocessing
from mobilenets.tasks.geolocate import learn, probe
from mobilenets.tasks.geolocate.cells import nearest_gap
from mobilenets.tasks.geolocate.recipes.settings import PlaceAugmentation, PlaceObjective
from mobilenets.tasks.geolocate.sphere import distances
from mobilenets.tasks.registry import build
from tests.tasks.geolocate.places import atlas, card_with

MADE = atlas(9)


def test_targets_are_spread_as_a_slow_twin_does():
    points = np.array([[45.0, 3.0], [58.0, 29.0], [-40.0, 170.0]])
    found = learn.smoothed(torch.from_numpy(points), torch.from_numpy(MADE.means), 120.0)
    for row, point in zip(found.tolist(), points, strict=True):
        away = [float(distances([point], [cell.mean])[0, 0]) for cell in MADE.cells]
        weights = [math.exp(-(d - min(away)) / 120.0) for d in away]
        assert row == pytest.approx([w / sum(weights) for w in weights], rel=1e-6)


def test_the_loss_is_least_where_the_shares_are():
    card = card_with(MADE)
    loss = learn.criterion(card, PlaceObjective(120.0))
    targets = torch.tensor([[45.0, 3.0], [58.0, 29.0]], dtype=torch.float64)
    shares = learn.smoothed(targets, torch.from_numpy(MADE.means), 120.0)
    least = loss(shares.log().float(), targets)
    entropy = -(shares * shares.log()).sum(1).mean()
    assert float(least) == pytest.approx(float(entropy), rel=1e-5)
    assert loss(shares.log().float().flip(1), targets) > least


def test_how_far_targets_reach_follows_the_cells():
    class Data:
        classes = tuple(cell.token for cell in MADE.cells)
        kept = card_with(MADE).kept

    found = learn.settle(PlaceObjective(), Data())
    assert found.smoothing_km == nearest_gap(MADE.means)
    assert learn.settle(PlaceObjective(7.0), Data()).smoothing_km == 7


@pytest.mark.parametrize("policy", ["none", "crop", "colours"])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_transforms_keep_left_and_right(policy, order):
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, 30:, 0] = 255
    rule = Preprocessing((32, 48), order=order)
    made = learn.transform(
        card_with(MADE).replace(preprocessing=rule), PlaceAugmentation(policy, 1)
    )
    for seed in range(5):
        torch.manual_seed(seed)
        image, target = made(Image.fromarray(picture), (12.5, -7.25))
        assert image.shape == (3, 32, 48)
        assert target.tolist() == [12.5, -7.25]
        red = image[0 if order == "RGB" else 2]
        assert red[:, -8:].mean() > red[:, :8].mean()


def test_a_probe_finds_places_that_features_tell():
    model = build("planet_mobilenet_v2", classes=9, width=0.35)
    model.card = card_with(MADE)
    random = torch.Generator().manual_seed(0)
    features = torch.randn(9, 1280, generator=random).repeat(6, 1)
    features += 0.1 * torch.randn(features.shape, generator=random)
    means = torch.from_numpy(MADE.means).repeat(6, 1)
    nudge = 0.01 * torch.randn(means.shape, generator=random, dtype=torch.float64)
    said = probe.fit(model, (features, means + nudge))
    assert said.startswith("regression on 54 photographs' features")
    found = model.classifier(features).argmax(1)
    assert (found == torch.arange(9).repeat(6)).float().mean() > 0.9
    with pytest.raises(ValueError, match="finite"):
        probe.fit(model, (features * math.nan, means))
