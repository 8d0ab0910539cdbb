"""YOLO's text as tools write it, and lists of images from other machines."""

import numpy as np
import pytest

from mobilenets.errors import DataError
from mobilenets.tasks.detect.data import open_detection, open_parts
from tests.data.labelled import kinds, names
from tests.tasks.detect.formats.files import put, write

BOX = "0.5 0.5 0.5 0.5"
"""15, 10, 45, 30 in pixels."""
POINTS = ["0.4 0.4 {0} 0.6 0.3 {0} 0.7 0.7 {0}", "0.3 0.5 {0} 0 0 {0} 0.5 0.4 {0}"]
OUTLINE = "0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75"


@pytest.fixture
def pets(tmp_path):
    put(tmp_path, "images/train/a.jpg", "images/train/b.jpg")
    return tmp_path


def labels(root, *lines):
    """The same lines for both images."""
    for name in "ab":
        write(root / f"labels/train/{name}.txt", "\n".join(lines))


def check(root, boxes=((15, 10, 45, 30),)):
    data = open_detection(root, "all")
    assert names(data) == ["images/train/a.jpg", "images/train/b.jpg"]
    for i in range(2):
        assert np.allclose(data.target(i).boxes, boxes, atol=1e-4)
    return data


@pytest.mark.parametrize(
    "line",
    [
        *(f"0 {BOX}", f"0.0 {BOX}", f"0\t{BOX}", f"0 {BOX}\r", f"  0  {BOX}  ", f"\ufeff0 {BOX}"),
        *("0,0.5,0.5,0.5,0.5", "0, 0.5, 0.5, 0.5, 0.5", "0;0.5;0.5;0.5;0.5", "0 0,5 0,5 0,5 0,5"),
    ],
)
def test_separators_and_marks(pets, line):
    labels(pets, line, "", "")
    assert kinds(check(pets)) == {}


def test_text_in_another_encoding(pets):
    labels(pets, f"0 {BOX}")
    for name in "ab":
        write(pets / f"labels/train/{name}.txt", f"0 {BOX}\r\n".encode("utf-16"))
    write(pets / "classes.txt", "Ärger\r\n".encode("utf-16"))
    assert check(pets).classes == ("Ärger",)


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        ([f"0 {BOX} 0.9", f"0 {BOX} 1"], "4 lines have a confidence behind the box"),
        ([f"0 {BOX} 0.9 17"], "2 lines have a confidence and a track's number"),
        ([f"0 {BOX} {one.format(2)}" for one in POINTS], "4 lines have 3 key points each by"),
        ([f"0 {BOX} {one.format('')}" for one in POINTS], "4 lines have 3 key points each by"),
        ([f"0 {OUTLINE} 0.8"], "2 lines have a confidence behind the outline"),
    ],
)
def test_numbers_behind_a_box_are_seen_and_said(pets, lines, note):
    labels(pets, *lines)
    data = check(pets)
    assert any(one.startswith(note) and one.endswith("not used") for one in data.notes)


@pytest.mark.parametrize(
    ("shape", "line"),
    [
        ("[3, 3]", f"0 {BOX} {POINTS[0].format(2)}"),
        ("[3, 2]", f"0 {BOX} 0.1 0.2 0.9 0.9 0.6 0.6"),  # points that lie elsewhere
        ("[3, 2]", f"0 {BOX} 0.1 0.2 0.9 0.9 0.6 0.6 0.87"),
        ("[3, 2]", f"0 {BOX}"),
    ],
)
def test_key_points_as_kpt_shape_says(pets, shape, line):
    labels(pets, line)
    write(pets / "data.yaml", f"kpt_shape: {shape}\nflip_idx: [0, 2, 1]\nnames: [cat]\n")
    assert kinds(check(pets)) == {}


