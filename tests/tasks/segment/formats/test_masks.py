import numpy as np
import pytest
from PIL import Image

from mobilenets.errors import DataError
from mobilenets.tasks.segment.formats.masks import VOC_PALETTE, has_voc_colours, read_mask
from tests.tasks.detect.formats.files import write
from tests.tasks.segment.formats.files import colours, grey, grey16, palette, png, save, voc_colour

IDS = [[0, 1, 2, 3], [20, 15, 255, 7], [0, 0, 1, 1]]


def test_the_palette_is_the_devkits():
    assert VOC_PALETTE.tolist() == [list(voc_colour(i)) for i in range(256)]
    assert voc_colour(255) == (224, 224, 192)
    assert voc_colour(15) == (192, 128, 128)  # person


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_a_palette_or_grey_file_is_its_numbers(tmp_path, suffix):
    mask = read_mask(palette(tmp_path, f"a.{suffix}", IDS))
    assert mask.ids.tolist() == IDS
    assert has_voc_colours(mask.palette, np.unique(mask.ids))
    assert read_mask(grey(tmp_path, f"b.{suffix}", IDS)).ids.tolist() == IDS


def test_sixteen_bits_are_kept(tmp_path):
    ids = [[0, 255, 256], [65535, 300, 1]]
    mask = read_mask(grey16(tmp_path, "a.png", ids))
    assert mask.ids.tolist() == ids
    assert mask.ids.dtype == np.uint16


@pytest.mark.parametrize("kind", [0, 3])
@pytest.mark.parametrize(
    ("depth", "row", "ids"),
    [
        (1, 0b10110000, [1, 0, 1, 1]),
        (2, 0b11100100, [3, 2, 1, 0]),
        (4, 0xF2, [15, 2]),
    ],
)
def test_few_bits_are_not_stretched(tmp_path, kind, depth, row, ids):
    path = png(tmp_path / "a.png", [bytes([row])], len(ids), depth, kind, entries=16 * (kind == 3))
    assert read_mask(path).ids.tolist() == [ids]


def test_a_palette_with_fewer_entries_than_ids_is_still_its_numbers(tmp_path):
    path = png(tmp_path / "a.png", [bytes([0, 1, 9])], 3, 8, 3, entries=2)
    mask = read_mask(path)
    assert mask.ids.tolist() == [[0, 1, 9]]
    assert not has_voc_colours(mask.palette, np.unique(mask.ids))
    assert has_voc_colours(mask.palette, np.array([0, 1, 255]))


def test_a_palette_of_other_colours_is_not_vocs(tmp_path):
    picture = Image.fromarray(np.array([[0, 1]], np.uint8))
    picture.putpalette([0, 0, 0, 128, 0, 1])
    mask = read_mask(save(tmp_path, "a.png", picture))
    assert not has_voc_colours(mask.palette, np.array([0, 1]))
    assert has_voc_colours(mask.palette, np.array([0]))
    assert not has_voc_colours(None, np.array([0]))
    assert not has_voc_colours(VOC_PALETTE, np.array([0, 21]))


@pytest.mark.parametrize("alpha", [False, True])
def test_vocs_colours_are_read_back(tmp_path, alpha):
    seen = [[[*voc_colour(i), *([255] * alpha)] for i in row] for row in IDS]
    mask = read_mask(colours(tmp_path, "a.png", seen))
    assert mask.ids.tolist() == IDS
    assert has_voc_colours(mask.palette, np.unique(mask.ids))


def test_grey_as_rgb_is_grey(tmp_path):
    ids = [[0, 1], [2, 250]]
    assert (
        read_mask(colours(tmp_path, "a.png", np.repeat(ids, 3).reshape(2, 2, 3))).ids.tolist()
        == ids
    )


def test_its_own_exif_turns_a_mask(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned clockwise to be seen
    picture = Image.fromarray(np.array([[1, 2, 3], [4, 5, 6]], np.uint8))
    assert read_mask(save(tmp_path, "a.png", picture, exif=exif)).ids.tolist() == [
        [4, 1],
        [5, 2],
        [6, 3],
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: colours(root, "a.png", [[[1, 2, 3]]]), "in colours that are not VOC's"),
        (
            lambda root: save(root, "a.jpg", Image.new("L", (4, 3))),
            "a JPEG, which does not keep class",
        ),
        (lambda root: save(root, "a.webp", Image.new("RGB", (4, 3))), "a WEBP, which does"),
        (lambda root: grey(root, "a.gif", IDS), "a GIF, which does"),
        (lambda root: save(root, "a.tif", Image.new("F", (4, 3))), "of mode F: expected class"),
        (lambda root: write(root / "a.png", b""), "the file is empty"),
        (lambda root: write(root / "a.png", b"hello"), "not an image of a kind"),
        (lambda root: root / "a.png", "No such file"),
    ],
)
def test_what_is_no_mask_is_an_error_of_one_line(tmp_path, make, message):
    path = make(tmp_path)
    with pytest.raises(DataError, match=message) as caught:
        read_mask(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_jpeg_called_png_is_found_out(tmp_path):
    save(tmp_path, "a.jpg", Image.new("L", (4, 3))).rename(tmp_path / "a.png")
    with pytest.raises(DataError, match="a JPEG"):
        read_mask(tmp_path / "a.png")
