"""What can be wrong with images and masks: named, counted, never a crash."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from mobilenets.data.inventory import take_account
from mobilenets.errors import DataError
from mobilenets.tasks.segment.data import open_parts, open_segmentation
from mobilenets.tasks.segment.formats.masks import VOID
from tests.data.labelled import opened
from tests.tasks.detect.formats.files import write
from tests.tasks.segment.formats.files import colours, grey, grey16, palette, photo, png, save

IDS = np.array([[0, 0, 1, 255], [0, 2, 1, 1], [0, 0, 0, 0]], np.uint8)


def problems(data) -> dict[str, tuple[str, ...]]:
    assert all(problem.sentence in data.notes for problem in data.problems)
    assert all(problem.count == len(problem.names) for problem in data.problems)
    return {problem.kind: problem.names for problem in data.problems}


@pytest.fixture
def roads(tmp_path):
    """Images and masks 0 .. 4, all good."""
    for i in range(5):
        photo(tmp_path, f"images/{i}.jpg")
        grey(tmp_path, f"masks/{i}.png", IDS)
    return tmp_path


def left(root: Path) -> list[str]:
    data = open_segmentation(root, "all")
    for i in range(len(data)):
        assert data.target(i).shape == data.image_size(i)[::-1] == data.image(i).size[::-1]
    return [data.name(i) for i in range(len(data))]


def bad(root: Path, make: Callable[[Path], object]) -> dict[str, tuple[str, ...]]:
    """What is said when mask 0 is made so; the others are kept."""
    make(root)
    assert left(root) == [f"images/{i}.jpg" for i in range(1, 5)]
    return problems(open_segmentation(root, "all"))


def test_good_data_has_no_problems(roads):
    data = open_segmentation(roads, "all")
    assert len(data) == 5
    assert data.problems == []


def test_a_mask_of_another_size_is_named_with_both(roads):
    found = bad(roads, lambda root: grey(root, "masks/0.png", IDS.T))
    assert found == {"other size": ("masks/0.png (3 x 4 instead of 4 x 3)",)}


def test_a_mask_that_is_void_everywhere_is_left_out(roads):
    found = bad(roads, lambda root: grey(root, "masks/0.png", np.full((3, 4), 255)))
    assert found == {"all void": ("masks/0.png",)}


def test_masks_that_are_all_void_everywhere_are_said_to_be(tmp_path):
    photo(tmp_path, "images/a.jpg")
    grey(tmp_path, "masks/a.png", np.full((3, 4), VOID))
    with pytest.raises(DataError, match="every mask for training is 255, void, everywhere"):
        open_segmentation(tmp_path, "all")


@pytest.mark.parametrize("named", [False, True])
def test_the_palette_of_voc_names_classes_only_where_nothing_else_does(tmp_path, named):
    """labelme writes VOC's palette for any classes, and their names into `class_names.txt`."""
    photo(tmp_path, "images/a.jpg")
    palette(tmp_path, "masks/a.png", IDS)
    if named:
        write(tmp_path / "class_names.txt", "_background_\nwheel\nwindow\n")
    data = open_segmentation(tmp_path, "all")
    assert data.classes[1] == ("wheel" if named else "aeroplane")
    note = "the masks have VOC's palette: its 21 names are taken"
    assert (note in data.notes) is not named


def huge(root: Path) -> None:
    """A header that says 60000 x 60000 in front of 12 pixels."""
    path = png(root / "masks/0.png", [bytes(4)] * 3, 4, 8, 0)
    whole = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", 60000, 60000) + whole[24:29]
    write(path, whole[:12] + header + struct.pack(">I", zlib.crc32(header)) + whole[33:])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda root: colours(root, "masks/0.png", np.dstack([IDS, IDS, 9 - IDS])), "in colours"),
        (lambda root: save(root, "masks/0.png", Image.new("L", (4, 3)), format="JPEG"), "a JPEG"),
        (lambda root: write(root / "masks/0.png", b""), "empty"),
        (lambda root: write(root / "masks/0.png", b"hello"), "not an image"),
        (huge, "decompression bomb"),
        (
            lambda root: write(root / "masks/0.png", (root / "masks/1.png").read_bytes()[:50]),
            "cannot be decoded",
        ),
    ],
)
def test_a_mask_that_cannot_be_used_is_named_with_the_reason(roads, make, reason):
    [name] = bad(roads, make)["bad mask"]
    assert name.startswith("masks/0.png (")
    assert reason in name
    assert str(roads) not in name


