from pathlib import Path

import pytest
from PIL import Image

from mobilenets.data.folders import open_classification
from mobilenets.data.inventory import Account, passed_over, take_account
from mobilenets.errors import DataError
from mobilenets.runtime.images import find_images
from mobilenets.tasks.segment.data import open_parts

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)


@pytest.fixture
def photos(tmp_path) -> Path:
    for file in ("a/1.jpg", "a/2.jpg!d", "b/1.png", "b/in/2.png", "loose.png"):
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path, "PNG" if path.suffix == ".png" else "JPEG")
    for file, content in {
        "a/3.HEIC": HEIC,
        "a/4.psd": b"8BPS",
        "b/empty.jpg": b"",
        "b/notes.txt": b"x",
        "clip.mp4": b"x",
        ".DS_Store": b"x",
        "__MACOSX/a/._1.jpg": b"x",
        ".cache/1.jpg": b"x",
        "what": b"x",
        "nothing": b"",
        "all.zip": b"PK",
    }.items():
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    return tmp_path


def counts(account: Account | None) -> dict[str, int]:
    assert account is not None
    return {one.kind: one.number for one in account.left}


def files_below(folder: Path) -> int:
    return sum(not path.is_dir() for path in folder.rglob("*"))


def account_of(path: Path, monkeypatch, *splits: str, heic: bool = False) -> Account:
    readable = {"JPEG", "PNG", *(["HEIC"] if heic else [])}
    for module in ("data.inventory", "runtime.images"):
        monkeypatch.setattr(f"mobilenets.{module}.can_read", readable.__contains__)
    found = take_account(path, [open_classification(path, split) for split in splits or ["all"]])
    assert found is not None
    return found


def test_every_file_is_used_or_left_out_for_a_reason(photos, monkeypatch):
    found = account_of(photos, monkeypatch)
    assert found.images == 5  # an empty .jpg is used until it is opened
    assert counts(found) == {
        "HEIC": 1,
        "Photoshop": 1,
        "outside the class folders": 1,
        "hidden": 3,
        "archive": 1,
        "text": 1,
        "video": 1,
        "other": 1,
        "empty": 1,
        "dead link": 1,
    }
    assert found.images + found.labels + sum(counts(found).values()) == files_below(photos)


def test_the_line_names_what_is_missing_and_how_to_get_it(photos, monkeypatch):
    line = account_of(photos, monkeypatch).line
    assert line.startswith("3 of 8 images left out: ")
    assert "1 HEIC image, which needs `pip install pillow-heif`: a/3.HEIC" in line
    assert "1 Photoshop image, which is not read: a/4.psd" in line
    assert "1 image outside the class folders: loose.png" in line
    assert ".txt" not in line
    with_extra = account_of(photos, monkeypatch, heic=True)
    assert with_extra.images == 6
    assert "HEIC" not in with_extra.line


def test_nothing_is_said_where_all_images_are_used(tmp_path, monkeypatch):
    for file in ("a/1.png", "b/1.png"):
        (tmp_path / file).parent.mkdir()
        Image.new("RGB", (8, 6)).save(tmp_path / file)
    (tmp_path / "readme.txt").write_text("x")
    assert account_of(tmp_path, monkeypatch).line == ""
    assert take_account("shapes", []) is None


def test_parts_that_are_not_opened_are_not_left_out(tmp_path, monkeypatch):
    for part in ("train", "val"):
        for file in ("a/1.png", "b/1.png"):
            (tmp_path / part / file).parent.mkdir(parents=True)
            Image.new("RGB", (8, 6)).save(tmp_path / part / file)
    assert account_of(tmp_path, monkeypatch, "train").images == 4
    assert counts(account_of(tmp_path, monkeypatch, "train")) == {}


def test_of_a_list_only_the_folders_with_its_images_are_searched(tmp_path, monkeypatch):
    for file in ("far/9.png", "here/1.png", "here/2.png", "here/3.png"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 6)).save(tmp_path / file)
    table = tmp_path / "mine.csv"
    table.write_text("image,label\nhere/1.png,a\nhere/2.png,b\n")
    found = account_of(table, monkeypatch)
    assert (found.images, found.labels, counts(found)) == (2, 1, {"not named": 1})


def test_images_with_masks(tmp_path):
    for name in ("1", "2", "3", "4"):
        for folder, mode in (("images", "RGB"), ("masks", "L"), ("drawn", "RGB")):
            path = tmp_path / folder / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            picture = Image.new(mode, (8, 6), 1 if mode == "L" else 0)
            picture.putpixel((0, 0), 0 if mode == "L" else (9, 9, 9))
            picture.save(path)
    (tmp_path / "masks" / "4.png").unlink()
    Image.new("L", (3, 3), 1).save(tmp_path / "masks" / "3.png")
    (tmp_path / "classes.txt").write_text("ground\nhouse\n")
    found = take_account(tmp_path, open_parts(tmp_path).values())
    assert found is not None
    assert (found.images, found.labels) == (2, 4)
    beside = "in a folder that is neither taken for the images nor for the masks"
    assert counts(found) == {beside: 4, "whose mask cannot be used": 1, "no mask": 1}
    assert found.images + found.labels + sum(counts(found).values()) == files_below(tmp_path)


def test_what_predict_passes_over_in_folders_and_patterns_is_named(photos, monkeypatch):
    monkeypatch.setattr("mobilenets.data.inventory.can_read", {"PNG", "JPEG"}.__contains__)
    monkeypatch.setattr("mobilenets.runtime.images.can_read", {"PNG", "JPEG"}.__contains__)
    files = find_images([photos])
    line = passed_over([str(photos)], files)
    assert line.startswith("2 of 9 images left out: 1 HEIC image, which needs `pip install pil")
    assert f"1 Photoshop image, which is not read: {photos}/a/4.psd" in line
    pattern = f"{photos}/a/*"
    assert passed_over([pattern], find_images([pattern])).startswith("2 of 4 images left out")
    one = str(photos / "a" / "1.jpg")
    assert passed_over([one], find_images([one])) == ""
    (photos / "a" / "4.psd").unlink()
    only = photos / "only"
    only.mkdir()
    (photos / "a" / "3.HEIC").rename(only / "3.HEIC")
    with pytest.raises(DataError, match=r"no images in .*only; 1 HEIC: `pip install pil"):
        find_images([only])