@pytest.mark.parametrize(
    "line", [f"0 {OUTLINE}", f"0 {OUTLINE} 0.3 0.3", "0 .25 .25 .75 .3 .5 .75"]
)
def test_corners_and_outlines_are_outlines(pets, line):
    labels(pets, line, f"0 {BOX}")
    assert kinds(check(pets))["polygon"] == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"0 {BOX} 45", "six numbers, of which the last is no confidence"),
        ("Car 0.0 0 -1.6 587 173 614 200 1.6 1.6 3.6 -1 2 44 -1.6", "KITTI's labels"),
        ("10 10 50 10 50 40 10 40 plane 0", "DOTA's rotated boxes"),
        ("imagesource:GoogleEarth", "DOTA's rotated boxes"),
        (f"0 {BOX} {POINTS[0].format(2)} 1 1", "kpt_shape says 3 points of 3 numbers"),
        ("0", "0 numbers behind the class"),
        ("120,80,60,50,1,4,0,0", "8 numbers"),
        ("0 120 80 60 50", "pixels, where YOLO's text has shares"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(pets, line, why):
    labels(pets, line, line)
    write(
        pets / "data.yaml",
        "kpt_shape: [3, 3]\nnames: [cat]\n" if "kpt" in why else "names: [cat]\n",
    )
    with pytest.raises(DataError, match=why):
        open_detection(pets, "all")


def test_corners_as_shares_are_seen(pets):
    labels(pets, "0 0.6 0.7 0.9 0.95", "0 0.5 0.5 0.75 0.75")
    data = check(pets, [[36, 28, 54, 38], [30, 20, 45, 30]])
    assert any("taken as x1 y1 x2 y2" in note for note in data.notes)


def test_classes_that_are_words(pets):
    labels(pets, f"dog {BOX}", "cat 0.5 0.5 0.2 0.2")
    data = open_detection(pets, "all")
    assert data.classes == ("cat", "dog")
    assert data.target(0).labels.tolist() == [1, 0]
    write(pets / "classes.txt", "dog\ncow\n")
    data = open_detection(pets, "all")
    assert data.target(0).labels.tolist() == [0]
    assert kinds(data)["unknown class"] == 2


@pytest.mark.parametrize(
    ("file", "text", "classes"),
    [
        ("classes.txt", "0 cat\n1 dog\n", ("cat", "dog")),
        ("classes.txt", "0: cat\n1: dog\n", ("cat", "dog")),
        ("classes.txt", "cat\n\ndog\n\n", ("cat", "1", "dog")),
        ("labels/classes.txt", "cat\ndog\n", ("cat", "dog")),
        ("labels/train/classes.txt", "cat\ndog\n", ("cat", "dog")),
        ("train/_darknet.labels", "cat\ndog\n", ("cat", "dog")),
        (
            "notes.json",
            '{"categories": [{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}]}',
            ("cat", "dog"),
        ),
        ("data.yaml", "names: my.names", ("cat", "dog")),
        ("data.yaml", "nc: 3\ntrain: images/train", ("0", "1", "2")),
        ("data.yaml", "names: {0: cat, 2: dog}", ("cat", "1", "dog")),
        ("coco8.yaml", "names: [cat, dog]", ("cat", "dog")),
        ("data.yaml", "names: [cat, cat, dog]", ("cat", "dog")),
    ],
)
def test_names_of_classes(pets, file, text, classes):
    labels(pets, f"0 {BOX}")
    write(pets / file, text)
    if "my.names" in text:
        write(pets / "my.names", "cat\ndog\n")
    assert check(pets).classes == classes


@pytest.mark.parametrize("text", ["{", '{"categories": [{"id": 1, "name": "dog"}]}'])
def test_notes_that_name_no_class_are_said(pets, text):
    labels(pets, f"0 {BOX}")
    write(pets / "notes.json", text)
    data = check(pets)
    assert data.classes == ("0",)
    assert "notes.json has no categories with ids 0, 1, ...: it names no class" in data.notes


def test_a_list_of_names_that_is_not_there_is_said(pets):
    labels(pets, f"0 {BOX}")
    write(pets / "pets.data", "train = train.txt\nnames = lost.names\n")
    assert "pets.data: names is lost.names, which is not there" in check(pets).notes


def test_lists_of_names_that_differ_are_said(pets):
    labels(pets, f"0 {BOX}")
    write(pets / "labels/train/classes.txt", "cat\ndog\n")
    write(pets / "labels/val/classes.txt", "dog\ncat\n")
    data = check(pets)
    assert data.classes == ("cat", "dog")
    [note] = [note for note in data.notes if "says something else" in note]
    assert note.startswith("labels/train/classes.txt names the classes; labels/val/classes.txt ")


def test_two_files_that_name_classes_and_numbers_that_do_not_agree_are_said(pets):
    labels(pets, f"0 {BOX}")
    write(pets / "data.yaml", "names: [cat]\nnc: 2\n")
    write(pets / "a.yaml", "names: [dog]\n")
    data = check(pets)
    assert data.classes == ("cat",)
    assert "data.yaml is read, and not a.yaml, which name classes too" in data.notes
    assert "data.yaml has nc 2 and 1 names: the names count" in data.notes


LISTED = ["{}images/train/a.jpg", "{}images/train/b.jpg"]


@pytest.mark.parametrize(
    ("before", "said"),
    [
        *(("", False), ("./", False), ("data/", True), ("/content/set/", True), ("D:/set/", True)),
        ("../datasets/x/", True),
    ],
)
@pytest.mark.parametrize("slash", ["/", "\\"])
@pytest.mark.parametrize("yaml", ["train: train.txt", "path: /content/set\ntrain: ./train.txt", "train: D:\\set\\train.txt", "", "darknet"])  # fmt: skip # noqa: E501
def test_lists_of_other_machines_and_folders(pets, before, said, slash, yaml):
    labels(pets, f"0 {BOX}")
    put(pets, "images/extra.jpg")
    listed = "\n".join(LISTED).format(*[before] * 2).replace("/", slash)
    write(pets / "train.txt", listed.format(before) + "\n")
    if yaml == "darknet":
        write(pets / "obj.data", "classes = 1\ntrain = data/train.txt\nnames = data/obj.names\nbackup = b/\n")  # fmt: skip # noqa: E501
        write(pets / "obj.names", "cat\n")
    elif yaml:
        write(pets / "data.yaml", f"{yaml}\nnames: [cat]\n")
    data = check(pets)
    assert data.classes == ("cat",) if yaml else ("0",)
    told = [note for note in data.notes if "another system's or folder's, found by the end" in note]
    assert len(told) == (said or slash == "\\")
    assert list(open_parts(pets)) == ["train"]


@pytest.mark.parametrize(
    "train",
    ["D:\\set\\images\\train", "/content/set/images/train", "[images/train]", "./images/train/"],
)
def test_folders_of_other_machines(pets, train):
    labels(pets, f"0 {BOX}")
    put(pets, "images/valid/c.jpg")
    write(pets / "labels/valid/c.txt", f"0 {BOX}")
    write(pets / "data.yaml", f"train: {train}\nval: /nowhere/at/all\nnames: [cat]\n")
    data = open_detection(pets, "train")
    assert names(data) == ["images/train/a.jpg", "images/train/b.jpg"]
    assert names(open_detection(pets, "val")) == ["images/valid/c.jpg"]  # by its folder's name
    assert "val is the 1 image in the folders of that name" in data.notes


def test_images_of_a_list_that_are_missing_are_what_is_missing(pets):
    labels(pets, f"0 {BOX}")
    write(pets / "data.yaml", "train: train.txt\nnames: [cat]\n")
    write(pets / "train.txt", "images/train/a.jpg\nimages/train/gone.jpg\n")
    data = open_detection(pets, "all")
    assert names(data) == ["images/train/a.jpg"]
    assert kinds(data)["missing"] == 1
    write(pets / "train.txt", "x/gone.jpg\n")
    with pytest.raises(DataError, match=r"its 1 image is not on the disk: gone.jpg|x/gone.jpg"):
        open_detection(pets, "all")


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("Images/a.jpg", "Labels/a.txt"),
        ("JPEGImages/a.jpg", "labels/a.txt"),
        ("train/a.jpg", "labels/train/a.txt"),
        ("train/a.jpg", "train/labels/a.txt"),
        ("images/a.jpg", "labels/yolo/a.txt"),
        ("images/a.jpg", "annotations/a.txt"),
        ("data/images/a.jpg", "data/labels/a.txt"),
    ],
)
def test_where_label_files_lie(tmp_path, image, label):
    put(tmp_path, image)
    write(tmp_path / label, f"0 {BOX}")
    data = open_detection(tmp_path, "all")
    assert names(data) == [image]
    assert len(data.target(0).labels) == 1
    assert not kinds(data)


def test_a_data_set_to_download_says_so(tmp_path):
    write(
        tmp_path / "data.yaml",
        "path: x\ntrain: images/train\nnames: [cat]\ndownload: https://x/y.zip\n",
    )
    with pytest.raises(DataError, match=r"no images; data\.yaml says how to download them"):
        open_detection(tmp_path, "all")
