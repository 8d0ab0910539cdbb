import xml.etree.ElementTree as ET
from collections import Counter

import numpy as np
import pytest

from mobilenets.errors import DataError
from mobilenets.tasks.detect.data import open_detection, open_parts
from tests.data.labelled import image_sets, kinds, names
from tests.tasks.detect.formats.files import WRONG_BOXES, put, voc, write


@pytest.fixture
def pets(tmp_path):
    """Images 1 .. 6: 1 to 3 for train, 4 val, 5 test, 6 in no list."""
    for i in range(1, 7):
        put(tmp_path, f"JPEGImages/{i}.jpg")
        voc(tmp_path / f"Annotations/{i}.xml", [("cat", 1, 1, 10, 20), ("dog", 31, 21, 60, 40, 1)])
    lists = image_sets(tmp_path / "ImageSets" / "Main", test="5 1")
    write(lists / "cat_train.txt", "1 1\n2 -1\n")
    return tmp_path


@pytest.mark.assets
def test_real_cells_are_what_their_files_say(assets):
    root = assets / "bccd"
    parts = {}
    for part, images in (("train", 205), ("val", 87), ("test", 72)):
        data = parts[part] = open_detection(root, part)
        listed = (root / "ImageSets" / "Main" / f"{part}.txt").read_text().split()
        assert names(data) == [f"JPEGImages/{name}.jpg" for name in sorted(listed)]
        assert len(data) == images
        assert data.classes == ("Platelets", "RBC", "WBC")
        assert data.problems == []
        for i, name in enumerate(sorted(listed)):
            objects = ET.parse(root / "Annotations" / f"{name}.xml").findall("object")
            target = data.target(i)
            assert [data.classes[label] for label in target.labels] == [
                str(one.findtext("name")) for one in objects
            ]
            corners = [[int(v.text or "") for v in one.find("bndbox") or ()] for one in objects]
            wanted = np.array(corners).reshape(-1, 4) - [1, 1, 0, 0]
            assert (target.boxes == wanted).all()
    assert open_detection(root, "eval").files == parts["val"].files
    counts = Counter(str(parts["train"].classes[v]) for v in parts["train"].table.labels)
    assert counts == {"RBC": 2382, "WBC": 214, "Platelets": 209}


def test_corners_are_counted_from_one_and_belong_to_the_box(pets):
    target = open_detection(pets, "train").target(0)
    assert target.boxes.tolist() == [[0, 0, 10, 20], [30, 20, 60, 40]]
    assert target.areas.tolist() == [200, 600]
    assert target.difficult.tolist() == [False, True]
    assert not target.crowd.any()


def test_data_that_counts_from_zero_is_seen_and_noted(pets):
    voc(pets / "Annotations/1.xml", [("cat", 0, 0, 10, 20), ("cat", 0, 5, 60, 40)])
    voc(pets / "Annotations/2.xml", [("cat", 0, 0, 10, 20), ("cat", 5, 0, 60, 40)])
    data = open_detection(pets, "train")  # four corners at 0, eight at 1
    assert data.target(0).boxes.tolist() == [[0, 0, 10, 20], [0, 4, 60, 40]]
    assert not data.notes[2:]  # one on the test part, one on a file in no list
    for i in (3, 4, 5, 6):
        voc(pets / f"Annotations/{i}.xml", [("cat", 5, 5, 10, 20)])
    data = open_detection(pets, "train")
    assert data.target(0).boxes.tolist() == [[0, 0, 10, 20], [0, 5, 60, 40]]
    assert any("counted from 0" in note for note in data.notes)


def test_the_lists_say_the_parts(pets):
    found = {split: names(open_detection(pets, split)) for split in ("train", "val", "test")}
    assert found == {
        "train": ["JPEGImages/1.jpg", "JPEGImages/2.jpg", "JPEGImages/3.jpg"],
        "val": ["JPEGImages/4.jpg"],
        "test": ["JPEGImages/5.jpg"],
    }
    assert len(open_detection(pets, "all")) == 5
    assert kinds(open_detection(pets, "all")) == {"unlisted": 1}
    assert list(open_parts(pets)) == ["train", "val", "test"]


def test_trainval_without_the_others_is_for_training_and_some_is_held_out(pets):
    lists = pets / "ImageSets" / "Main"
    (lists / "train.txt").unlink()
    assert names(open_detection(pets, "train")) == [f"JPEGImages/{i}.jpg" for i in (1, 2, 3)]
    (lists / "val.txt").unlink()
    train, val = open_detection(pets, "train"), open_detection(pets, "val", val_fraction=0.25)
    assert len(val) == 1
    assert sorted(names(train) + names(val)) == [f"JPEGImages/{i}.jpg" for i in (1, 2, 3, 4)]
    assert any("held out for validation" in note for note in train.notes)
    assert len(open_detection(pets, "eval")) == 1
    assert names(open_detection(pets, "eval")) != ["JPEGImages/5.jpg"]  # its test part


