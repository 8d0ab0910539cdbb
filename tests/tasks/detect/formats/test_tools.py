"""Files of boxes that annotation tools write: the same two images each time."""

import json

import numpy as np
import pytest

from mobilenets.errors import DataError
from mobilenets.tasks.detect.data import has_boxes, open_detection, open_parts
from tests.data.labelled import kinds, names, opened
from tests.tasks.detect.formats.files import put, write
from tests.tasks.detect.formats.makers import (
    CAT,
    DOG,
    TABLES,
    TOOLS,
    createml,
    cvat,
    labelme,
    lines,
    studio,
    supervisely,
    via,
)


@pytest.fixture
def pets(tmp_path):
    put(tmp_path / "images", "a.jpg", "b.jpg")
    return tmp_path


@pytest.mark.parametrize(
    "make", [*TOOLS, *TABLES.values()], ids=[*(t.__name__ for t in TOOLS), *TABLES]
)
def test_tools_files_say_the_same(pets, make):
    make(pets)
    assert has_boxes(pets)
    data = open_detection(pets, "all")
    assert names(data) == ["images/a.jpg", "images/b.jpg"]
    assert data.classes == ("cat", "dog")
    assert np.allclose(data.target(0).boxes, [CAT, DOG], atol=1e-3)
    assert np.allclose(data.target(1).boxes, [DOG], atol=1e-3)
    assert [data.target(i).labels.tolist() for i in range(2)] == [[0, 1], [1]]
    assert kinds(data) == {}
    assert not any("tried first" in note or " too: " in note for note in data.notes)


@pytest.mark.parametrize(
    ("make", "file"),
    [
        (createml, "_annotations.createml.json"),
        (cvat, "annotations.xml"),
        (TABLES["tensorflow"], "_annotations.csv"),
        (lines, "images/metadata.jsonl"),
        (studio, "project-1-at-2024.json"),
    ],
)
def test_one_file_is_data_too(pets, make, file):
    make(pets)
    assert sum(len(open_detection(pets / file, "all").target(i).labels) for i in range(2)) == 3


def test_parts_by_folder_by_name_and_by_column(tmp_path):
    for part, name in (("train", "a"), ("test", "b")):
        put(tmp_path / part, f"{name}.jpg")
        head = "filename,width,height,class,xmin,ymin,xmax,ymax\n"
        write(tmp_path / part / "_annotations.csv", head + f"{name}.jpg,60,40,cat,1,1,9,9\n")
    assert [*open_parts(tmp_path)] == ["train", "test"]
    for part in ("train", "test"):
        (tmp_path / part / "_annotations.csv").rename(tmp_path / f"{part}_labels.csv")
    assert [*open_parts(tmp_path)] == ["train", "test"]
    for part in ("train", "test"):
        (tmp_path / f"{part}_labels.csv").unlink()
    rows = "train/a.jpg,cat,1,1,9,9,train\ntest/b.jpg,cat,1,1,9,9,test\n"
    write(tmp_path / "all.csv", "filename,class,xmin,ymin,xmax,ymax,split\n" + rows)
    assert [*open_parts(tmp_path)] == ["train", "test"]


def test_outlines_turned_boxes_and_frames_of_a_video(pets):
    write(
        pets / "annotations.xml",
        '<annotations><image name="a" width="60" height="40" subset="Train">'
        '<polygon label="cat" points="15,10;45.0,12;20,30"/>'
        '<box label="dog" xtl="20" ytl="15" xbr="30" ybr="25" rotation="90"/>'
        '<points label="dog" points="1,1"/></image></annotations>',
    )
    data = open_detection(pets, "all")
    assert np.allclose(data.target(0).boxes, [CAT, (20, 15, 30, 25)], atol=1e-3)
    assert kinds(data) == {"polygon": 2, "malformed": 1}
    put(pets / "images", "frame_000003.jpg")
    write(
        pets / "annotations.xml",
        '<annotations><track id="0" label="cat">'
        '<box frame="3" outside="0" xtl="15" ytl="10" xbr="45" ybr="30"/>'
        '<box frame="4" outside="1" xtl="15" ytl="10" xbr="45" ybr="30"/></track></annotations>',
    )
    data = open_detection(pets, "all")
    assert names(data) == ["images/frame_000003.jpg"]
    assert data.target(0).boxes.tolist() == [list(CAT)]


def test_a_label_studio_box_turns_about_its_corner(pets):
    studio(pets)
    path = pets / "project-1-at-2024.json"
    path.write_text(path.read_text().replace('"rotation": 0', '"rotation": 90'))
    target = open_detection(pets, "all").target(1)  # 6, 4, 12, 8 turned clockwise about 6, 4
    assert np.allclose(target.boxes, [(2, 4, 6, 10)], atol=1e-3)


def test_rows_without_boxes_are_images_without_objects(pets):
    head = "filename,class,xmin,ymin,xmax,ymax\n"
    write(
        pets / "x.csv", head + "a.jpg,cat,1,1,9,9\nb.jpg,,,,,\na.jpg,,1,1,9,9\na.jpg,cat,x,1,9,9\n"
    )
    data = open_detection(pets, "all")
    assert names(data) == ["images/a.jpg", "images/b.jpg"]
    assert kinds(data) == {"malformed": 2, "no objects": 1}


def test_a_table_without_boxes_is_for_others(pets):
    write(pets / "data.csv", "image,label,x,y\na.jpg,cat,1,2\n")
    assert not has_boxes(pets)
    with pytest.raises(DataError, match=r"data\.csv: data is a folder, a COCO \.json"):
        open_detection(pets / "data.csv", "all")


ODD = [None, True, -1, 1.5, 10**400, "", "a.jpg", "\0", "..", [], {}, ["a"], "1e999", "http://["]


@pytest.mark.parametrize("make", [t for t in TOOLS if t not in (cvat, lines)])
@pytest.mark.parametrize("seed", range(3))
def test_values_of_another_type_are_counted_or_refused(pets, make, seed):
    make(pets)
    path = next(p for p in sorted(pets.rglob("*.json")) if p.name != "meta.json")
    whole = json.loads(path.read_text())
    for i, (holder, key) in enumerate(nodes(whole)):
        if i % 3 == seed:
            kept, holder[key] = holder[key], ODD[i % len(ODD)]
            path.write_text(json.dumps(whole))
            holder[key] = kept
            opened(pets, open_detection)


def nodes(value):
    """Every place in a JSON value, as what holds it and its key there."""
    keys = list(value) if isinstance(value, dict) else range(len(value))
    for key in keys if isinstance(value, dict | list) else ():
        yield value, key
        if isinstance(value[key], dict | list):
            yield from nodes(value[key])


@pytest.mark.parametrize("make", [labelme, createml, cvat, studio, via, lines, supervisely])
def test_a_file_that_is_cut_short_is_named(pets, make):
    make(pets)
    path = next(p for p in sorted(pets.rglob("*")) if p.suffix in (".json", ".xml", ".jsonl") and p.name != "meta.json")  # fmt: skip # noqa: E501
    path.write_bytes(path.read_bytes()[:-40])
    if make in (labelme, supervisely):
        data = open_detection(pets, "all")
        assert kinds(data)["broken"] == 1
        assert names(data) == ["images/b.jpg"]
    else:
        with pytest.raises(DataError, match=f"{path.name}"):
            open_detection(pets, "all")
