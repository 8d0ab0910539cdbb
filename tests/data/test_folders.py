import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.data.folders import open_classification
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from tests.data.labelled import names


def put(root: Path, *files: str) -> Path:
    for i, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3), (i, 0, 0)).save(root / file)
    return root


def pairs(data) -> list[tuple[str, str]]:
    return [(data.name(i), data.classes[data.target(i)]) for i in range(len(data))]


@pytest.fixture
def plain(tmp_path) -> Path:
    return put(tmp_path, *(f"{c}/{c}{i}.png" for c in ("b", "a") for i in range(20)), "c/only.png")


@pytest.fixture
def parts(tmp_path) -> Path:
    return put(tmp_path, "train/a/1.png", "train/b/2.png", "val/a/3.png", "val/b/4.png")


@pytest.mark.parametrize("val", ["val", "valid", "Validation"])
def test_a_split_on_disk_is_recognised_by_any_usual_name(parts, val):
    (parts / "val").rename(parts / val)
    assert pairs(open_classification(parts, "train")) == [
        ("train/a/1.png", "a"),
        ("train/b/2.png", "b"),
    ]
    assert pairs(open_classification(parts, "val")) == [
        (f"{val}/a/3.png", "a"),
        (f"{val}/b/4.png", "b"),
    ]
    assert len(open_classification(parts, "all")) == 4
    assert names(open_classification(parts, "eval")) == names(open_classification(parts, "val"))


def test_images_and_targets_belong_together(parts):
    data = open_classification(str(parts), "train")
    assert [np.asarray(data.image(i))[0, 0, 0] for i in range(2)] == [0, 1]
    assert [data.target(i) for i in range(2)] == [0, 1]


def test_a_folder_that_merely_has_a_class_called_train_is_not_a_split(tmp_path):
    put(tmp_path, "car/1.png", "plane/1.png", "train/1.png")
    assert open_classification(tmp_path, "all").classes == ("car", "plane", "train")


def test_both_val_and_test_validates_on_val_and_says_so(parts):
    put(parts, "test/a/5.png")
    data = open_classification(parts, "eval")
    assert "test/a/5.png" not in names(data)
    assert data.notes == ["1 test image is kept for `eval --split test`"]
    assert data.origin == "the data's own val part"
    assert "test/a/5.png" in names(open_classification(parts, "all"))


def test_a_test_part_never_picks_the_best_epoch(plain):
    """Without val, a share of train is held out for it, and `eval` measures on the same."""
    for i in range(3):
        put(plain, f"test/a/{i}.png", f"test/b/{i}.png")
    (plain / "train").mkdir()
    for name in "abc":
        (plain / name).rename(plain / "train" / name)
    train, val, measured = (open_classification(plain, split) for split in ("train", "val", "eval"))
    assert (len(train), len(val)) == (33, 8)
    assert all(name.startswith("train/") for name in names(train) + names(val))
    assert names(measured) == names(val)
    assert val.origin == measured.origin == "held out of 41 by their names"
    assert "6 test images are kept for `eval --split test`" in val.notes
    assert len(open_classification(plain, "test")) == 6


def test_where_training_has_nothing_to_validate_on_eval_takes_what_there_is(tmp_path):
    put(tmp_path / "one", "a/1.png", "b/2.png")
    data = open_classification(tmp_path / "one", "eval")
    assert (len(data), data.origin) == (2, "all that there are: none can be held out")
    with pytest.raises(DataError, match="no images for val; it has 2 for all: no class has a sec"):
        open_classification(tmp_path / "one", "val")
    put(tmp_path / "one", "test/a/3.png", "test/b/4.png", "train/a/1.png", "train/b/1.png")
    shutil.rmtree(tmp_path / "one" / "a")
    shutil.rmtree(tmp_path / "one" / "b")
    for left in (2, 1):  # beside a train part of which nothing can be held out, and alone
        data = open_classification(tmp_path / "one", "eval")
        assert sorted(names(data)) == ["test/a/3.png", "test/b/4.png"]
        assert data.origin == "the data's own test part"
        if left == 2:
            shutil.rmtree(tmp_path / "one" / "train")


def test_a_test_part_is_opened_where_it_is_asked_for(parts):
    put(parts, "test/a/5.png", "test/b/6.png")
    data = open_classification(parts, "test")
    assert pairs(data) == [("test/a/5.png", "a"), ("test/b/6.png", "b")]
    assert data.notes == []
    shutil.rmtree(parts / "val")
    assert len(open_classification(parts, "test")) == 2


def test_a_test_part_of_a_list(tmp_path):
    put(tmp_path, "1.png", "2.png", "3.png", "4.png", "5.png")
    rows = "1.png,a,train\n2.png,b,train\n3.png,a,val\n4.png,b,test\n5.png,a,test\n"
    (tmp_path / "data.csv").write_text(f"image,label,split\n{rows}")
    data = open_classification(tmp_path, "test")
    assert pairs(data) == [("4.png", "b"), ("5.png", "a")]
    assert data.notes == []


def test_where_there_is_no_test_part_the_others_are_named(parts):
    with pytest.raises(DataError, match="no images for test; it has 2 for train, 2 for val"):
        open_classification(parts, "test")
    put(parts, "test/5.png")
    with pytest.raises(DataError, match="test: 1 image, none in class folders"):
        open_classification(parts, "test")


def test_a_folder_without_parts_has_no_test_part(plain):
    with pytest.raises(DataError, match="no images for test; it has 41 for all"):
        open_classification(plain, "test")


def test_an_unlabelled_test_folder_is_passed_over(parts):
    shutil.rmtree(parts / "val")
    put(parts, "test/5.png", *(f"train/{c}/{i}.png" for c in "ab" for i in range(10)))
    data = open_classification(parts, "val")
    assert len(data) == 4
    assert "test is not used: it has no class folders" in data.notes
    assert data.origin == "held out of 20 by their names"


