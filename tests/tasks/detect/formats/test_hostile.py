"""Whatever an annotation file holds: a data set, or an error that names the file."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobilenets.tasks.detect.data import open_detection
from tests.data.labelled import opened
from tests.tasks.detect.formats.files import coco, put, voc, write
from tests.tasks.detect.formats.makers import TABLES, TOOLS

MANY = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
ODD = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    *(st.just(10**500), st.just("a.jpg"), st.just("\0"), st.just("x" * 5000), st.just("/")),
    *(st.just("\ud800"), st.just("two\nlines")),
    st.lists(st.floats() | st.integers(-9, 99) | st.none(), max_size=5),
    st.dictionaries(st.sampled_from(["id", "image_id", "bbox"]), st.integers(0, 2), max_size=3),
)
SMALL = st.integers(0, 3)
IMAGE = st.fixed_dictionaries(
    {},
    optional={"id": SMALL | ODD, "file_name": ODD, "width": SMALL | ODD, "height": ODD},
)
CATEGORY = st.fixed_dictionaries(
    {}, optional={"id": SMALL | ODD, "name": ODD, "supercategory": ODD}
)
BOX = st.lists(st.floats() | st.integers(-9, 99), min_size=4, max_size=4)
ANNOTATION = st.fixed_dictionaries(
    {},
    optional={
        "image_id": SMALL | ODD,
        "category_id": SMALL | ODD,
        "bbox": BOX | ODD,
        "area": ODD,
        "iscrowd": ODD,
        "segmentation": ODD,
    },
)


def check(root: Path) -> None:
    """It opens, or says in a line which file is wrong; what opens can be trained on."""
    data = opened(root, open_detection)
    if data is None:
        return
    for i in range(len(data)):
        target = data.target(i)
        assert np.isfinite(target.boxes).all()
        assert (target.boxes >= 0).all()
        assert (target.boxes[:, 2:] > target.boxes[:, :2]).all()
        assert (target.boxes <= np.tile(data.image_size(i), 2)).all()
        assert ((target.labels >= 0) & (target.labels < len(data.classes))).all()
        assert (target.areas > 0).all()
        assert data.image(i).size == data.image_size(i)


@MANY
@given(
    st.lists(IMAGE | ODD, max_size=3),
    st.lists(ANNOTATION | ODD, max_size=4),
    st.lists(CATEGORY | ODD, max_size=3),
)
@pytest.mark.every
def test_coco_of_anything(tmp_path, images, annotations, categories):
    put(tmp_path, "a.jpg")
    whole = {"id": 1, "file_name": "a.jpg", "width": 60, "height": 40}
    content = {
        "images": [*images, whole],
        "annotations": annotations,
        "categories": [*categories, {"id": 1, "name": "cat"}],
    }
    write(tmp_path / "x.json", json.dumps(content))
    check(tmp_path)


def coco_file(root: Path) -> Path:
    put(root, "a.jpg")
    return coco(root / "x.json", ["a.jpg"], [(1, 1, 1, 1, 9, 9)])


def voc_file(root: Path) -> Path:
    put(root, "JPEGImages/a.jpg")
    return voc(root / "Annotations" / "a.xml", [("cat", 1, 1, 9, 9)])


def yolo_file(root: Path) -> Path:
    put(root, "images/a.jpg")
    return write(root / "labels" / "a.txt", "0 .5 .5 .5 .5\n1 .2 .2 .1 .1\n")


def yaml_file(root: Path) -> Path:
    yolo_file(root)
    return write(root / "data.yaml", "train: images\nval: [images]\nnames: {0: cat, 1: 'dog'}\n")


def tool_file(make: Callable[[Path], Any]) -> Callable[[Path], Path]:
    def written(root: Path) -> Path:
        put(root, "images/a.jpg", "images/b.jpg")
        make(root)
        files = [path for path in sorted(root.rglob("*")) if path.suffix in SUFFIXES]
        return files[0]

    return written


SUFFIXES = {".json", ".jsonl", ".xml", ".csv"}
OURS = [coco_file, voc_file, yolo_file, yaml_file] * 4
OTHERS = [tool_file(make) for make in (*TOOLS, *TABLES.values())]


@MANY
@given(
    st.sampled_from([*OURS, *OTHERS]),
    st.integers(0, 900),
    st.binary(max_size=3),
    st.integers(0, 3),
)
def test_files_with_some_bytes_changed(
    tmp_path_factory: pytest.TempPathFactory,
    make: Callable[[Path], Path],
    at: int,
    new: bytes,
    cut: int,
):
    root = tmp_path_factory.mktemp("data")
    path = make(root)
    whole = path.read_bytes()
    at %= len(whole) + 1
    path.write_bytes(whole[:at] + new + (whole[at + len(new) :] if cut else b""))
    check(root)
