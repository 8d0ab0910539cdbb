import json

import numpy as np
import pytest

from mobilenets.data.splits import Split
from mobilenets.errors import DataError
from mobilenets.tasks.geolocate.data import open_parts, open_places
from mobilenets.tasks.geolocate.formats.exif import position_of
from mobilenets.tasks.geolocate.formats.names import position_in_name
from mobilenets.tasks.geolocate.formats.parts import places_of
from mobilenets.tasks.geolocate.formats.spots import Spot
from mobilenets.tasks.geolocate.sphere import distances
from tests.tasks.geolocate.places import photo

ZAGREB = {1: "N", 2: (45.0, 48.0, 46.0), 3: "E", 4: (15.0, 58.0, 38.0)}


@pytest.mark.parametrize(
    ("gps", "expected"),
    [
        (ZAGREB, (45.812778, 15.977222, "")),
        ({**ZAGREB, 1: "S", 3: "W\0"}, (-45.812778, -15.977222, "")),
        ({**ZAGREB, 1: b"n"}, (45.812778, 15.977222, "")),
        ({**ZAGREB, 2: (45.5,)}, (45.5, 15.977222, "")),
        ({k: v for k, v in ZAGREB.items() if k != 3}, (None, None, "no reference")),
        ({1: "N", 3: "E"}, (None, None, "no position")),
        ({}, (None, None, "no position")),
        ({**ZAGREB, 2: ("x", 1, 2)}, (None, None, "no number")),
    ],
)
def test_exif(gps, expected):
    found = position_of(gps)
    assert found.problem == expected[2]
    if not expected[2]:
        assert (found.lat, found.lon) == pytest.approx(expected[:2], abs=1e-6)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/img_-1.07,-79.97.jpg", (-1.07, -79.97)),
        ("45.1398_15.7664.png", (45.1398, 15.7664)),
        ("@0571@4155@33@T@45.11@-15.76@pano@@90@@@@2020@@.jpg", (45.11, -15.76)),
        ("@0571@4155@33@T@45.11@east@pano@.jpg", None),
        ("IMG_20240102_101010.jpg", None),
        ("v1.2_3.4.jpg", None),
        ("45.11.jpg", None),
    ],
)
def test_names(name, expected):
    assert position_in_name(name) == expected


def lay(folder, kind: str):
    """Six photographs at three places with positions of a kind, and what is wrong with others."""
    spots = [(40.0 + i // 2, 10.0 + i) for i in range(6)]
    names = [f"photos/{i}.jpg" for i in range(6)]
    if kind == "exif":
        for name, (lat, lon) in zip(names, spots, strict=True):
            photo(folder / name, {1: "N", 2: (lat, 0.0, 0.0), 3: "E", 4: (lon, 0.0, 0.0)})
        photo(folder / "none.jpg")
        photo(folder / "null.jpg", {1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
        return folder, spots, {"no position": 1, "null": 1}
    if kind == "names":
        for lat, lon in spots:
            photo(folder / f"x_{lat:.2f},{lon:.2f}.jpg")
        photo(folder / "x_95.00,10.00.jpg")
        return folder, spots, {"out of range": 1}
    for name in (*names, "far.jpg", "null.jpg", "text.jpg"):
        photo(folder / name)
    rows = [*zip(names, spots, strict=True), ("far.jpg", (10, 181)), ("null.jpg", (0, 0))]
    rows += [("text.jpg", ("north", "east")), ("gone.jpg", (1, 2))]
    wrong = {"out of range": 1, "null": 1, "no number": 1, "missing": 1}
    if kind == "geojson":
        features = [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [lon, lat, 120.0]},
                "properties": {"Image": name},
            }
            for name, (lat, lon) in rows
        ]
        text = json.dumps({"type": "FeatureCollection", "features": features})
        (folder / "places.geojson").write_text(text)
    elif kind == "csv":
        lines = [f"{name},{lat},{lon}" for name, (lat, lon) in rows]
        (folder / "places.csv").write_text("\n".join(["image,lat,lon", *lines]))
    elif kind == "tsv":
        lines = [f"{lon}\t{lat}\t{name}" for name, (lat, lon) in rows]
        (folder / "places.tsv").write_text("\n".join(["Lng\tLatitude\tfilename", *lines]))
    else:  # ids without suffixes, as large collections have them
        lines = [f"{name.split('/')[-1][:-4]},{lat},{lon}" for name, (lat, lon) in rows]
        (folder / "list.csv").write_text("\n".join(["IMG_ID,LAT,LON", *lines]))
    return folder, spots, wrong


@pytest.mark.parametrize("kind", ["exif", "names", "csv", "tsv", "geojson", "ids"])
def test_positions_are_read_and_wrong_ones_named(tmp_path, kind):
    folder, spots, wrong = lay(tmp_path, kind)
    found = open_places(folder, "all")
    targets = sorted(found.target(i) for i in range(len(found)))
    np.testing.assert_allclose(targets, sorted(spots))
    assert {problem.kind: problem.count for problem in found.problems} == wrong
    for problem in found.problems:
        assert any(problem.sentence in note for note in found.notes)
        assert "left out" in problem.sentence
    assert found.image(0).size == (40, 30)
    assert found.image_size(0) == (40, 30)


def write(folder, rows, header="image,lat,lon,split,group"):
    for row in rows:
        photo(folder / row.split(",")[0])
    (folder / "list.csv").write_text("\n".join([header, *rows]))
    return folder


def names(folder, split: Split) -> set[str]:
    found = open_places(folder, split)
    return {found.name(i) for i in range(len(found))}


def held_apart(folder) -> tuple[set[str], set[str]]:
    """The names for training and for validation, which have no place (`PLACE-3.jpg`) in common."""
    train, val = names(folder, "train"), names(folder, "val")
    assert val
    assert not {name.split("-")[0] for name in train} & {name.split("-")[0] for name in val}
    return train, val


def test_near_copies_are_never_on_both_sides(tmp_path):
    rows = [
        f"{place}-{k}.jpg,{40 + place * 0.5},{10 + k * 1e-6},,"
        for place in range(12)
        for k in range(4)
    ]
    write(tmp_path, rows)
    train, val = held_apart(tmp_path)
    assert len(train | val) == 48
    assert 4 <= len(val) <= 16
    notes = open_places(tmp_path, "val").notes
    assert any("places are held out for validation" in note for note in notes)
    assert names(tmp_path, "eval") == val


def test_a_group_is_one_place_wherever_it_was(tmp_path):
    rows = [
        f"{album}-{k}.jpg,{40 + k * 2},{10 + album * 2},,album {album}"
        for album in range(8)
        for k in range(3)
    ]
    held_apart(write(tmp_path, rows))


def test_parts_of_the_data_hold_and_torn_groups_are_named(tmp_path):
    rows = ["a.jpg,40,10,train,one", "b.jpg,41,10,val,one", "c.jpg,42,10,test,two"]
    write(tmp_path, rows)
    assert [names(tmp_path, split) for split in ("train", "val", "test")] == [
        {"a.jpg"},
        {"b.jpg"},
        {"c.jpg"},
    ]
    assert any("one (train and val)" in note for note in open_places(tmp_path, "train").notes)
    assert set(open_parts(tmp_path)) == {"train", "val", "test"}


@pytest.mark.parametrize(
    ("header", "row", "words"),
    [
        ("image,lat,long,split", "a.jpg,1,2,later", "line 2: split must be train, val or test"),
        ("image,lat,lon", ",1,2", "line 2 has no image"),
        ("image,lat,lon", "a.jpg,1,2\na.jpg,1,3", "no image with a position: 1 image is named"),
        ("image,lat,lon", "gone.jpg,1,2", "none of the 1 image of list.csv exist"),
    ],
)
def test_what_is_wrong_with_a_list_is_named(tmp_path, header, row, words):
    photo(tmp_path / "a.jpg")
    (tmp_path / "list.csv").write_text(f"{header}\n{row}\n")
    with pytest.raises(DataError, match=words):
        open_places(tmp_path, "all")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"type": "FeatureCollection"', "not JSON"),
        ('{"type": "FeatureCollection"}', "no list of features"),
        ('{"type": "FeatureCollection", "features": [{"geometry": {"type": "Line"}}]}', "no point"),
        (
            '{"type": "FeatureCollection", "features": [{"geometry": {"type": "Point"}}]}',
            "feature 1 has no coordinates",
        ),
        (
            '{"type": "FeatureCollection", "features": '
            '[{"geometry": {"type": "Point", "coordinates": [1, 2]}}]}',
            "feature 1 names no image",
        ),
    ],
)
def test_what_is_wrong_with_geojson_is_named(tmp_path, text, words):
    photo(tmp_path / "a.jpg")
    (tmp_path / "a.geojson").write_text(text)
    with pytest.raises(DataError, match=words):
        open_places(tmp_path, "all")