def test_a_link_to_nowhere_is_a_mask_that_cannot_be_used(roads):
    (roads / "masks/0.png").unlink()
    (roads / "masks/0.png").symlink_to(roads / "gone.png")
    (roads / "images/1.jpg").unlink()
    (roads / "images/1.jpg").symlink_to(roads / "gone.jpg")
    found = problems(open_segmentation(roads, "all"))
    assert found["bad mask"] == ("masks/0.png (No such file or directory)",)
    assert found["missing"][0].startswith("images/1.jpg")
    assert len(left(roads)) == 3


def test_images_that_cannot_be_used_are_left_out(roads):
    write(roads / "images/0.jpg", b"hello")
    assert left(roads) == [f"images/{i}.jpg" for i in range(1, 5)]
    assert problems(open_segmentation(roads, "all")) == {"unreadable": ("images/0.jpg",)}


def test_narrow_images_are_used_and_named(roads):
    photo(roads, "images/1.jpg", (1, 1))
    grey(roads, "masks/1.png", [[1]])
    photo(roads, "images/2.jpg", (4, 1))
    grey(roads, "masks/2.png", [[1, 2, 1, 0]])
    assert len(left(roads)) == 5
    data = open_segmentation(roads, "all")
    assert problems(data) == {"narrow": ("images/1.jpg", "images/2.jpg")}
    assert data.target(2).tolist() == [[1, 2, 1, 0]]


def test_pairs_that_are_not_whole_are_named_both_ways(roads):
    (roads / "masks/0.png").unlink()
    (roads / "images/1.jpg").unlink()
    assert problems(open_segmentation(roads, "all")) == {
        "no mask": ("images/0.jpg",),
        "stray mask": ("masks/1.png",),
    }


def test_two_images_of_one_name(roads):
    photo(roads, "images/0.jpeg")
    assert problems(open_segmentation(roads, "all"))["same name"] == ("images/0.jpg",)
    photo(roads, "images/1.png")  # a PNG beside a photograph could be its mask, but masks are there
    data = open_segmentation(roads, "all")
    assert problems(data)["same name"] == ("images/0.jpg", "images/1.png")
    assert not any("images are those of" in note for note in data.notes)
    assert len(left(roads)) == 5


@pytest.mark.parametrize("wide", [False, True])
def test_ids_out_of_range_are_void_and_named(roads, wide):
    write(roads / "classes.txt", "road\ncar\n")
    ids = IDS.astype(np.uint16)
    ids[0, 0], ids[0, 1] = (300, 40000) if wide else (7, 9)
    (grey16 if wide else grey)(roads, "masks/0.png", ids)
    data = open_segmentation(roads, "all")
    said = "300, 40000" if wide else "7, 9"
    assert problems(data)["out of range"][0] == f"masks/0.png (ids 2, {said})"
    assert data.target(0)[0].tolist() == [VOID, VOID, 1, VOID]
    assert len(problems(data)["out of range"]) == 5  # the 2 in every mask


def test_without_names_the_training_masks_say_how_many_classes(tmp_path):
    for part, most in (("train", 2), ("val", 4)):
        photo(tmp_path, f"images/{part}/a.jpg")
        grey(tmp_path, f"masks/{part}/a.png", [[0, 1, 2, most]] * 3)
    parts = open_parts(tmp_path)
    assert parts["train"].classes == parts["val"].classes == ("0", "1", "2")
    assert problems(parts["train"]) == {}
    assert problems(parts["val"]) == {"out of range": ("masks/val/a.png (id 4)",)}
    assert parts["val"].target(0).tolist() == [[0, 1, 2, VOID]] * 3


def test_a_mask_stored_in_another_way_is_named_and_used(roads):
    palette(roads, "masks/3.png", IDS)
    data = open_segmentation(roads, "all")
    assert problems(data) == {"storage": ("masks/3.png (palette, not grey)",)}
    assert (data.target(3) == IDS).all()


def seen(ids: np.ndarray, turned: int) -> np.ndarray:
    """As a viewer turns a picture, from EXIF's table of rows and columns."""
    return {
        1: ids,
        2: ids[:, ::-1],
        3: ids[::-1, ::-1],
        4: ids[::-1],
        5: ids.T,
        6: ids[::-1].T,
        7: ids[::-1, ::-1].T,
        8: ids[:, ::-1].T,
    }[turned]


@pytest.mark.parametrize("turned", [5, 6, 7, 8])
@pytest.mark.parametrize("upright", [False, True])
def test_masks_of_turned_images_are_brought_upright(roads, turned, upright):
    photo(roads, "images/0.jpg", turned=turned)
    wanted = seen(IDS, turned)
    grey(roads, "masks/0.png", wanted if upright else IDS)
    data = open_segmentation(roads, "all")
    assert data.image_size(0) == (3, 4)
    assert (data.target(0) == wanted).all()
    assert problems(data) == ({} if upright else {"mask turned": ("masks/0.png",)})


