"""COCO's JSON as other tools write it."""

import json

import numpy as np
import pytest

from mobilenets.errors import DataError
from mobilenets.tasks.detect.data import open_detection, open_parts
from mobilenets.tasks.detect.formats.coco.outlines import box_around
from tests.data.labelled import kinds, names
from tests.tasks.detect.formats.files import coco, put, write

BOXES = [[20.0, 10.0, 30.0, 25.0], [2.0, 3.0, 50.0, 13.0]]


@pytest.fixture
def pets(tmp_path):
    put(tmp_path / "images", "a.jpg", "b.jpg")
    return tmp_path


def written(root, change=lambda content: None):
    """Two images with a box each, in a file that `change` has changed."""
    rows = [
        (i, i, left, top, right - left, bottom - top)
        for i, (left, top, right, bottom) in enumerate(BOXES, 1)
    ]
    path = coco(root / "x.json", ["a.jpg", "b.jpg"], rows)
    content = json.loads(path.read_text())
    content = change(content) or content
    path.write_text(json.dumps(content))
    return path


def each(content, key, field, make):
    for one in content[key]:
        one[field] = make(one[field])


def check(root, classes=("cat", "dog")):
    data = open_detection(root, "all")
    assert names(data) == ["images/a.jpg", "images/b.jpg"]
    assert [data.target(i).boxes.tolist() for i in range(2)] == [[box] for box in BOXES]
    assert data.classes == classes
    assert [data.target(i).labels.tolist() for i in range(2)] == [[0], [1]]
    return data


@pytest.mark.parametrize(
    "change",
    [
        lambda c: each(c, "images", "id", float),
        lambda c: each(c, "images", "id", str),
        lambda c: each(c, "annotations", "image_id", str),
        lambda c: each(c, "annotations", "image_id", float),
        lambda c: each(c, "annotations", "category_id", str),
        lambda c: each(c, "annotations", "category_id", float),
        lambda c: each(c, "categories", "id", "0{}".format),
        lambda c: [one.update(image_id=one["id"]) for one in c["images"]] and None,
        lambda c: [one.update(image_id=one.pop("id")) for one in c["images"]] and None,
        lambda c: each(c, "annotations", "bbox", lambda box: list(map(str, box))),
        lambda c: each(c, "annotations", "bbox", str),
        lambda c: each(c, "annotations", "iscrowd", lambda crowd: None),
        lambda c: each(c, "images", "file_name", "C:\\x\\images\\{}".format),
        lambda c: each(c, "images", "file_name", "images\\{}".format),
        lambda c: each(c, "images", "width", str),
        lambda c: c.update(categories={"1": "cat", "2": "dog"}),
        lambda c: c.update(info={"image_id": 3}, licenses=None),
        lambda c: dict(reversed(c.items())),
        lambda c: (
            [one.update(coco_url="http://images/x/" + one.pop("file_name")) for one in c["images"]]
            and None
        ),
    ],
)
def test_ids_boxes_and_names_of_another_type(pets, change):
    written(pets, change)
    assert kinds(check(pets)) == {}


def test_an_outline_is_a_box_where_there_is_none(pets):
    def change(content):
        first, second = content["annotations"]
        del first["bbox"]
        first["segmentation"] = [[20, 10, 30, 12, 25, 25], [21, 11, 22, 12]]
        second["bbox"] = []
        second["segmentation"] = [[2, 3], [50, 3], [50, 13]]

    written(pets, change)
    assert kinds(check(pets)) == {"polygon": 2}


@pytest.mark.parametrize("seed", range(4))
def test_boxes_around_runs_are_pycocotools(seed):
    """faster-coco-eval packs masks and knows their boxes."""
    from faster_coco_eval.core import mask as theirs

    rng = np.random.default_rng(seed)
    mask = np.zeros((300, 400), np.uint8)
    y, x = rng.integers(0, 250, 2)
    mask[y : y + rng.integers(1, 200), x : x + rng.integers(1, 150)] = 1
    mask[rng.integers(0, 300), x] = seed % 2
    packed = theirs.encode(np.asfortranarray(mask))
    left, top, width, height = theirs.toBbox(packed)
    wanted = (left, top, left + width, top + height)
    flat = mask.T.reshape(-1)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    text = packed["counts"].decode() if isinstance(packed["counts"], bytes) else packed["counts"]
    assert box_around({"size": [300, 400], "counts": text}) == wanted
    assert box_around({"size": [300, 400], "counts": [0] * int(flat[0]) + runs}) == wanted


def test_corners_and_shares_are_seen_and_said(pets):
    written(pets, lambda c: [one.update(bbox=[v / s for v, s in zip(one["bbox"], (60, 40, 60, 40), strict=True)]) for one in c["annotations"]] and None)  # fmt: skip # noqa: E501
    data = open_detection(pets, "all")
    assert data.target(0).boxes[0] == pytest.approx(BOXES[0], abs=1e-4)
    assert any("shares of the images' sides, not pixels as in COCO" in note for note in data.notes)
    written(pets, lambda c: [one.update(bbox=box) for one, box in zip(c["annotations"], [[40, 20, 50, 35], [30, 3, 50, 13]], strict=True)] and None)  # fmt: skip # noqa: E501
    data = open_detection(pets, "all")
    assert data.target(0).boxes.tolist() == [[40, 20, 50, 35]]
    assert any("taken as x1, y1, x2, y2" in note for note in data.notes)
    written(pets, lambda c: c["annotations"][1].update(bbox=[30, 3, 50, 13]))  # one alone is a slip
    assert kinds(open_detection(pets, "all")) == {"clipped": 1}