def test_folders_beside_the_parts_are_left_out_with_a_note(parts):
    put(parts, "masks/a/1.png")
    data = open_classification(parts, "train")
    assert len(data) == 2
    assert data.notes == ["folders beside train and val are left out: masks"]


def test_a_split_on_the_fly_is_stratified_and_complete(plain):
    train, val = (open_classification(plain, split) for split in ("train", "val"))
    every = open_classification(plain, "all")
    assert sorted(names(train) + names(val)) == sorted(names(every))
    assert not set(names(train)) & set(names(val))
    assert np.bincount([val.target(i) for i in range(len(val))], minlength=3).tolist() == [4, 4, 0]
    assert train.classes == val.classes == every.classes == ("a", "b", "c")
    assert any("1 class has no images in val: c" in note for note in val.notes)
    assert any("20% of each class" in note for note in val.notes)
    assert every.notes == []


def test_the_split_does_not_depend_on_where_the_data_lies(plain, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "data"
    shutil.copytree(plain, elsewhere)
    assert names(open_classification(plain, "val")) == names(open_classification(elsewhere, "val"))


def test_another_seed_splits_otherwise_and_another_fraction_nests(plain):
    val = set(names(open_classification(plain, "val")))
    assert val != set(names(open_classification(plain, "val", seed=1)))
    assert val < set(names(open_classification(plain, "val", val_fraction=0.5)))


def test_files_added_later_move_at_most_one_other_each(plain):
    before = set(names(open_classification(plain, "val")))
    for i in range(5):
        put(plain, f"a/new{i}.png")
        after = set(names(open_classification(plain, "val")))
        moved = {name for name in before ^ after if name != f"a/new{i}.png"}
        assert len(moved) <= 1
        before = after


def test_only_images_count_and_loose_ones_are_noted(plain):
    (plain / "a" / "notes.txt").write_text("x")
    (plain / "a" / ".hidden.png").write_bytes(b"x")
    put(plain, "loose.png", ".cache/x/1.png", "__MACOSX/a/1.png", "a/deeper/1.JPG")
    data = open_classification(plain, "all")
    assert "a/deeper/1.JPG" in names(data)
    assert len(data) == 42
    assert any("1 image lies in" in note and "outside" in note for note in data.notes)


def test_the_word_shapes_opens_the_built_in_data_unless_a_folder_has_that_name(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert open_classification("shapes", "val", seed=4) == Shapes(split="val", seed=4)
    assert open_classification("shapes", "eval") == Shapes(split="val")
    put(tmp_path, "shapes/a/1.png", "shapes/b/1.png")
    assert open_classification("shapes", "all").classes == ("a", "b")


@pytest.mark.parametrize(
    ("files", "split", "message"),
    [
        ([], "train", "no images in class folders"),
        (["1.png", "2.png"], "train", "2 images, none in class folders"),
        (["a/1.png"], "train", "only one class, a"),
        (
            ["train/a/1.png", "train/b/1.png", "val/a/1.png", "val/x/1.png"],
            "train",
            r"does not have: x \(1 image\); train has a, b: put some .* or take them out of val",
        ),
        (["train/1.png", "val/1.png"], "train", "train: 1 image, none in class folders"),
        (["val/a/1.png", "val/b/1.png"], "train", "no images for train; it has 2 for val"),
        (["a/1.png", "b/1.png"], "val", "no images for val"),
        (["train/a/1.png", "val/a/1.png", "valid/a/1.png"], "val", "both val and valid mean val"),
    ],
)
def test_data_that_cannot_be_used_is_one_line_that_says_why(tmp_path, files, split, message):
    put(tmp_path, *files)
    with pytest.raises(DataError, match=message) as caught:
        open_classification(tmp_path, split)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_class_folder_is_named(plain):
    (plain / "empty").mkdir()
    with pytest.raises(DataError, match="without images: empty"):
        open_classification(plain, "train")


def test_a_missing_folder_and_a_file_that_is_no_list_are_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such data folder"):
        open_classification(tmp_path / "nowhere", "train")
    put(tmp_path, "a.png")
    with pytest.raises(DataError, match=r"a\.png: data is a folder"):
        open_classification(tmp_path / "a.png", "train")


def test_wrong_arguments_are_named(plain):
    with pytest.raises(ValueError, match="split must be train, val, test, all or eval, got 'dev'"):
        open_classification(plain, "dev")
    with pytest.raises(ValueError, match="val_fraction must be between 0 and 1, got 1"):
        open_classification(plain, "val", val_fraction=1)


@pytest.mark.assets
def test_real_folders(assets):
    bees = open_classification(assets / "ants-bees", "val")
    assert bees.classes == ("ants", "bees")
    assert len(bees) + len(open_classification(assets / "ants-bees", "train")) == 396
    assert bees.image(0).mode == "RGB"
    sample = open_classification(assets / "imagenet-sample", "all")
    assert len(sample) == len(sample.classes) == 1000
    assert len(open_classification(assets / "imagenet-sample", "eval")) == 1000
    with pytest.raises(DataError, match=r"needs a column label or class.*it has image, male"):
        open_classification(assets / "faces", "all")


def test_classes_that_look_alike_are_named(tmp_path):
    """On the screen the two Cafés are one."""
    put(tmp_path, "Cafe\u0301/1.png", "Caf\u00e9/1.png", "dog/1.png", "Dog/1.png")
    data = open_classification(tmp_path, "all")
    assert "classes that differ in capitals only: Dog and dog" in data.notes
    assert any("look the same, an accent being stored in two ways" in one for one in data.notes)
