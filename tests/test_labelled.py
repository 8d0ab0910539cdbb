"""Data of one use given to another: each says what it is, and what to do instead."""

import json

import numpy as np
import pytest
from PIL import Image

from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.labelled import open_data
from mobilenets.tasks.registry import tasks

BOX = "<bndbox><xmin>3</xmin><ymin>3</ymin><xmax>20</xmax><ymax>20</ymax></bndbox>"
XML = f"<annotation><object><name>cat</name>{BOX}</object></annotation>"
COCO = {
    "images": [{"id": i, "file_name": f"{i}.png", "width": 32, "height": 32} for i in range(3)],
    "annotations": [
        {"id": 1, "image_id": i, "category_id": 1, "bbox": [3, 3, 9, 9]} for i in range(3)
    ],
    "categories": [{"id": 1, "name": "cat"}],
}


def images(*folders):
    for folder in folders:
        folder.mkdir(parents=True)
        for i in range(3):
            Shapes(32).image(i).save(folder / f"{i}.png")


def texts(folder, suffix, text):
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(3):
        (folder / f"{i}{suffix}").write_text(text)


def class_folders(top):
    images(top / "cat", top / "dog")


def class_list(top):
    images(top / "all")
    rows = "".join(f"all/{i}.png,{'ab'[i % 2]}\n" for i in range(3))
    (top / "data.csv").write_text(f"image,label\n{rows}")


def voc(top):
    images(top / "JPEGImages")
    texts(top / "Annotations", ".xml", XML)


def voc_beside(top):
    images(top / "all")
    texts(top / "all", ".xml", XML)


def yolo(top):
    for part in ("train", "val"):
        images(top / part / "images")
        texts(top / part / "labels", ".txt", "0 .5 .5 .4 .4\n")


def coco(top):
    images(top / "train2017", top / "val2017")
    (top / "annotations").mkdir()
    for part in ("train", "val"):
        (top / "annotations" / f"instances_{part}2017.json").write_text(json.dumps(COCO))


def masks(top, photos="images", marked="masks"):
    images(top / photos)
    (top / marked).mkdir()
    for i in range(3):
        Image.fromarray(np.eye(32, dtype=np.uint8)).save(top / marked / f"{i}.png")


def voc_masks(top):
    masks(top, "JPEGImages", "SegmentationClass")


HAS = {
    "classes": (class_folders, class_list),
    "boxes": (voc, voc_beside, yolo, coco),
    "masks": (masks, voc_masks),
}
WANTS = {"classify": "classes", "detect": "boxes", "segment": "masks"}
LEARNS = {"classes": "a classifier", "boxes": "a detector", "masks": "a segmentation network"}


@pytest.mark.parametrize("name", WANTS)
@pytest.mark.parametrize(("things", "make"), [(k, make) for k in HAS for make in HAS[k]])
def test_data_of_another_use_is_told_by_its_name(tmp_path, name, things, make):
    make(tmp_path)
    if WANTS[name] == things:
        assert len(open_data(tasks()[name], tmp_path, "all")) > 0
        return
    with pytest.raises(DataError) as refused:
        open_data(tasks()[name], tmp_path, "train")
    text = str(refused.value)
    assert text.startswith(f"{tmp_path}: these are {things}; train {LEARNS[things]}, or give ")
    assert WANTS[name].removesuffix("es") in text
    assert "remove" not in text


@pytest.mark.parametrize("name", WANTS)
def test_data_of_no_use_is_said_to_be_nothing_else(tmp_path, name):
    images(tmp_path / "all")
    with pytest.raises(DataError) as refused:
        open_data(tasks()[name], tmp_path, "train")
    assert "these are" not in str(refused.value)


def test_damaged_boxes_are_no_classes(tmp_path):
    """Its folders could be classes; what a detector says of the file is what helps."""
    images(tmp_path / "one", tmp_path / "two")
    (tmp_path / "_annotations.coco.json").write_text(json.dumps(COCO)[:-20])
    with pytest.raises(DataError, match="json"):
        open_data(tasks()["detect"], tmp_path, "train")


def test_the_command_line_says_it_too(call, tmp_path, checkpoint):
    voc(tmp_path / "data")
    told = "these are boxes; train a detector, or give class folders"
    for words in (
        ("train", "mobilenet_v2", "--data", "data", "--output", "run"),
        ("eval", checkpoint, "data"),
        ("data", "check", "data", "--task", "classify"),
    ):
        given = [
            tmp_path / word if word in ("data", "run") and i else word
            for i, word in enumerate(words)
        ]
        done = call(*given)
        assert done.status == 1
        assert told in done.err
