import json

import numpy as np
import pytest
from PIL import Image

from tests.tasks.detect.formats.files import coco, voc, write
from tests.tasks.segment.formats.files import grey, photo

IDS = np.zeros((30, 40), np.uint8)
IDS[5:20, 5:30] = 1
IDS[20:, 30:] = 255


@pytest.fixture
def pets(tmp_path):
    """Two images for training, one of them without class 1 or void, and one for validation."""
    for i, part in enumerate(("train", "train", "val")):
        photo(tmp_path, f"images/{part}/{i}.jpg", (40, 30))
        grey(tmp_path, f"masks/{part}/{i}.png", IDS * (i != 1))
    photo(tmp_path, "images/val/9.jpg")
    write(tmp_path / "classes.txt", "ground\npet\n")
    return tmp_path


def test_every_part_is_counted(call, pets):
    done = call("data", "check", pets, "--json")
    assert done.status == 0, done.err
    found = json.loads(done.out)
    assert (found["task"], found["kind"]) == ("segment", "images and masks")
    assert found["classes"] == ["ground", "pet"]
    train, val = found["parts"]["train"], found["parts"]["val"]
    assert (train["images"], train["pixels"], train["images_with_void"]) == (2, 2400, 1)
    assert train["void"] == 100 / 2400
    pet = {"pixels": 375, "share": 375 / 2300, "images": 1}
    assert train["by_class"]["pet"] == pet
    assert train["by_class"]["ground"]["images"] == 2
    assert val["by_class"]["pet"]["share"] == 375 / 1100
    [problem] = found["problems"]
    assert problem["kind"] == "no mask"
    assert problem["names"] == ["images/val/9.jpg"]
    assert found["notes"] == found["drawn"] == []


def test_a_person_reads_the_same(call, pets):
    done = call("data", "check", pets)
    assert done.status == 0
    assert "images and masks, 2 classes" in done.out
    assert "16.30%" in done.out  # pets in train
    assert "4.17%" in done.out  # void in train
    assert "problem: 1 image has no mask, left out: images/val/9.jpg" in done.out


def test_samples_are_drawn_under_their_masks(call, pets, tmp_path_factory):
    whole = (pets / "images/train/1.jpg").read_bytes()
    write(pets / "images/train/1.jpg", whole[:-20])
    seen = tmp_path_factory.mktemp("seen")
    done = call("data", "check", pets, "--split", "all", "--save-dir", seen)
    assert done.status == 0, done.err
    assert "not drawn: " in done.err
    assert sorted(path.name for path in seen.iterdir()) == ["0.jpg", "2.jpg"]
    with Image.open(seen / "0.jpg") as picture:
        width = picture.width
        pixels = np.asarray(picture).astype(int)
    pet, ground = pixels[12 * width // 40, 15 * width // 40], pixels[2 * width // 40, width // 2]
    assert np.abs(pet - ground).max() > 60
    with Image.open(pets / "images/val/2.jpg") as image:
        assert np.ptp(np.asarray(image)) == 0


@pytest.mark.parametrize("folder", ["images/train", "masks/train"])
def test_nothing_of_the_data_is_drawn_over(call, pets, folder):
    before = {path: path.read_bytes() for path in pets.rglob("*.*")}
    done = call("data", "check", pets, "--save-dir", pets / folder)
    assert done.status == 2
    assert "save_dir must be another folder than the images'" in done.err
    assert {path: path.read_bytes() for path in pets.rglob("*.*")} == before


def test_where_there_are_boxes_and_masks_one_may_choose(call, pets):
    for i, part in enumerate(("train", "train", "val")):
        write(pets / f"labels/{part}/{i}.txt", "0 .5 .5 .2 .2\n")
    found = json.loads(call("data", "check", pets, "--json").out)
    assert (found["task"], found["kind"]) == ("detect", "YOLO text")
    assert "there are masks too: --task segment looks at them" in found["notes"]
    found = json.loads(call("data", "check", pets, "--task", "segment", "--json").out)
    assert (found["task"], found["notes"]) == ("segment", [])


def test_boxes_that_cannot_be_read_do_not_hide_the_masks(call, pets):
    write(pets / "categories.json", '[{"id": 0, "name": "ground"}]')
    found = json.loads(call("data", "check", pets, "--json").out)
    assert found["task"] == "segment"
    done = call("data", "check", pets, "--task", "detect")
    assert done.status == 1
    assert "not COCO's JSON" in done.err


def test_the_built_in_data_has_both(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("data", "check", "shapes", "--task", "segment", "--split", "val", "--json")
    found = json.loads(done.out)
    assert found["classes"][0] == "background"
    assert found["parts"]["val"]["images"] == 256
    assert found["parts"]["val"]["void"] == 0


def test_many_classes_are_all_in_the_json_only(call, pets):
    write(pets / "classes.txt", "\n".join(f"c{i}" for i in range(60)))
    done = call("data", "check", pets)
    assert "and 20 classes more: --json has all" in done.out
    found = json.loads(call("data", "check", pets, "--json").out)
    assert len(found["parts"]["train"]["by_class"]) == 60


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (("--task", "sing"), 2, "--task"),
        (("--model", "ssd_mobilenet_v1"), 2, "model is for boxes: these are masks"),
        (("--resolution", "300"), 2, "resolution is for boxes: these are masks"),
        (("--split", "test"), 1, "no images for test; it has 2 for train, 1 for val"),
    ],
)
def test_a_mistake_is_one_line_and_a_status(call, pets, arguments, status, message):
    done = call("data", "check", pets, *arguments)
    assert done.status == status
    assert message in done.err
    assert done.err.strip().count("\n") == 0


def test_a_folder_of_neither_says_what_both_are(call, tmp_path):
    photo(tmp_path, "a.jpg")
    done = call("data", "check", tmp_path)
    assert done.status == 1
    for tried in ("no classes: 1 image, none in class", "no boxes: ", "no masks: "):
        assert tried in done.err
    assert done.err.strip().count("\n") == 0
    voc(tmp_path / "Annotations/a.xml", [("cat", 1, 1, 3, 3)])
    assert call("data", "check", tmp_path).status == 0
    coco(tmp_path / "x.json", ["a.jpg"], [(1, 1, 0, 0, 2, 2)])
    assert call("data", "check", tmp_path / "x.json").status == 0


@pytest.mark.assets
def test_real_roads(call, assets, tmp_path):
    done = call("data", "check", assets / "camvid", "--json", "--save-dir", tmp_path)
    found = json.loads(done.out)
    images = {name: part["images"] for name, part in found["parts"].items()}
    assert images == {"train": 123, "val": 51}
    assert len(found["drawn"]) == len(list(tmp_path.iterdir())) == 16
    assert found["problems"] == []
    assert sum(one["share"] for one in found["parts"]["val"]["by_class"].values()) == pytest.approx(
        1
    )
