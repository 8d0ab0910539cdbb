import json

import numpy as np
import pytest
from PIL import Image

from mobilenets.tasks.geolocate import show
from mobilenets.tasks.geolocate.cells import Cell
from mobilenets.tasks.geolocate.read import CellShare, Circle, Whereabouts
from mobilenets.tasks.geolocate.show import maps
from mobilenets.tasks.geolocate.show.answers import answers_json, draw_answers, window_of
from mobilenets.tasks.geolocate.show.outline import outline
from mobilenets.tasks.geolocate.sphere import distances
from tests.tasks.geolocate.places import atlas

SEEN = Whereabouts(
    45.8,
    16.0,
    (Circle(0.5, 30.0), Circle(0.9, 120.0)),
    tuple(CellShare(cell, 0.3 - 0.02 * i) for i, cell in enumerate(atlas(9).cells)),
)


def colour(picture: Image.Image, window: maps.MapWindow, lat: float, lon: float):
    ((x, y),) = window.pixels(np.array([lon]), np.array([lat]))
    return picture.getpixel((round(x), round(y)))


@pytest.mark.parametrize(
    ("lat", "lon", "kind"),
    [
        (48, 10, maps.LAND),  # Bavaria
        (-25, 134, maps.LAND),  # the middle of Australia
        (66, 179, maps.LAND),  # Chukotka, on both sides of the date line
        (66.5, -175.5, maps.LAND),
        (-85, 100, maps.LAND),  # Antarctica, around the pole
        (40, -40, maps.SEA),
        (0, 80, maps.SEA),
        (42.0, 51.0, maps.SEA),  # the Caspian, a hole in the land
        (75, -10, maps.SEA),
    ],
)
def test_land_is_where_it_is(lat, lon, kind):
    window = maps.world((720, 360))
    picture = maps.draw_map(window, Whereabouts(0.0, -150.0, ()))
    assert colour(picture, window, lat, lon) == kind


def test_the_outline_is_all_there():
    assert (len(outline().land), len(outline().holes)) == (125, 1)
    assert sum(map(len, outline().land)) > 4900


def test_a_circle_is_as_far_away_everywhere():
    for lat, lon, radius in ((45.0, 16.0, 120.0), (-17.0, 179.5, 800.0), (89.0, 0.0, 50.0)):
        lons, lats = maps.circle_of(lat, lon, radius)
        away = distances([(lat, lon)], np.stack([lats, lons], 1))[0]
        np.testing.assert_allclose(away, radius, rtol=1e-6)


def test_a_cell_is_shaded_by_its_share_on_both_sides_of_the_date_line():
    corners = ((10.0, 170.0), (10.0, -170.0), (-10.0, -170.0), (-10.0, 170.0))
    cell = Cell("x", 3, corners, (0.0, 180.0), 1.0, 1)
    other = cell._replace(corners=tuple((lat, lon - 60) for lat, lon in corners))
    window = maps.world((720, 360))
    seen = Whereabouts(0.0, 0.0, (), (CellShare(cell, 0.8), CellShare(other, 0.2)))
    picture = maps.draw_map(window, seen, box=window)
    east, west = (colour(picture, window, 3, lon) for lon in (178, -178))
    assert east == west
    assert east[0] > colour(picture, window, 3, 122)[0] > maps.SEA[0] + 10


def test_a_cell_around_a_pole_covers_it():
    corners = tuple((80.0, lon) for lon in (0.0, 90.0, 180.0, -90.0))
    cell = Cell("x", 3, corners, (90.0, 0.0), 1.0, 1)
    window = maps.world((720, 360))
    picture = maps.draw_map(window, Whereabouts(0.0, 0.0, (), (CellShare(cell, 1.0),)))
    assert colour(picture, window, 88, -100)[0] > 200


