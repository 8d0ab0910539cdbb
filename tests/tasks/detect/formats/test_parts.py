"""Parts by the names of folders, and parts, images and files of which nothing is left."""

import json

import pytest

from mobilenets.errors import DataError
from mobilenets.tasks.detect.data import open_detection, open_parts
from mobilenets.tasks.detect.formats.folders import folder_part
from tests.data.labelled import names
from tests.tasks.detect.formats.files import coco, put, voc, write

BOX = "0 .5 .5 .5 .5\n"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        *(("train", "train"), ("Train", "train"), ("train2017", "train")),
        ("train_images", "train"),
        *(("images-val", "val"), ("obj_Validation_data", "val"), ("valid", "val"), ("dev", "val")),
        *(("test", "test"), ("testing", "test"), ("crash_test", ""), ("images", ""), ("", "")),
    ],
)
def test_folders_say_a_part(name, part):
    assert folder_part(name) == part


@pytest.mark.parametrize("folders", [("train_images", "val_images"), ("obj_train_data", "obj_Validation_data")])  # fmt: skip # noqa: E501
@pytest.mark.parametrize("kind", ["yolo", "voc", "csv"])
def test_parts_of_such_folders(tmp_path, folders, kind):
    for name, folder in zip("ab", folders, strict=True):
        put(tmp_path / folder, f"{name}.jpg")
        if kind == "yolo":
            write(tmp_path / folder / f"{name}.txt", BOX)
        elif kind == "voc":
            voc(tmp_path / folder / f"{name}.xml", [("cat", 1, 1, 9, 9)])
        else:
            head = "filename,class,xmin,ymin,xmax,ymax\n"
            write(tmp_path / folder / "boxes.csv", f"{head}{name}.jpg,cat,1,1,9,9\n")
    found = {part: names(data) for part, data in open_parts(tmp_path).items()}
    assert found == {"train": [f"{folders[0]}/a.jpg"], "val": [f"{folders[1]}/b.jpg"]}


def test_a_part_of_which_nothing_is_left_is_said_and_hides_no_other(tmp_path):
    put(tmp_path / "train2017", "a.jpg")
    for part, name in (("train", "a"), ("val", "gone")):
        path = tmp_path / f"annotations/instances_{part}2017.json"
        coco(path, [f"{name}.jpg"], [(1, 1, 1, 1, 9, 9)])
    parts = open_parts(tmp_path)
    assert list(parts) == ["train"]
    assert any(note.startswith("no images for val that can be used: 1 image is not on") for note in parts["train"].notes)  # fmt: skip # noqa: E501
    with pytest.raises(DataError, match="no images for val"):
        open_detection(tmp_path, "val")


def test_a_parts_folder_without_images_is_said(tmp_path):
    put(tmp_path, "images/train/a.jpg")
    write(tmp_path / "labels/train/a.txt", BOX)
    (tmp_path / "images/val").mkdir()
    assert "images/val has no images: there is no part val" in open_detection(tmp_path, "all").notes


def test_classes_that_differ_in_capitals_are_said(tmp_path):
    put(tmp_path, "a.jpg")
    voc(tmp_path / "a.xml", [("cat", 1, 1, 9, 9), ("Cat", 1, 1, 5, 5)])
    data = open_detection(tmp_path, "all")
    assert "classes that differ in capitals only: Cat and cat" in data.notes


def test_one_label_file_for_two_images_is_said(tmp_path):
    put(tmp_path / "images", "a.jpg", "a.png")
    write(tmp_path / "labels/a.txt", BOX)
    data = open_detection(tmp_path, "all")
    assert len(data) == 2
    assert any(
        "taken for several images of the same name: labels/a.txt" in note for note in data.notes
    )


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("train.tfrecord", "x", "train.tfrecord is not read: it is TFRecord"),
        ("data.zip", "x", "data.zip is not read: it is an archive; unpack it"),
        ("training/label_2/0.txt", "Car", "label_2/0.txt is not read: it is KITTI's"),
        ("r.json", json.dumps([{"image_id": 1, "bbox": [1, 2, 3, 4]}]), "COCO's results"),
        ("d.json", json.dumps([{"file_name": "a", "annotations": []}]), "Detectron2's dicts"),
        (
            "x.csv",
            "filename,class,xmin,ymin,xmax,ymax\na.jpg,é,1,1,9,9".encode("latin-1"),
            "x.csv: not text in UTF-8",
        ),
        ("labels/a.txt", BOX, "no images for its 1 label file, such as labels/a.txt"),
        ("labels.txt", "cat", "no boxes found"),
    ],
)
def test_what_is_not_read_is_named(tmp_path, file, text, message):
    put(tmp_path, *([] if file.startswith("labels/") else ["a.jpg"]))
    write(tmp_path / file, text)
    with pytest.raises(DataError, match=message):
        open_detection(tmp_path, "train")
