"""VOC's XML as other tools write it."""

import math

import numpy as np
import pytest

from mobilenets.tasks.detect.data import open_detection, open_parts
from tests.data.labelled import kinds, names
from tests.tasks.detect.formats.files import put, voc, write

BOX = ("cat", 11, 6, 40, 30)
"""10, 5, 40, 30 as edges."""


TURN = math.pi / 2


@pytest.fixture
def pets(tmp_path):
    put(tmp_path / "JPEGImages", "a.jpg", "b.jpg")
    for name in "ab":
        voc(tmp_path / f"Annotations/{name}.xml", [BOX])
    return tmp_path


def change(root, old, new, encoding="utf-8"):
    for name in "ab":
        path = root / f"Annotations/{name}.xml"
        path.write_bytes(path.read_text().replace(old, new).encode(encoding))


def check(root, box=(10, 5, 40, 30), classes=("cat",)):
    data = open_detection(root, "all")
    assert names(data) == ["JPEGImages/a.jpg", "JPEGImages/b.jpg"]
    assert data.classes == classes
    for i in range(2):
        assert np.allclose(data.target(i).boxes, [box], atol=1e-4)
    return data


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("<difficult>0</difficult>", ""),
        ("<width>60</width>", "<width>60.0</width>"),
        ("<size>", "<size><!-- -->"),
        (">11<", "> 11.0\n<"),
        (".jpg</filename>", "</filename>"),
        (".jpg</filename>", ".png</filename>"),
        ("<filename>", "<filename>C:\\set\\JPEGImages\\"),
        ("<annotation>", "<annotation verified='yes'><path>D:\\x</path>"),
    ],
)
def test_what_makes_no_difference(pets, old, new):
    change(pets, old, new)
    assert kinds(check(pets)) == {}


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        *(("utf-16", "utf-16"), ("latin-1", "latin-1"), ("ISO-8859-1", "latin-1")),
        *(("windows-1252", "cp1252"), ("gb2312", "gbk"), ("Shift_JIS", "shift_jis")),
        *(("UTF-8", "utf-8-sig"), ("utf-8", "utf-8")),
    ],
)
def test_encodings(pets, declared, encoding):
    word = "猫" if encoding in ("gbk", "shift_jis", "utf-16") else "Kätzchen"
    change(pets, "cat", word)
    change(
        pets, "<annotation>", f'<?xml version="1.0" encoding="{declared}"?><annotation>', encoding
    )
    assert kinds(check(pets, classes=(word,))) == {}


def test_bytes_that_are_no_text_are_lost_in_paths_but_not_in_names(pets):
    path = pets / "Annotations/a.xml"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"<size>", "<folder>图片</folder><size>".encode("gbk")))
    check(pets)
    path.write_bytes(whole.replace(b"cat", "狗".encode("gbk")))
    [broken] = [p for p in open_detection(pets, "all").problems if p.kind == "broken"]
    assert "a class's name is not text in UTF-8" in broken.sentence


@pytest.mark.parametrize(
    ("corners", "box", "note"),
    [
        ((10.25, 5.5, 40.75, 30.0), (10.25, 5.5, 40.75, 30), "corners have fractions here"),
        ((0.25, 0.25, 0.5, 0.75), (15, 10, 30, 30), "shares of the image's sides"),
    ],
)
def test_fractions_are_edges_or_shares(pets, corners, box, note):
    for name in "ab":
        voc(pets / f"Annotations/{name}.xml", [("cat", *corners)])
    assert any(note in one for one in check(pets, box).notes)


@pytest.mark.parametrize(
    "shape",
    [
        f"<robndbox><cx>25</cx><cy>17.5</cy><w>25</w><h>30</h><angle>{TURN}</angle></robndbox>",
        "<polygon><x1>10</x1><y1>5</y1><x2>40</x2><y2>6</y2><x3>20</x3><y3>30</y3></polygon>",
        "<polygon><pt><x>10</x><y>5</y></pt><pt><x>40.0</x><y>30</y></pt></polygon>",
    ],
)
def test_rotated_boxes_and_polygons(pets, shape):
    text = f"<annotation><object><name>cat</name>{shape}</object></annotation>"
    for name in "ab":
        write(pets / f"Annotations/{name}.xml", text)
    data = check(pets, (9, 4, 40, 30) if "polygon" in shape else (10, 5, 40, 30))
    assert kinds(data) == {"polygon": 2}


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("ImageSets/Main/{}.txt", "{}"),
        ("ImageSets/Main/{}.txt", "{}.jpg"),
        ("ImageSets/Main/{}.txt", "JPEGImages/{}.jpg"),
        ("ImageSets/Main/{}.txt", "D:\\set\\JPEGImages\\{}.jpg"),
        ("ImageSets/Main/{}.txt", "./JPEGImages/{0}.jpg ./Annotations/{0}.xml"),
        ("ImageSets/{}.txt", "{}"),
    ],
)
def test_lists_name_images_in_many_ways(pets, file, line):
    write(pets / file.format("train"), line.format("a") + "\r\n")
    write(pets / file.format("val"), line.format("b"))
    found = {part: names(data) for part, data in open_parts(pets).items()}
    assert found == {"train": ["JPEGImages/a.jpg"], "val": ["JPEGImages/b.jpg"]}


def test_a_file_that_names_another_image_is_its_own_names(pets):
    change(pets, "<filename>a.jpg", "<filename>b.jpg")
    data = check(pets)
    assert kinds(data) == {"renamed": 1}
    assert data.problems[0].names == ("Annotations/a.xml (b.jpg)",)


def test_folders_of_parts_in_both_folders(tmp_path):
    for part in ("train", "val"):  # the same name in both
        put(tmp_path, f"JPEGImages/{part}/a.jpg")
        voc(tmp_path / f"Annotations/{part}/a.xml", [BOX])
    found = {part: names(data) for part, data in open_parts(tmp_path).items()}
    assert found == {"train": ["JPEGImages/train/a.jpg"], "val": ["JPEGImages/val/a.jpg"]}


def test_two_files_for_one_image_are_taken_together(tmp_path):
    put(tmp_path, "a.jpg")
    voc(tmp_path / "a.xml", [BOX])
    voc(tmp_path / "annotations" / "a.xml", [("dog", 1, 1, 9, 9), BOX])
    data = open_detection(tmp_path, "all")
    assert names(data) == ["a.jpg"]
    assert data.target(0).labels.tolist() == [0, 1]
    assert kinds(data) == {"repeated": 1, "duplicate": 1}


def test_xml_of_other_tools_hides_nothing(tmp_path):
    put(tmp_path, "images/a.jpg")
    write(tmp_path / "labels/a.txt", "0 .5 .5 .5 .5")
    write(tmp_path / "project.xml", "<?xml version='1.0'?><!-- <annotation> --><project></project>")
    data = open_detection(tmp_path, "all")
    assert data.kind == "YOLO text"
    assert not any("VOC" in note for note in data.notes)
