import contextlib
import io
import json
import tracemalloc

import numpy as np
import pytest

from mobilenets.errors import DataError
from mobilenets.tasks.detect.data import open_detection
from tests.data.labelled import kinds
from tests.tasks.detect.formats.files import coco, put, write


def boxes(data) -> list[list[list[float]]]:
    return [data.target(i).boxes.tolist() for i in range(len(data))]


@pytest.fixture
def pets(tmp_path):
    put(tmp_path / "images", "a.jpg", "b.jpg", "c.jpg")
    coco(
        tmp_path / "pets.json",
        ["a.jpg", "b.jpg", "c.jpg"],
        [
            (1, 1, 1.5, 2, 10, 20.25),
            (3, 2, 0, 0, 60, 40, {"iscrowd": 1, "area": 900}),
            (1, 2, 5, 5, 5, 5),
            (3, 1, 30, 10, 8, 9),
        ],
    )
    return tmp_path


def test_it_says_what_another_reader_says(pets):
    """faster-coco-eval's own class, on the same file."""
    with contextlib.redirect_stdout(io.StringIO()):
        from faster_coco_eval import COCO

        theirs = COCO(str(pets / "pets.json"))
    data = open_detection(pets, "all")
    assert data.kind == "COCO JSON"
    assert data.classes == tuple(theirs.cats[i]["name"] for i in sorted(theirs.cats))
    assert [data.name(i) for i in range(len(data))] == [
        f"images/{theirs.imgs[i]['file_name']}" for i in sorted(theirs.imgs)
    ]
    for i, image in enumerate(sorted(theirs.imgs)):
        wanted = theirs.loadAnns(theirs.getAnnIds(imgIds=[image]))
        found = data.target(i)
        xywh = np.array([one["bbox"] for one in wanted]).reshape(-1, 4)
        assert found.boxes[:, :2].tolist() == xywh[:, :2].tolist()
        assert (found.boxes[:, 2:] - found.boxes[:, :2]).tolist() == xywh[:, 2:].tolist()
        assert (found.labels + 1).tolist() == [one["category_id"] for one in wanted]
        assert found.crowd.tolist() == [bool(one["iscrowd"]) for one in wanted]
        assert found.areas.tolist() == [one["area"] for one in wanted]
        assert not found.difficult.any()


def test_an_image_without_annotations_is_kept_and_named(pets):
    data = open_detection(pets, "all")
    assert len(data) == 3
    assert data.target(1).boxes.shape == (0, 4)
    assert data.image(1).size == data.image_size(1) == (60, 40)
    assert "1 image has no objects: images/b.jpg" in data.notes


def test_an_area_that_is_none_is_the_boxs_own(pets):
    coco(pets / "pets.json", ["a.jpg"], [(1, 1, 0, 0, 4, 5, {"area": a}) for a in (0, None, "x")])
    data = open_detection(pets, "all")
    assert data.target(0).areas.tolist() == [20]  # the same box three times
    assert kinds(data)["duplicate"] == 2


@pytest.mark.parametrize(
    ("files", "places"),
    [
        (("annotations/instances_train2017.json", "annotations/instances_val2017.json"), "2017"),
        (("annotations/instances_train.json", "annotations/instances_val.json"), "images/"),
        (("train/_annotations.coco.json", "valid/_annotations.coco.json"), "roboflow"),
        (("train.json", "val.json"), "images/"),
    ],
)
def test_layouts(tmp_path, files, places):
    folders = {
        "2017": ("train2017", "val2017"),
        "images/": ("images/train", "images/val"),
        "roboflow": ("train", "valid"),
    }[places]
    for folder, name, file in zip(folders, "ab", files, strict=True):
        put(tmp_path / folder, f"{name}.jpg")
        coco(tmp_path / file, [f"{name}.jpg"], [(1, 1, 1, 1, 9, 9)])
    if places == "2017":
        write(tmp_path / "annotations" / "captions_train2017.json", "{}")
    for split, folder, name in zip(("train", "val"), folders, "ab", strict=True):
        data = open_detection(tmp_path, split)
        assert [data.name(i) for i in range(len(data))] == [f"{folder}/{name}.jpg"]
        assert data.image(0).size == (60, 40)
    assert len(open_detection(tmp_path, "all")) == 2


def test_paths_of_another_machine(tmp_path):
    put(tmp_path / "images", "a.jpg", "b.jpg")
    listed = ["C:\\data\\a.jpg", "/home/somebody/data/b.jpg"]
    coco(tmp_path / "x.json", listed, [(1, 1, 1, 1, 9, 9), (2, 1, 1, 1, 9, 9)])
    data = open_detection(tmp_path / "x.json", "all")
    assert [data.name(i) for i in range(2)] == ["images/a.jpg", "images/b.jpg"]


def test_classes_are_by_id_and_a_group_without_objects_is_none(pets):
    categories = [
        {"id": 11, "name": "dog", "supercategory": "pets"},
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 2, "name": "cat", "supercategory": "pets"},
    ]
    coco(pets / "pets.json", ["a.jpg"], [(1, 11, 0, 0, 4, 5), (1, 2, 1, 0, 4, 5)], categories)
    data = open_detection(pets, "all")
    assert data.classes == ("cat", "dog")
    assert data.target(0).labels.tolist() == [1, 0]
    assert any(note.startswith("pets is the name of a group") for note in data.notes)
    coco(pets / "pets.json", ["a.jpg"], [(1, 0, 0, 0, 4, 5)], categories)
    assert open_detection(pets, "all").classes == ("pets", "cat", "dog")