@pytest.mark.parametrize("radius", [0.02, 3.0, 120.0, 4000.0, 15000.0])
@pytest.mark.parametrize("lat", [0.0, 70.0, 89.9])
def test_a_map_shows_the_circle_whole(radius, lat):
    seen = Whereabouts(lat, 179.0, (Circle(0.9, radius),))
    window = maps.around(seen, (300, 150))
    assert -90 <= window.lat - window.height / 2 <= window.lat + window.height / 2 <= 90
    if radius < 4000 and lat < 80:
        top, bottom = lat + radius / maps.KILOMETRES, lat - radius / maps.KILOMETRES
        assert window.lat - window.height / 2 <= bottom < top <= window.lat + window.height / 2
    assert maps.draw_map(window, seen).size == (300, 150)


def test_a_photograph_stands_over_its_maps():
    picture = show.draw(Image.new("RGB", (500, 300), (1, 200, 3)), SEEN)
    assert picture.size[0] == 640
    assert picture.getpixel((320, 10)) == (1, 200, 3)
    assert show.draw(Image.new("RGB", (500, 300)), Whereabouts(1.0, 2.0, ())).size[0] == 640
    assert show.mask(SEEN) is None


def test_rows_and_json():
    assert show.describe(SEEN) == [
        ("45.8000 N, 16.0000 E, within 30.0 km", 0.5),
        ("45.8000 N, 16.0000 E, within 120 km", 0.9),
    ]
    found = json.loads(json.dumps(show.to_json(SEEN)))
    assert (found["lat"], found["radius_50_km"], found["radius_90_km"]) == (45.8, 30.0, 120.0)
    assert len(found["cells"]) == 9
    assert found["cells"][0]["share"] == 0.3
    assert len(found["cells"][0]["corners"]) == 4


def test_geojson_has_the_longitude_first():
    found = json.loads(show.together([("a.jpg", SEEN)], "mobilenets predict"))
    (feature,) = found["features"]
    assert feature["geometry"] == {"type": "Point", "coordinates": [16.0, 45.8]}
    assert feature["properties"]["image"] == "a.jpg"
    assert found["generator"] == "mobilenets predict"


def near(picture, window, lat, lon, kind):
    """Whether a position that is on the map has that colour."""
    ((x, y),) = window.pixels(np.array([lon]), np.array([lat]))
    inside = 0 <= x < window.size[0] and 0 <= y < window.size[1]
    return inside and picture.getpixel((round(x), round(y))) == kind


@pytest.mark.parametrize("lon", [15.0, 179.0], ids=["Croatia", "across the date line"])
def test_one_map_has_all_answers_and_all_truths(lon):
    truths = np.array([[45.0, lon], [43.0, lon + 2], [46.0, lon - 2]])
    found = truths + np.array([[0.5, 1.0], [-0.5, 0.5], [0.3, -0.8]])
    for side in (truths, found):
        side[:, 1] = (side[:, 1] + 180) % 360 - 180
    window = window_of(np.concatenate([truths, found]))
    picture = draw_answers(truths, found)
    assert window.height < 8
    for positions, kind in ((truths, maps.BOX), (found, maps.POINT)):
        for lat, at in positions:
            assert any(near(picture, window, lat, at + turn, kind) for turn in (-360, 0, 360))


def test_a_map_of_nothing_or_of_all_is_the_earth():
    assert window_of(np.zeros((0, 2))).height == 180
    assert window_of(np.array([[70.0, 0.0], [-70.0, 180.0]])).height == 180
    assert window_of(np.array([[45.0, 16.0]])).height < 0.01


def test_answers_as_geojson_say_how_far_off_they_are():
    truths, found = np.array([[45.0, 16.0]]), np.array([[45.0, 17.0]])
    (one,) = json.loads(answers_json(["a.jpg"], truths, found, np.array([[5.0, 90.0]]), "w"))[
        "features"
    ]
    assert one["geometry"]["coordinates"] == [17.0, 45.0]
    said = one["properties"]
    assert said["image"] == "a.jpg"
    assert (said["true_lat"], said["true_lon"]) == (45.0, 16.0)
    assert said["km"] == pytest.approx(78.6, abs=0.1)  # a degree at 45 north
    assert (said["radius_50_km"], said["radius_90_km"]) == (5.0, 90.0)
