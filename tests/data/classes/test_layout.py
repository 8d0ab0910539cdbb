"""Folders of classes as people and archives have them."""

from pathlib import Path

import pytest
from PIL import Image

from mobilenets.data.folders import list_images, open_classification
from mobilenets.data.inventory import take_account
from mobilenets.errors import DataError

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


def put(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(root / file, "PNG")
    return root


def found(root: Path) -> dict[str, dict[str, int]]:
    """Part -> class -> images."""
    parts: dict[str, dict[str, int]] = {}
    for part, entries in list_images(root).parts.items():
        for entry in entries:
            classes = parts.setdefault(part, {})
            classes[entry.label] = classes.get(entry.label, 0) + 1
    return parts


CATS = {"cat": 1, "dog": 1}
LAYOUTS = [
    # Kaggle's archives with folders twice over.
    (["training_set/training_set/{0}/1.png", "test_set/test_set/{0}/2.png"], ("train", "test")),
    (
        ["seg_train/seg_train/{0}/1.png", "seg_test/seg_test/{0}/2.png", "seg_pred/seg_pred/9.png"],
        ("train", "test"),
    ),
    (["seg_train/{0}/1.png", "seg_test/{0}/2.png", "seg_pred/7.png"], ("train", "test")),
    (["archive/data/train/{0}/1.png", "archive/data/val/{0}/1.png"], ("train", "val")),
    (["archive/images/{0}/1.png"], ("",)),
    (["train/train/{0}/1.png", "validation/validation/{0}/2.png"], ("train", "val")),
    (["Training Data/{0}/1.png", "Testing Data/{0}/1.png"], ("train", "test")),
    (["animals_train/{0}/1.png", "animals_val/{0}/1.png", "animals_test/{0}/1.png"], None),
    (["trainImages/{0}/1.png", "devImages/{0}/1.png"], ("train", "val")),
    (["train/{0}/1.png", "test_set/{0}/1.png"], ("train", "test")),
    (["training_set/{0}/1.png", "others/9.png"], ("train",)),
    (["train/{0}/1.png", "val/9.png"], ("train",)),  # ImageNet's val as it is shipped
    (["train/{0}/1.png", "dev/{0}/1.png"], ("train", "val")),
    (["images/{0}/1.png", "labels/1.txt"], ("",)),
]


@pytest.mark.parametrize(("files", "parts"), LAYOUTS)
def test_parts_and_classes(tmp_path, files, parts):
    for file in files:
        for name in ("cat", "dog"):
            if file.endswith(".txt"):
                (tmp_path / "labels").mkdir(exist_ok=True)
                (tmp_path / file).write_text("x")
            else:
                put(tmp_path, file.format(name))
    parts = parts or ("train", "val", "test")
    assert found(tmp_path) == dict.fromkeys(parts, CATS)
    data = open_classification(tmp_path, "all")
    assert data.classes == ("cat", "dog")
    account = take_account(tmp_path, [data])
    assert account is not None
    loose = len({file for file in files if "{0}" not in file and file.endswith(".png")})
    assert (account.images, sum(one.number for one in account.left if one.images)) == (
        2 * len(parts),
        loose,
    )


@pytest.mark.parametrize(
    ("files", "classes"),
    [
        (["car/1.png", "plane/1.png", "train/1.png"], ("car", "plane", "train")),
        (["bullet_train/1.png", "car/1.png", "test_tube/1.png"], None),
        (["bullet_train/side/1.png", "car/front/1.png", "test_tube/full/1.png"], None),
        (["train_station/1.png", "town_hall/2.png"], ("town_hall", "train_station")),
        (["a b/1.png", "größe/1.png", "日本/1.png"], ("a b", "größe", "日本")),
    ],
)
def test_classes_that_merely_sound_like_parts(tmp_path, files, classes):
    put(tmp_path, *files)
    wanted = classes or ("bullet_train", "car", "test_tube")
    assert open_classification(tmp_path, "all").classes == wanted


def test_two_readings_are_possible_and_the_one_taken_is_said(tmp_path):
    put(tmp_path, *(f"batch{i}/{name}/1.png" for i in (1, 2) for name in ("cat", "dog")))
    data = open_classification(tmp_path, "all")
    assert data.classes == ("batch1", "batch2")
    said = "2 folders (batch1, batch2) hold the same folders (cat, dog): the first are taken"
    assert any(note.startswith(said) for note in data.notes)
    said = "4 images lie in folders inside class folders, of that class: batch1, batch2"
    assert said in data.notes


def test_a_folder_that_is_passed_through_is_said(tmp_path):
    put(tmp_path, "archive/images/a/1.png", "archive/images/b/1.png")
    data = open_classification(tmp_path, "all")
    assert data.notes == ["the data is in archive/images"]
    assert data.name(0) == "archive/images/a/1.png"


def test_links_to_class_folders(tmp_path):
    put(tmp_path / "far", "a/1.png", "b/1.png", "b/2.png")
    (tmp_path / "near").mkdir()
    for name in "ab":
        (tmp_path / "near" / name).symlink_to(tmp_path / "far" / name)
    assert found(tmp_path / "near") == {"": {"a": 1, "b": 2}}


def test_a_class_whose_images_are_not_read_says_why(tmp_path, monkeypatch):
    put(tmp_path, "ants/1.png", "bees/1.png")
    (tmp_path / "wasps").mkdir()
    for i in range(3):
        (tmp_path / "wasps" / f"IMG_{i}.HEIC").write_bytes(HEIC)
    monkeypatch.setattr("mobilenets.runtime.images.can_read", {"PNG"}.__contains__)
    said = r"without images: wasps \(3 HEIC \(need `pip install pillow-heif`\)\)"
    with pytest.raises(DataError, match=said):
        open_classification(tmp_path, "train")


def test_folders_of_other_things_are_no_classes(tmp_path):
    put(tmp_path, "ants/1.png", "bees/1.png")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "1.xml").write_text("<a/>")
    data = open_classification(tmp_path, "all")
    assert data.classes == ("ants", "bees")
    assert "folders without images are no classes: annotations" in data.notes


def test_names_that_say_the_class_are_hinted_at(tmp_path):
    put(tmp_path, *(f"train/{name}.{i}.png" for name in ("cat", "dog") for i in range(4)))
    with pytest.raises(DataError, match=r"their names begin with cat, dog: make a folder or a CSV"):
        open_classification(tmp_path, "train")


def test_classes_of_one_part_alone_are_named(tmp_path):
    put(tmp_path, *(f"train/{name}/1.png" for name in "abc"), "val/a/1.png", "test/x/1.png")
    data = open_classification(tmp_path, "val")
    assert "2 classes have no images in val: b, c" in data.notes
    with pytest.raises(DataError, match="test has classes that train does not have: x"):
        open_classification(tmp_path, "test")