def test_everything_wrong_is_counted_and_kept_out(pets):
    put(pets / "images", "narrow.jpg", size=(1, 40))
    write(pets / "images" / "text.jpg", "no image")
    images = ["a.jpg", "b.jpg", "gone.jpg", "narrow.jpg", "text.jpg", "a.jpg"]
    nan = float("nan")
    coco(
        pets / "pets.json",
        [
            *({"id": i, "file_name": name} for i, name in enumerate(images, 1)),
            {"id": 1, "file_name": "b.jpg"},
            {"file_name": "c.jpg"},
        ],
        [
            (1, 1, 1, 1, 9, 9),
            (1, 1, 1, 1, 9, 9),
            (6, 2, 2, 2, 9, 9),
            (1, 1, -5, 0, 10, 10),
            (1, 2, -0.5, 0, 10, 10),
            (1, 1, 60, 0, 10, 10),
            (1, 1, -20, 0, 10, 10),
            (1, 1, 9, 9, -3, 3),
            (1, 1, 9, 9, 0, 3),
            (1, 1, nan, 9, 3, 3),
            (1, 1, 9, 9, 10**400, 3),
            (1, 99, 9, 9, 3, 3),
            (77, 1, 9, 9, 3, 3),
            {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]},
            {"image_id": 1, "category_id": 1},
            {"image_id": [1], "category_id": 1, "bbox": [1, 2, 3, 4]},
        ],
    )
    data = open_detection(pets, "all")
    assert boxes(data) == [[[1, 1, 10, 10], [2, 2, 11, 11], [0, 0, 5, 10], [0, 0, 9.5, 10]], []]
    assert kinds(data) == {
        "missing": 1,
        "unreadable": 1,
        "narrow": 1,
        "repeated": 1,
        "bad image": 2,
        "malformed": 3,
        "orphan": 1,
        "unknown class": 1,
        "not finite": 2,
        "inverted": 1,
        "empty": 1,
        "outside": 2,
        "clipped": 1,
        "duplicate": 1,
        "no objects": 1,
    }
    named = {problem.kind: problem.sentence for problem in data.problems}
    assert named["missing"] == "1 image is not on the disk, left out: images/gone.jpg"
    assert named["unknown class"].endswith(": id 99 of pets.json")
    assert named["clipped"].endswith("clipped: images/a.jpg")


def test_classes_of_val_that_train_does_not_declare_are_kept_out(tmp_path):
    put(tmp_path / "images", "a.jpg", "b.jpg")
    coco(tmp_path / "train.json", ["a.jpg"], [(1, 1, 1, 1, 9, 9)], ["cat"])
    coco(
        *(tmp_path / "val.json", ["b.jpg"]),
        *([(1, 1, 1, 1, 9, 9), (1, 2, 2, 1, 9, 9)], ["dog", "cat"]),
    )
    data = open_detection(tmp_path, "val")
    assert data.classes == ("cat",)
    assert boxes(data) == [[[2, 1, 11, 10]]]
    assert "1 object is of a class" in "".join(data.notes)
    assert data.notes[-1].endswith("left out: dog")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "not JSON, or cut short: .* at line 1, column"),
        (lambda text: "", "not JSON, or cut short"),
        (lambda text: b"\xff\xfe\x00\xd8" + text.encode(), "not JSON"),
        (lambda text: "[" * 100_000, "not JSON"),
        (lambda text: "[]", "not COCO's JSON"),
        (lambda text: '{"shapes": [], "version": 1}', "no list of images; it has shapes, version"),
        (lambda text: text.replace("annotations", "labels"), "no list of annotations"),
        (lambda text: text.replace("file_name", "name"), "it lists no images"),
    ],
)
def test_a_file_that_is_cut_short_or_something_else_is_named(pets, change, message):
    path = pets / "pets.json"
    write(path, change(path.read_text()))
    for given in (pets, path):
        with pytest.raises(DataError, match=f"pets.json: .*{message}"):
            open_detection(given, "train")


def test_no_image_on_the_disk_is_an_error_that_says_so(pets):
    coco(pets / "pets.json", ["x.jpg", "y.jpg"], [(1, 1, 1, 1, 9, 9)])
    with pytest.raises(DataError, match=r"no images for all .*2 images are not on the disk"):
        open_detection(pets, "all")


@pytest.mark.every
def test_very_many_annotations_leave_little_behind(pets):
    """A twentieth of a million here; none of them is kept as a Python object."""
    rows = [(1 + i % 3, 1 + i % 2, i % 50 + i / 1e6, 1, 5, 5) for i in range(50_000)]
    coco(pets / "pets.json", ["a.jpg", "b.jpg", "c.jpg"], rows)
    tracemalloc.start()
    data = open_detection(pets, "all")
    kept, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(len(data.target(i).labels) for i in range(3)) == 50_000
    assert kept < 50_000 * 100
    text = (pets / "pets.json").stat().st_size
    assert most < 50_000 * 600 + 3 * text


def test_ids_may_be_words(pets):
    content = json.loads((pets / "pets.json").read_text())
    for image in content["images"]:
        image["id"] = f"image {image['id']}"
    for one in content["annotations"]:
        one["image_id"] = f"image {one['image_id']}"
    before = boxes(open_detection(pets, "all"))
    write(pets / "pets.json", json.dumps(content))
    assert boxes(open_detection(pets, "all")) == before