def test_no_positions_and_one_place_are_said(tmp_path):
    photo(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"no image with a position: 1 image has no position.*GPS"):
        open_places(tmp_path, "train")
    write(tmp_path, ["a.jpg,40,10,,", "b.jpg,40,10,,"])
    with pytest.raises(DataError, match="all were taken at one place"):
        open_places(tmp_path, "val")
    with pytest.raises(DataError, match="no such data folder"):
        open_places(tmp_path / "gone", "train")


def test_rare_cells_are_left_out_and_counted(tmp_path):
    rows = [f"{i}.jpg,{45 + i * 1e-3},15,train," for i in range(9)]
    write(tmp_path, [*rows, "far.jpg,-33,151,train,", "v.jpg,-33,151,val,"])
    found = open_places(tmp_path, "train", most=9, least=2)
    assert len(found) == 9
    assert len(found.classes) == 1
    assert len(found.kept["cells"]) == 1
    assert any("1 cell has fewer than 2: left out with 1 photographs" in n for n in found.notes)
    assert [p.names for p in found.problems if p.kind == "rare"] == [("far.jpg",)]
    assert open_places(tmp_path, "val").classes == ()


@pytest.mark.parametrize("scale", [1.0, 3e-3])
def test_a_place_is_as_large_as_the_set_asks_for(scale):
    random = np.random.default_rng(0)
    points = np.array([45, 15]) + scale * random.uniform(-2, 2, (300, 2))
    spots = [Spot(str(i), float(lat), float(lon)) for i, (lat, lon) in enumerate(points)]
    squares = places_of(spots)
    assert len(set(squares)) > 200  # far from one another, on a campus as in a country
    largest = 0.0
    for square in set(squares):
        inside = points[[i for i, one in enumerate(squares) if one == square]]
        largest = max(largest, float(distances(inside, inside).max()))
    assert largest <= (1.5 if scale == 1 else 0.015)


def test_the_labels_of_a_run_tell_positions_apart(tmp_path):
    write(tmp_path, ["a.jpg,40,10,,", "b.jpg,41,10,,"])
    before = open_places(tmp_path, "all").labels_digest()
    write(tmp_path, ["a.jpg,40,10,,", "b.jpg,41,10.001,,"])
    assert open_places(tmp_path, "all").labels_digest() != before