@pytest.mark.parametrize("turned", [2, 3, 4])
def test_where_a_mask_fits_both_ways_it_is_upright_and_that_is_said(roads, turned):
    photo(roads, "images/0.jpg", turned=turned)
    data = open_segmentation(roads, "all")
    assert (data.target(0) == IDS).all()
    assert problems(data) == {"turn unsure": ("images/0.jpg",)}


def test_data_with_nothing_but_problems_is_an_error(roads):
    for i in range(5):
        grey(roads, f"masks/{i}.png", np.full((3, 4), 255))
    write(roads / "classes.txt", "a\nb\n")
    with pytest.raises(DataError, match="no images for all that can be used: 5 masks are void"):
        open_segmentation(roads, "all")
    for i in range(5):
        write(roads / f"masks/{i}.png", b"")
    (roads / "classes.txt").unlink()
    with pytest.raises(DataError, match="no images for train that can be used: 5 masks cannot"):
        open_segmentation(roads, "val")


def test_a_mask_that_changes_is_looked_at_anew(roads):
    assert open_segmentation(roads, "all").classes == ("0", "1", "2")
    before = open_segmentation(roads, "all")
    grey(roads, "masks/0.png", np.full((30, 40), 5))
    photo(roads, "images/0.jpg", (40, 30))
    assert open_segmentation(roads, "all").classes == tuple("012345")
    with pytest.raises(DataError, match=r"0.png: it has changed since the data was opened"):
        before.target(0)


def mask_of(kind: str, root: Path) -> Path:
    if kind == "grey":
        return grey(root, "masks/a.png", IDS)
    if kind == "palette":
        return palette(root, "masks/a.png", IDS)
    if kind == "wide":
        return grey16(root, "masks/a.png", IDS)
    if kind == "few bits":
        return png(root / "masks/a.png", [bytes([0b00011011])] * 3, 4, 2, 3, entries=3)
    return write(root / "classes.txt", "a\nb\nvoid\n")


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.sampled_from(["grey", "palette", "wide", "few bits", "names"]),
    st.integers(0, 2000),
    st.binary(max_size=3),
    st.booleans(),
)
def test_files_with_some_bytes_changed(tmp_path_factory, kind, at, new, cut):
    """A data set whose targets are right in shape and values, or a line that says what is wrong."""
    root = tmp_path_factory.mktemp("data")
    for name in "ab":
        photo(root, f"images/{name}.jpg")
        grey(root, f"masks/{name}.png", IDS)
    path = mask_of(kind, root)
    whole = path.read_bytes()
    at %= len(whole) + 1
    path.write_bytes(whole[:at] + new + (whole[at + len(new) :] if cut else b""))
    data = opened(root, open_segmentation)
    if data is None:
        return
    for i in range(len(data)):
        target = data.target(i)
        assert target.shape == data.image_size(i)[::-1]
        assert ((target < len(data.classes)) | (target == VOID)).all()
        assert (target != VOID).any()
        assert data.pixels_of(i).sum() == target.size


def test_a_part_of_which_nothing_can_be_used_is_named_and_the_others_are_opened(tmp_path):
    for part, ids in (("train", IDS), ("val", np.full((3, 4), 255))):
        photo(tmp_path, f"images/{part}/a.jpg")
        grey(tmp_path, f"masks/{part}/a.png", ids)
    parts = open_parts(tmp_path)
    assert list(parts) == ["train"]
    [name] = problems(parts["train"])["lost part"]
    assert name.startswith("val (no images for val that can be used: 1 mask is void everywhere")
    account = take_account(tmp_path, parts.values())
    assert account is not None
    said = "1 of 2 images left out: 1 image in val, which has no usable mask"
    assert account.line.startswith(said)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["masks/cat/{0}.png", "masks/dog/{0}.png"], r"a folder for each class \(cat, dog\)"),
        (["masks/{0}/1.png", "masks/{0}/2.png"], r"a folder for each image \(a0, a1\)"),
        (["arrays/{0}.npy"], r"2 files of arrays \(arrays/a0.npy\), which are not read as masks"),
        (["outlines/{0}.json"], "2 files of JSON, perhaps with outlines"),
    ],
)
def test_masks_that_are_written_otherwise_are_called_so(tmp_path, files, said):
    for i in range(2):
        photo(tmp_path, f"images/a{i}.jpg")
        for file in files:
            path = file.format(f"a{i}")
            if path.endswith(".png"):
                grey(tmp_path, path, IDS)
            else:
                write(tmp_path / path, b"x")
    with pytest.raises(DataError, match=said):
        open_segmentation(tmp_path, "train")