def test_without_categories_classes_are_their_ids(pets):
    written(pets, lambda c: c.pop("categories") and None)
    data = check(pets, ("1", "2"))
    assert not data.named
    assert any("called by their ids" in note for note in data.notes)

    def by_name(content):
        del content["categories"]
        each(content, "annotations", "category_id", {1: "cat", 2: "dog"}.get)

    written(pets, by_name)
    assert check(pets).named


def test_what_is_no_annotation_or_category_is_counted(pets):
    def change(content):
        content["annotations"] += [{"bbox": [1, 2, 3, 4], "category_id": 1}, None, "x"]
        content["categories"] += [{"id": 7}, "emu", {"id": 9, "name": "dog"}]

    written(pets, change)
    data = check(pets)
    assert kinds(data) == {"malformed": 3, "bad category": 2}
    assert any("1 name is given to several categories" in note for note in data.notes)


def test_an_id_with_two_names_is_said(pets):
    """The objects are of the last: the first class would seem to have none."""
    more = [{"id": 12, "name": "gnu"}, {"id": 12, "name": "yak"}]
    written(pets, lambda content: content["categories"].extend(more))
    notes = check(pets, classes=("cat", "dog", "gnu", "yak")).notes
    assert any("1 id is given to several" in n and "12 is gnu and yak" in n for n in notes)


@pytest.mark.parametrize("name", ["package-lock.json", "metadata.json", "a.json"])
@pytest.mark.parametrize(
    "text", ["{}", '{"lockfileVersion": 3}', "[1, 2]", '{"categories": []}', "x"]
)
def test_json_that_is_not_cocos_hides_nothing(pets, name, text):
    written(pets)
    write(pets / name, text)
    data = check(pets)
    [other] = [one for one in data.problems if one.kind == "other json"]
    assert other.names[0].startswith(f"{name} (not ")


def test_another_file_in_a_parts_folder_loses_no_part(tmp_path):
    for part, image in (("train", "a"), ("valid", "b")):
        put(tmp_path / part, f"{image}.jpg")
        coco(tmp_path / part / "_annotations.coco.json", [f"{image}.jpg"], [(1, 1, 1, 1, 9, 9)])
    write(tmp_path / "train" / "via_project.json", "{}")
    assert list(open_parts(tmp_path)) == ["train", "val"]


def test_a_file_in_the_root_and_one_in_a_part(tmp_path):
    put(tmp_path, "a.jpg", "b.jpg", "test/c.jpg")
    rows = [(1, 1, 1, 1, 9, 9)]
    coco(tmp_path / "_annotations.coco.json", ["a.jpg", "b.jpg"], [*rows, (2, 2, 1, 1, 9, 9)])
    coco(tmp_path / "test" / "_annotations.coco.json", ["c.jpg"], rows)
    assert {part: len(data) for part, data in open_parts(tmp_path).items()} == {
        "train": 2,
        "test": 1,
    }
    coco(tmp_path / "all.json", ["a.jpg", "b.jpg"], rows)  # once more, with fewer objects
    data = open_detection(tmp_path, "all")
    assert sum(len(data.target(i).labels) for i in range(3)) == 3
    assert any(note.startswith("all.json is left out: it lists images of ") for note in data.notes)


def test_several_files_of_one_part_are_read_together(pets):
    put(pets / "images", "c.jpg")
    coco(pets / "one.json", ["a.jpg", "b.jpg"], [(1, 1, 1, 1, 9, 9)], ["cat"])
    coco(pets / "two.json", ["c.jpg"], [(1, 1, 1, 1, 9, 9)], ["dog"])
    data = open_detection(pets, "all")
    assert data.classes == ("cat", "dog")
    assert names(data) == [f"images/{name}.jpg" for name in "abc"]
    assert "one.json, two.json are read together" in data.notes


def test_a_layout_without_objects_is_dropped_and_the_next_one_read(pets):
    write(pets / "labels" / "a.txt", "0 .5 .5 .5 .5")
    coco(pets / "x.json", ["a.jpg"])
    data = open_detection(pets, "all")
    assert data.kind == "YOLO text"
    assert "tried first, COCO JSON: no objects" in data.notes
    coco(pets / "x.json", ["gone.jpg"], [(1, 1, 1, 1, 9, 9)])
    assert any(
        "its 1 image is not on the disk" in note for note in open_detection(pets, "all").notes
    )
    whole = written(pets).read_text()
    assert "there is YOLO text too: COCO JSON is read" in open_detection(pets, "all").notes
    write(pets / "x.json", whole[:100])
    assert any("tried first, COCO JSON: x.json: not JSON, or cut" in note for note in open_detection(pets, "all").notes)  # fmt: skip # noqa: E501


def test_a_folder_with_nothing_but_a_folder_is_that_one(tmp_path):
    root = tmp_path / "archive" / "set"
    put(root / "images", "a.jpg")
    write(root / "labels" / "a.txt", "0 .5 .5 .5 .5")
    data = open_detection(tmp_path, "all")
    assert names(data) == ["set/images/a.jpg"]
    assert data.root == tmp_path / "archive"


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"image_id": 1, "segments_info": [], "file_name": "a.png"}, "panoptic"),
        ({"image_id": 1, "caption": "a cat"}, "captions, without boxes"),
    ],
)
def test_cocos_other_files_are_called_by_their_name(pets, annotation, message):
    write(pets / "x.json", json.dumps({"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [annotation]}))  # fmt: skip # noqa: E501
    with pytest.raises(DataError, match=message):
        open_detection(pets, "all")
