import numpy as np
import pytest

from mobilenets.tasks.geolocate.data import open_places
from mobilenets.tasks.geolocate.formats.globe import Globe, is_globe


def test_views_are_the_same_every_time_and_in_every_order():
    one, other = Globe(48), Globe(48)
    pictures = [one.draw(i).tobytes() for i in range(4)]
    assert [other.draw(i).tobytes() for i in (3, 2, 1, 0)] == pictures[::-1]
    assert len({*pictures}) == 4
    assert Globe(48, seed=1).draw(0).tobytes() != pictures[0]
    assert one.image(0).size == one.image_size(0) == (48, 48)


def test_parts_share_no_view():
    sets = [{Globe(split=part).target(i) for i in range(50)} for part in ("train", "val", "test")]
    assert not sets[0] & sets[1]
    assert not sets[1] & sets[2]
    both = Globe(split="all")
    assert len(both) == 2560
    assert both.target(2048) == Globe(split="val").target(0)


def test_what_a_view_shows_depends_on_the_position():
    from mobilenets.tasks.geolocate.formats.globe import Random, view

    def mean(lat, lon, rows):
        pictures = [np.asarray(view(Random(i), 64, lat, lon), float)[rows] for i in range(8)]
        return np.mean([one.mean((0, 1)) for one in pictures], axis=0)

    sky, soil = slice(0, 8), slice(56, 64)
    assert mean(60, 0, sky)[0] > mean(-40, 0, sky)[0] + 60  # red
    assert np.abs(mean(60, 0, sky) - mean(60, 180, sky)).max() < 25
    assert np.abs(mean(0, 0, soil) - mean(0, 180, soil)).max() > 100


def test_positions_lie_evenly_between_two_latitudes():
    positions = Globe(length=1000).positions
    assert positions[:, 0].min() > -56.1
    assert positions[:, 0].max() < 72.1
    north = (positions[:, 0] > 8).mean()  # half of the sines
    assert north == pytest.approx((np.sin(np.radians(72)) - np.sin(np.radians(8))) / 1.78, abs=0.05)


def test_cells_are_for_training_alone():
    found = open_places("globe", "train")
    assert len(found.classes) == len(found.kept["cells"]) > 50
    assert open_places("globe", "eval").classes == ()
    assert open_places("globe", "eval").split == "val"


def test_a_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert is_globe("globe")
    (tmp_path / "globe").mkdir()
    assert not is_globe("globe")


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"size": 8}, "size"), ({"split": "dev"}, "split"), ({"length": 0}, "length")],
)
def test_wrong_arguments_are_named(changes, words):
    with pytest.raises(ValueError, match=f"{words} must be"):
        Globe(**changes)
    with pytest.raises(IndexError, match="index must be"):
        Globe().target(5000)
