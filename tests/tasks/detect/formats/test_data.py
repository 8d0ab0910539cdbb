import pickle
import shutil

import numpy as np
import pytest
from PIL import Image

from mobilenets.data.contents import labels_digest
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.tasks.detect.architecture.geometry import anchors_of
from mobilenets.tasks.detect.data import open_detection, open_parts
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.detect.survey import survey
from tests.data.labelled import kinds, names
from tests.tasks.detect.formats.files import EXIF_ORIENTATION, coco, put, voc, write


@pytest.fixture
def many(tmp_path):
    """Twenty images in one folder, no parts."""
    for i in range(20):
        put(tmp_path, f"images/{i}.jpg")
        write(tmp_path / f"labels/{i}.txt", "0 0.5 0.5 0.5 0.5\n")
    return tmp_path


def test_what_is_held_out_depends_on_names_and_seed_alone(many):
    train, val = open_detection(many, "train"), open_detection(many, "val")
    assert (len(train), len(val)) == (16, 4)
    assert set(names(train)) | set(names(val)) == {f"images/{i}.jpg" for i in range(20)}
    put(many, "images/new.jpg")
    write(many / "labels/new.txt", "0 0.5 0.5 0.5 0.5\n")
    assert len(set(names(open_detection(many, "val"))) - set(names(val))) <= 1
    assert names(open_detection(many, "val", seed=1)) != names(val)
    assert len(open_detection(many, "val", val_fraction=0.5)) == 10
    measured = open_detection(many, "eval")
    assert names(measured) == names(open_detection(many, "val"))
    assert measured.origin == "held out of 21 by their names"
    assert len(open_detection(many, "all")) == 21


def test_a_test_part_is_not_validated_on(tmp_path):
    for part in ("train", "test"):
        for i in range(10):
            put(tmp_path, f"images/{part}/{i}.jpg")
            write(tmp_path / f"labels/{part}/{i}.txt", "0 0.5 0.5 0.5 0.5\n")
    found = {s: names(open_detection(tmp_path, s)) for s in ("train", "val", "test", "eval", "all")}
    assert [len(found[s]) for s in ("train", "val", "test", "eval", "all")] == [8, 2, 10, 2, 20]
    assert all(name.startswith("images/train/") for name in found["train"] + found["val"])
    assert found["eval"] == found["val"]
    assert (
        "10 test images are kept for `eval --split test`" in open_detection(tmp_path, "val").notes
    )
    for i in range(10):
        (tmp_path / f"images/train/{i}.jpg").unlink()
        (tmp_path / f"labels/train/{i}.txt").unlink()
    assert names(open_detection(tmp_path, "eval")) == found["test"]
    assert list(open_parts(tmp_path)) == ["test"]


def test_one_image_alone_is_called_so(tmp_path):
    put(tmp_path, "images/0.jpg")
    write(tmp_path / "labels/0.txt", "0 0.5 0.5 0.5 0.5\n")
    with pytest.raises(DataError, match="no images for val; it has 1 for all: one image alone is"):
        open_detection(tmp_path, "val")
    assert open_detection(tmp_path, "eval").origin == "all that there are: none can be held out"


def test_processes_that_read_get_the_data_by_pickle(many):
    data = open_detection(many, "all")
    again = pickle.loads(pickle.dumps(data))
    assert names(again) == names(data)
    assert (again.target(3).boxes == data.target(3).boxes).all()
    assert again.target(3).boxes.dtype == np.float32
    with pytest.raises(IndexError):
        data.target(20)


def test_coco_is_taken_where_there_is_more_than_one_kind(many):
    coco(many / "annotations" / "instances_all.json", ["0.jpg"], [(1, 1, 0, 0, 9, 9)])
    assert open_detection(many, "all").kind == "COCO JSON"
    shutil.rmtree(many / "annotations")
    voc(many / "Annotations" / "0.xml", [("cat", 1, 1, 9, 9)])
    assert open_detection(many, "all").kind == "VOC XML"
    shutil.rmtree(many / "Annotations")
    assert open_detection(many, "all").kind == "YOLO text"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_measured_on_the_stored_picture_are_turned_with_it(tmp_path, orientation):
    """A white rectangle in the file; COCO says where, in the file's own pixels."""
    picture = Image.new("RGB", (64, 32))
    picture.paste((255, 255, 255), (8, 16, 40, 24))
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    picture.save(tmp_path / "a.png", exif=exif)
    stored = (64, 32)
    coco(tmp_path / "a.json", ["a.png"], [(1, 1, 8, 16, 32, 8)], size=stored)
    data = open_detection(tmp_path, "all")
    y, x = np.nonzero(np.asarray(data.image(0))[..., 0])
    wanted = [x.min(), y.min(), x.max() + 1, y.max() + 1]
    if orientation in (2, 3, 4):  # the size tells nothing: taken as upright
        assert kinds(data) == {}
        assert data.target(0).boxes.tolist() == [[8, 16, 40, 24]]
    else:
        assert kinds(data) == ({"turned": 1} if orientation >= 5 else {})
        assert data.target(0).boxes.tolist() == [wanted]
    # Measured on the upright picture, they stay.
    left, top, right, bottom = (int(v) for v in wanted)
    upright = data.image_size(0)
    box = (1, 1, left, top, right - left, bottom - top)
    coco(tmp_path / "a.json", ["a.png"], [box], size=upright)
    data = open_detection(tmp_path, "all")
    assert data.target(0).boxes.tolist() == [[left, top, right, bottom]]
    assert kinds(data) == {}


