"""`data check` of images in a class each."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

RNG = np.random.default_rng(5)


def put(root: Path, *files: str, size: tuple[int, int] = (90, 70)) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        coarse = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC).save(root / file, "PNG")
    return root


@pytest.fixture
def photos(tmp_path):
    put(tmp_path, *(f"train/a/{i}.png" for i in range(6)))
    put(tmp_path, *(f"train/b/{i}.png" for i in range(2)), "train/c/1.png")
    return put(tmp_path, "val/a/7.png", "val/b/8.png", "val/b/9.png")


def checked(call, path, *options):
    done = call("data", "check", path, "--json", *options)
    return json.loads(done.out), done.status


def test_images_by_class_and_part(call, photos):
    found, status = checked(call, photos)
    assert status == 0
    assert (found["task"], found["kind"]) == ("classify", "class folders")
    assert found["classes"] == ["a", "b", "c"]
    assert found["parts"] == {
        "train": {"images": 9, "by_class": {"a": 6, "b": 2, "c": 1}},
        "val": {"images": 3, "by_class": {"a": 1, "b": 2, "c": 0}},
    }
    assert found["imbalance"] == 6
    assert found["files"] == {"used": {"images": 12, "labels": 0}, "left_out": []}
    problems = {one["kind"]: one["names"] for one in found["problems"]}
    assert problems == {"absent class": ["c (val)"], "one image": ["c"]}


def test_a_person_reads_the_same(call, photos):
    (photos / "notes.txt").write_text("x")
    done = call("data", "check", photos)
    assert "class folders, 3 classes" in done.out
    assert "the largest class, a, has 6 images, the smallest, c, 1: 6.0 times as many" in done.out
    assert "left out: file of text" in done.out
    assert "problem: 1 class of train has no image in another part: c (val)" in done.out


def test_what_cannot_be_read_and_what_training_refuses(call, photos):
    (photos / "train/a/0.png").write_bytes(b"no picture")
    (photos / "train/d").mkdir()
    put(photos, "test/x/1.png")
    found, status = checked(call, photos)
    problems = {one["kind"]: one["names"] for one in found["problems"]}
    assert problems["unreadable"] == ["train/a/0.png"]
    assert problems["empty class"] == ["d (no files)"]
    assert problems["strange class"] == ["x (test)"]
    assert "without images: d (no files)" in problems["refused"][0]
    assert status == 1
    assert found["parts"]["train"]["by_class"] == {"a": 5, "b": 2, "c": 1, "d": 0, "x": 0}
    [left] = found["files"]["left_out"]
    assert (left["kind"], left["names"]) == ("unreadable", ["train/a/0.png"])


def test_one_split_as_training_opens_it(call, photos):
    found, _ = checked(call, photos / "train", "--split", "val")
    assert found["parts"] == {"val": {"images": 2, "by_class": {"a": 1, "b": 1, "c": 0}}}


def test_lists_are_looked_at_too(call, photos):
    rows = "".join(f"train/{c}/{i}.png,{c}\n" for c in "ab" for i in range(2))
    (photos / "mine.csv").write_text(f"image,label\n{rows}")
    found, status = checked(call, photos / "mine.csv")
    assert (status, found["kind"]) == (0, "CSV list")
    assert found["parts"]["all"]["by_class"] == {"a": 2, "b": 2}
    assert found["files"]["used"] == {"images": 4, "labels": 1}


def test_samples_are_drawn_with_their_class(call, photos, tmp_path_factory):
    seen = tmp_path_factory.mktemp("seen")
    found, _ = checked(call, photos, "--save-dir", seen, "--samples", "2")
    assert len(found["drawn"]) == 4
    with Image.open(found["drawn"][0]) as picture:
        assert picture.height > picture.width * 70 / 90  # a band with the label below


def test_folders_of_images_and_masks_are_no_classes(call, tmp_path):
    put(tmp_path, "images/1.png", "masks/2.png")
    done = call("data", "check", tmp_path)
    assert done.status == 1
    assert "--task classify would take its folders as classes" in done.err
    assert "no masks: no image and mask have a name in common" in done.err


def test_the_built_in_data_by_class(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found, _ = checked(call, "shapes", "--task", "classify", "--split", "val")
    assert found["parts"]["val"]["images"] == 1024
    assert set(found["parts"]["val"]["by_class"].values()) == {128}
    assert found["files"] is None
