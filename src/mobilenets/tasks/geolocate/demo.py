"""The demo: where on a made-up earth a view was drawn."""

from collections.abc import Sequence

from mobilenets.tasks.geolocate.formats.globe import GLOBE
from mobilenets.tasks.geolocate.read import Whereabouts
from mobilenets.tasks.geolocate.sphere import length, pairwise
from mobilenets.tasks.values import Demo, Judged

DEMO = Demo(
    "Geolocation",
    "planet_mobilenet_v2",
    {"epochs": 4, "learning_rate": 0.02, "crop_scale": 0.8, "probe": False},
    metric="median_km",
    threshold=3500.0,
    guessing="one place for all gives 9100",
    resolution=64,
    data=GLOBE,
    agreement=10.0,
)


NEAR = 2500.0
"""Kilometres: the coarsest of the distances that are measured, a continent's."""


def judge(decoded: Whereabouts, target: tuple[float, float], classes: Sequence[str]) -> Judged:
    """Right within 2500 km, the nearest first: a circle that is wide proves nothing."""
    away = float(pairwise([(decoded.lat, decoded.lon)], [target])[0])
    return Judged(Whereabouts(*target, ()), away <= NEAR, -away, f"{length(away)} off")
