"""Large photographs decoded smaller: nearly the same input, and the same size to measure in."""

import numpy as np
import pytest
from PIL import Image

from mobilenets.card import Preprocessing
from mobilenets.data.dataset import OnDisk
from mobilenets.data.folders import open_classification
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.runtime.images import read_image
from mobilenets.runtime.inputs import read_input, read_picture
from mobilenets.runtime.preprocess import preprocess

CROP = Preprocessing((28, 28))
"""Scales the short side to 32: pictures from 192 on are decoded smaller."""
LEVEL = 2 / 255
"""Of 8 bits, in values from -1 to 1."""


def photograph(size: tuple[int, int]) -> Image.Image:
    """A smooth scene with edges: ramps, waves and a square, different at each end."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    scene = np.stack([x * 255 / width, y * 255 / height, 128 + 90 * np.sin(x / 23 + y / 31)], -1)
    scene[height // 5 : height // 3, width // 8 : width // 4] = (250, 20, 60)
    return Image.fromarray(scene.astype(np.uint8))


@pytest.fixture
def save(tmp_path):
    def write(picture: Image.Image, orientation: int = 1, name: str = "a.jpg", **options):
        exif = picture.getexif()
        exif[0x0112] = orientation
        options = {"quality": 97, "subsampling": 0, **options}
        picture.save(tmp_path / name, exif=exif, **options)
        return tmp_path / name

    return write


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    "pre",
    [
        CROP,
        Preprocessing((24, 30), "torchvision", 0.8, "bicubic"),
        Preprocessing((30, 20), "squash", interpolation="lanczos"),
        Preprocessing((20, 30), "pad"),
    ],
    ids=lambda pre: pre.resize,
)
def test_a_picture_decoded_smaller_is_the_same_but_for_rounding(save, pre, orientation):
    """Every turn, at sizes that no scale divides: a shift of a half pixel would be seen."""
    path = save(photograph((401, 267)), orientation)
    picture = read_picture(path, pre)
    whole = read_image(path)
    assert picture.size == whole.size
    assert picture.image.width < whole.width / 1.9
    found, size = read_input(path, pre)
    wanted = preprocess(whole, pre)
    assert size == whole.size
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < 6 * LEVEL
    assert np.sqrt(((found - wanted) ** 2).mean()) < 0.7 * LEVEL


def test_scales_leave_three_times_what_is_needed(save):
    sizes = {191: 191, 192: 96, 383: 192, 384: 96, 767: 192, 768: 96, 1600: 200}
    for side, left in sizes.items():
        picture = read_picture(save(photograph((side, side))), CROP)
        assert picture.image.size == (left, left), side
        assert picture.size == (side, side)


@pytest.mark.parametrize(
    ("options", "pre"),
    [
        ({"name": "a.png"}, CROP),
        ({}, Preprocessing((28, 28), interpolation="nearest")),
        ({}, Preprocessing((28, 28), "squash", crop_fraction=1.0)),
    ],
    ids=["no JPEG", "single pixels", "one side is short"],
)
def test_what_would_not_stay_the_same_is_read_whole(save, options, pre):
    size = (400, 150) if pre.resize == "squash" else (400, 400)
    path = save(photograph(size), **options)
    assert read_picture(path, pre).image.size == size
    assert np.array_equal(read_input(path, pre).values, preprocess(read_image(path), pre))


def test_exact_reads_all_of_it(save):
    path = save(photograph((401, 267)), 6)
    found, size = read_input(path, CROP, exact=True)
    assert size == (267, 401)
    assert np.array_equal(found, preprocess(read_image(path), CROP))


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_other_modes_of_jpeg(save, mode):
    path = save(photograph((400, 400)).convert(mode))
    found, wanted = read_input(path, CROP).values, read_input(path, CROP, exact=True).values
    assert np.abs(found - wanted).max() < 6 * LEVEL
    assert not np.array_equal(found, wanted)


def test_phones_files_with_several_pictures(save, tmp_path):
    picture = photograph((400, 300))
    exif = picture.getexif()
    exif[0x0112] = 6
    more = {"save_all": True, "append_images": [picture.resize((80, 60))]}
    picture.save(tmp_path / "a.mpo", quality=97, exif=exif, **more)
    assert read_picture(tmp_path / "a.mpo", CROP).image.size == (150, 200)
    assert read_input(tmp_path / "a.mpo", CROP).size == (300, 400)


def test_a_damaged_file_is_named(save):
    path = save(photograph((400, 400)))
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(DataError, match=r"a\.jpg: "):
        read_input(path, CROP)


def test_data_sets_on_disk_say_where_their_pictures_are(save, tmp_path):
    for label in "ab":
        (tmp_path / label).mkdir()
        photograph((400, 300)).save(tmp_path / label / "a.jpg")
    data = open_classification(tmp_path, "all")
    assert isinstance(data, OnDisk)
    assert data.path(1) == tmp_path / "b" / "a.jpg"
    assert not isinstance(Shapes(32), OnDisk)
