import json

import numpy as np
import pytest
from PIL import Image

from tests.tasks.detect.formats.files import coco, put, voc, write


@pytest.fixture
def pets(tmp_path):
    for i, part in enumerate(("train", "train", "val")):
        put(tmp_path, f"JPEGImages/{i}.jpg", size=(400, 300))
        voc(
            tmp_path / f"Annotations/{i}.xml",
            [("cat", 1, 1, 200, 300), ("dog", 5, 5, 9, 9, 1), ("dog", 9, 9, 1, 1)][: i + 1],
            (400, 300),
        )
        path = tmp_path / "ImageSets" / "Main" / f"{part}.txt"
        write(path, (path.read_text() if path.exists() else "") + f"{i}\n")
    return tmp_path


def test_every_part_is_counted(call, pets):
    done = call("data", "check", pets, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert found["kind"] == "VOC XML"
    assert found["classes"] == ["cat", "dog"]
    train, val = found["parts"]["train"], found["parts"]["val"]
    assert (train["images"], train["objects"], train["difficult"]) == (2, 3, 1)
    assert train["by_class"] == {"cat": 2, "dog": 1}
    assert train["sizes"] == {"small": 1, "medium": 0, "large": 2}
    assert train["side_pixels"]["0.5"] == pytest.approx(60000**0.5)
    assert train["overlap_below"] == {"0.5": 1, "0.35": 1}  # the small dogs
    assert val["objects"] == 2
    assert found["anchors"] == {
        "model": "ssdlite_mobilenet_v2",
        "resolution": 320,
        "anchors": 2034,
    }
    [problem] = found["problems"]
    assert problem["kind"] == "inverted"
    assert problem["names"] == ["JPEGImages/2.jpg"]
    assert problem["text"].startswith("1 box ends before it begins, left out")
    assert found["drawn"] == []


def test_a_person_reads_the_same(call, pets):
    done = call("data", "check", pets, "--model", "ssd_mobilenet_v1", "--resolution", 300)
    assert done.status == 0
    assert "VOC XML, 2 classes" in done.out
    assert "ssd_mobilenet_v1 at 300 pixels has 1917 anchors" in done.out
    assert "2 of 5 objects (40.0%) overlap none by 0.5" in done.out
    assert "problem: 1 box ends before it begins, left out: JPEGImages/2.jpg" in done.out
    assert "no problems" in call("data", "check", pets, "--split", "train").out


def test_samples_are_drawn(call, pets):
    write(pets / "JPEGImages" / "1.jpg", (pets / "JPEGImages" / "1.jpg").read_bytes()[:700])
    seen = pets / "seen"
    done = call("data", "check", pets, "--split", "all", "--save-dir", seen, "--samples", 8)
    assert done.status == 0, done.err
    assert "not drawn: " in done.err
    assert "2 images drawn in" in done.out
    assert sorted(path.name for path in seen.iterdir()) == ["0.jpg", "2.jpg"]
    with Image.open(seen / "0.jpg") as picture:
        pixels = np.asarray(picture).astype(int)
    assert pixels.shape == (300, 400, 3)
    assert np.ptp(pixels[150, :199], axis=0).max() > 100  # the cat's left edge
    assert np.ptp(pixels[150, 210:], axis=0).max() < 20


@pytest.mark.parametrize("linked", [False, True])
def test_no_image_of_the_data_is_drawn_over(call, pets, linked):
    images = pets / "JPEGImages"
    before = {path: path.read_bytes() for path in images.iterdir()}
    folder = images
    if linked:  # the same folder by another name
        folder = pets / "seen"
        folder.symlink_to(images)
    done = call("data", "check", pets, "--save-dir", folder)
    assert done.status == 2
    assert "save_dir must be another folder than the images'" in done.err
    assert done.err.strip().count("\n") == 0
    assert {path: path.read_bytes() for path in images.iterdir()} == before


def test_links_to_images_are_not_drawn_over(call, pets):
    away = pets / "away"
    (pets / "JPEGImages").rename(away)
    (pets / "JPEGImages").mkdir()
    for path in away.iterdir():
        (pets / "JPEGImages" / path.name).symlink_to(path)
    for folder in (away, pets / "JPEGImages"):
        done = call("data", "check", pets, "--save-dir", folder)
        assert done.status == 2, done.out
    assert all(path.is_symlink() for path in (pets / "JPEGImages").iterdir())


def test_the_built_in_data_has_no_problems(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = json.loads(call("data", "check", "shapes", "--split", "val", "--json").out)
    assert found["problems"] == found["notes"] == []
    assert found["parts"]["val"]["images"] == 256


def test_data_with_nothing_but_problems_is_an_error(call, tmp_path):
    coco(tmp_path / "x.json", ["a.jpg"], [(1, 1, 0, 0, 5, 5)])
    done = call("data", "check", tmp_path)
    assert done.status == 1
    assert "1 image is not on the disk, left out: a.jpg" in done.err
    assert done.err.strip().count("\n") == 0


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("nowhere",), 1, "nowhere: no such data folder"),
        (("shapes", "--split", "some"), 2, "--split"),
        (("shapes", "--model", "mobilenet_v2"), 2, "model must be one of"),
        (("shapes", "--model", "ssd_mobilenet"), 2, "did you mean"),
        (("shapes", "--resolution", "0"), 2, "--resolution"),
        ((), 2, "DIR"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(
    call, tmp_path, monkeypatch, arguments, status, message
):
    monkeypatch.chdir(tmp_path)
    done = call("data", "check", *arguments)
    assert done.status == status
    assert message in done.err
    assert done.err.strip().count("\n") == 0


@pytest.mark.assets
def test_real_cells(call, assets, tmp_path):
    done = call("data", "check", assets / "bccd", "--json", "--save-dir", tmp_path)
    found = json.loads(done.out)
    images = {name: part["images"] for name, part in found["parts"].items()}
    assert images == {"train": 205, "val": 87, "test": 72}
    assert len(found["drawn"]) == len(list(tmp_path.iterdir())) == 24
    [found] = found["problems"]  # two photographs of one slide, a step apart
    assert (
        found["names"] == ["JPEGImages/BloodImage_00037.jpg and JPEGImages/BloodImage_00038.jpg"]
        or found["kind"] == "alike in two parts"
    )
