"""Text lists of parts beside class folders, as Food-101 and others have them."""

from pathlib import Path

import pytest
from PIL import Image

from mobilenets.data.folders import open_classification
from mobilenets.errors import DataError


def put(root: Path, *files: str) -> Path:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(root / file, "JPEG")
    return root


def write(path: Path, *lines: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))


def pairs(data) -> list[tuple[str, str]]:
    return [(data.name(i), data.classes[data.target(i)]) for i in range(len(data))]


@pytest.fixture
def food(tmp_path):
    return put(tmp_path, *(f"images/{name}/{i}.jpg" for name in ("pie", "soup") for i in range(4)))


@pytest.mark.parametrize(
    "line", ["{0}/{1}", "{0}/{1}.jpg", "images/{0}/{1}.jpg", r"C:\food\images\{0}\{1}.jpg"]
)
def test_paths_without_a_class_have_that_of_their_folder(food, line):
    write(food / "meta/train.txt", *(line.format(c, i) for c in ("pie", "soup") for i in (0, 1)))
    write(food / "meta/test.txt", *(line.format(c, 2) for c in ("pie", "soup")))
    assert pairs(open_classification(food, "test")) == [
        ("images/pie/2.jpg", "pie"),
        ("images/soup/2.jpg", "soup"),
    ]
    data = open_classification(food, "all")
    assert len(data) == 6
    assert "parts are those of test.txt, train.txt" in data.notes


def test_numbers_behind_paths_have_the_names_of_a_file(tmp_path):
    put(tmp_path, "pool/1.jpg", "pool/2.jpg", "pool/3.jpg")
    write(tmp_path / "train.txt", "pool/1.jpg 0", "pool/2.jpg 1")
    write(tmp_path / "val.txt", "pool/3.jpg 1", "pool/9.jpg 0")
    assert open_classification(tmp_path, "train").classes == ("0", "1")
    write(tmp_path / "classes.txt", "cat", "big dog")
    val = open_classification(tmp_path, "val")
    assert pairs(val) == [("pool/3.jpg", "big dog")]
    assert "1 image of val.txt not found, left out: pool/9.jpg" in val.notes
    write(tmp_path / "classes.txt", "cat", "big dog", "cat", "cow")
    notes = open_classification(tmp_path, "val").notes
    told = "1 name is there for several numbers, taken as one class: cat"
    assert f"classes.txt: {told}" in notes
    write(tmp_path / "classes.txt", "cat")
    with pytest.raises(DataError, match=r"classes.txt: it has 1 names, and a list has class 1"):
        open_classification(tmp_path, "train")


def test_lists_of_other_images_give_way_to_class_folders_and_that_is_said(food):
    write(food / "train.txt", "elsewhere/a.jpg", "elsewhere/b.jpg")
    data = open_classification(food, "all")
    assert len(data) == 8
    assert "train.txt: not taken as lists, since they name other images" in data.notes