def test_an_image_in_two_lists_is_not_trained_on(pets):
    write(pets / "ImageSets" / "Main" / "val.txt", "3\n4\nnobody\n")
    train, val = open_detection(pets, "train"), open_detection(pets, "val")
    assert names(train) == ["JPEGImages/1.jpg", "JPEGImages/2.jpg"]
    assert names(val) == ["JPEGImages/3.jpg", "JPEGImages/4.jpg"]
    assert kinds(train) == {"overlap": 1, "absent": 1, "unlisted": 1}


def test_files_beside_their_images_in_part_folders(tmp_path):
    for part in ("train", "valid"):
        for i in range(2):  # the same names in both
            put(tmp_path, f"{part}/{i}.png")
            voc(tmp_path / part / f"{i}.xml", [(part[0], 1, 1, 9, 9)] if i else [("t", 1, 1, 8, 8)])
    assert names(open_detection(tmp_path, "train")) == ["train/0.png", "train/1.png"]
    val = open_detection(tmp_path, "val")
    assert names(val) == ["valid/0.png", "valid/1.png"]
    assert kinds(val) == {"unknown class": 1, "no objects": 1}


def test_a_data_set_in_a_folder_of_its_own_is_found_and_of_several_one_must_be_named(pets):
    root = pets / "VOCdevkit" / "VOC2007"
    voc(root / "Annotations/1.xml", [("cat", 1, 1, 10, 20)])
    put(root, "JPEGImages/1.jpg")
    assert len(open_detection(pets / "VOCdevkit", "all")) == 1
    voc(pets / "VOCdevkit" / "VOC2012" / "Annotations/1.xml", [])
    with pytest.raises(DataError, match="several data sets, give one of them: VOC2007, VOC2012"):
        open_detection(pets / "VOCdevkit", "all")


def test_broken_files_are_named_and_left_out_with_their_images(pets):
    whole = (pets / "Annotations/1.xml").read_text()
    write(pets / "Annotations/1.xml", whole[: len(whole) // 2])
    write(pets / "Annotations/2.xml", "<html></html>")
    data = open_detection(pets, "train")
    assert names(data) == ["JPEGImages/3.jpg"]
    [broken] = [p for p in data.problems if p.kind == "broken"]
    assert broken.count == 2
    assert "Annotations/1.xml (" in broken.sentence
    assert "<html>, not <annotation>" in broken.sentence
    for path in (pets / "Annotations").iterdir():
        write(path, b"\x00\xff")
    with pytest.raises(DataError, match=r"no annotation file that can be read: .*5 annotation"):
        open_detection(pets, "train")


def test_objects_that_cannot_be_used_are_counted(pets):
    wrong = [
        *(("cat", 1, 1, 10, 20), ("cat", 1, 1, 10, 20), ("dog", 1, 1, 10, 20)),
        *(("cat", 5, 5, 5, 5), ("cat", 9, 9, 3, 3), ("cat", 9, 9, 8, 20)),
        *(("cat", "nan", 9, 9, 9), ("cat", "", 9, 9, 9), ("", 9, 9, 9, 9), ("cat", "x", 1, 1, 1)),
        *(("cat", 61, 1, 70, 9), ("cat", 50, 1, 99, 9), ("cat", 1.5, 1, "1e999", 9)),
    ]
    voc(pets / "Annotations/1.xml", wrong)
    (pets / "JPEGImages/2.jpg").unlink()
    put(pets, "JPEGImages/alone.jpg")
    data = open_detection(pets, "train")
    assert data.target(0).boxes.tolist() == [
        *([0, 0, 10, 20], [0, 0, 10, 20], [4, 4, 5, 5], [49, 0, 60, 9]),
    ]
    assert kinds(data) == {
        "missing": 1,
        "unlisted": 1,
        "unlabelled": 1,
        "malformed": 3,
        **WRONG_BOXES,
    }


def test_a_bomb_of_entities_is_a_broken_file(pets):
    bomb = '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {new} "{("&" + old + ";") * 10}">'
        for old, new in zip("abcdefghi", "bcdefghij", strict=True)
    )
    write(pets / "Annotations/1.xml", bomb + "]><annotation>&j;</annotation>")
    assert kinds(open_detection(pets, "train"))["broken"] == 1