def test_sizes_that_do_not_fit(tmp_path):
    put(tmp_path, *(f"JPEGImages/{name}.jpg" for name in "abcd"))
    for name, size in zip("abcd", [(120, 80), (40, 60), (0, 0), (60, 40)], strict=True):
        voc(tmp_path / f"Annotations/{name}.xml", [("cat", 11, 11, 40, 30)], size)
    data = open_detection(tmp_path, "all")
    boxes = [data.target(i).boxes.tolist()[0] for i in range(4)]
    assert boxes == [[5, 5, 20, 15], *([[10, 10, 40, 30]] * 3)]
    assert kinds(data) == {"scaled": 1, "swapped": 1}
    assert [p.names for p in data.problems] == [("JPEGImages/b.jpg",), ("JPEGImages/a.jpg",)]


@pytest.mark.parametrize("file", ["notes.txt", "labels.csv"])
def test_what_is_no_data_set_is_said_so(tmp_path, file):
    with pytest.raises(DataError, match="nowhere: no such data folder or file"):
        open_detection(tmp_path / "nowhere", "all")
    with pytest.raises(DataError, match=r"no boxes found; expected COCO .*, VOC .* or YOLO"):
        open_detection(tmp_path, "all")
    with pytest.raises(DataError, match=f"{file}: data is a folder, a COCO .json, a data.yaml"):
        open_detection(write(tmp_path / file, "x"), "all")


def test_wrong_arguments_are_named(many):
    with pytest.raises(ValueError, match="split must be train, val, test, all or eval, got 'x'"):
        open_detection(many, "x")
    with pytest.raises(ValueError, match="val_fraction must be between 0 and 1, got 1"):
        open_detection(many, "val", val_fraction=1)
    with pytest.raises(DataError, match="no images for test; it has 20 for all"):
        open_detection(many, "test")


def test_shapes_have_their_boxes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train, val = open_detection("shapes", "train"), open_detection("shapes", "eval")
    assert (len(train), len(val)) == (1024, 256)
    both = open_detection("shapes", "all")
    assert both.name(1024) == val.name(0) == "shapes/val/0"
    for i in (0, 5):
        scene = Shapes(128, "val", objects=(1, 2)).scene(i)
        target = both.target(1024 + i)
        assert target.boxes.tolist() == scene.boxes.tolist()
        assert target.labels.tolist() == scene.labels.tolist()
        assert both.image(1024 + i).tobytes() == scene.image.tobytes()
        assert both.image_size(1024 + i) == scene.image.size
    assert {len(train.target(i).labels) for i in range(40)} == {1, 2}
    test = open_detection("shapes", "test")
    assert (len(test), test.name(0)) == (256, "shapes/test/0")
    assert test.image(0).tobytes() != val.image(0).tobytes()
    with pytest.raises(ValueError, match="size must be at least 16"):
        ShapeObjects(size=8)
    with pytest.raises(IndexError):
        val.target(256)


def test_a_survey_counts_what_is_there(tmp_path):
    put(tmp_path / "images", "a.jpg", "b.jpg", size=(320, 320))
    crowd = {"iscrowd": 1}
    rows = [(1, 1, 0, 0, 320, 320), (1, 2, 10, 10, 3, 3), (1, 2, 40, 40, 200, 90, crowd)]
    coco(tmp_path / "x.json", ["a.jpg", "b.jpg"], rows, size=(320, 320))
    anchors = anchors_of("ssdlite_mobilenet_v2", (320, 320))
    found = survey(open_detection(tmp_path, "all"), anchors)
    assert (found.images, found.empty, found.crowds, found.difficult) == (2, 1, 1, 0)
    assert found.by_class(2) == [1, 1]
    assert found.sides.tolist() == [320, 3]
    assert found.shares == pytest.approx([1, 3 / 320])
    assert found.sizes() == {"small": 2, "medium": 0, "large": 0}  # areas are said to be 7.5
    assert found.overlaps[0] > 0.85
    # The smallest anchor is a tenth of the image and its corners lie outside the box.
    assert found.overlaps[1] == pytest.approx(9 / 32**2, rel=1e-4)
    assert found.below(0.5).tolist() == [False, True]


def test_what_is_known_of_the_images_is_told_by_a_hash(many):
    """By which a run that is resumed notices other boxes under the same names."""
    before = labels_digest(open_detection(many, "train"))
    assert labels_digest(open_detection(many, "train")) == before
    names_of = names(open_detection(many, "train"))
    label = many / names_of[3].replace("images", "labels").replace("jpg", "txt")
    label.write_text("0 0.5 0.5 0.5 0.501\n")
    assert names(open_detection(many, "train")) == names_of
    assert labels_digest(open_detection(many, "train")) != before
