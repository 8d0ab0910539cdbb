from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mobilenets.runtime.draw import colour_of
from mobilenets.tasks.segment.show.masks import VOID, draw_mask, mask_image, palette

ABC = ("a", "b", "c")


def halves(width: int, height: int, left: int, right: int) -> np.ndarray:
    mask = np.full((height, width), left, np.uint8)
    mask[:, width // 2 :] = right
    return mask


def noise(width: int, height: int) -> Image.Image:
    return Image.effect_noise((width, height), 60).convert("RGB")


def band(picture: Image.Image, height: int) -> np.ndarray:
    """The legend below a picture of that height."""
    return np.asarray(picture)[height:]


def has(pixels: np.ndarray, colour: tuple[int, int, int], least: int = 60) -> bool:
    return bool((pixels == colour).all(-1).sum() >= least)


def test_the_palette_is_vocs():
    assert palette(6).tolist() == [
        [0, 0, 0],
        [128, 0, 0],
        [0, 128, 0],
        [128, 128, 0],
        [0, 0, 128],
        [128, 0, 128],
    ]
    colours = palette(256)
    assert colours.dtype == np.uint8
    assert colours[[8, 15, 20, VOID]].tolist() == [
        [64, 0, 0],
        [192, 128, 128],
        [0, 64, 128],
        [224, 224, 192],
    ]
    assert len({tuple(colour) for colour in colours.tolist()}) == 256
    assert palette(0).shape == (0, 3)
    with pytest.raises(ValueError, match="count must be 0 to 65536, got -1"):
        palette(-1)


def test_the_palette_is_that_of_real_masks(assets: Path):
    path = next((assets / "coco128" / "voc21-masks").glob("*.png"))
    stored = np.reshape(Image.open(path).getpalette(), (-1, 3))
    np.testing.assert_array_equal(palette(len(stored)), stored)


@pytest.mark.parametrize(("kind", "mode"), [(np.uint8, "P"), (np.uint16, "I;16")])
def test_a_mask_in_a_file_keeps_its_classes(tmp_path, kind, mode):
    mask = np.arange(256).reshape(8, 32).astype(kind) * (kind(1) if kind == np.uint8 else kind(9))
    path = tmp_path / "mask.png"
    mask_image(mask).save(path)
    with Image.open(path) as read:
        assert read.mode == mode
        np.testing.assert_array_equal(np.asarray(read), mask)
    if kind == np.uint8:
        coloured = np.asarray(Image.open(path).convert("RGB"))
        np.testing.assert_array_equal(coloured.reshape(-1, 3), palette(256))


def test_a_class_is_its_colour_mixed_with_the_image():
    image = noise(400, 300)
    drawn = draw_mask(image, halves(400, 300, 0, 2), ABC)
    assert drawn.width == 400
    before, after = np.asarray(image).astype(float), np.asarray(drawn)[:300].astype(float)
    for index, part in ((0, np.s_[:, :195]), (2, np.s_[:, 205:])):
        mixed = (before[part] + np.array(colour_of(index))) / 2
        assert np.abs(after[part] - mixed).max() <= 1
    edge = np.array([colour_of(0), colour_of(2)])
    assert np.abs(after[:, 199:201] - edge).max() <= 26  # nine tenths of it are the colour


def test_background_is_left_as_it_is():
    image = noise(400, 300)
    drawn = draw_mask(image, halves(400, 300, 0, 1), ("Background", "b"))
    before, after = np.asarray(image), np.asarray(drawn)[:300]
    np.testing.assert_array_equal(after[:, :200], before[:, :200])
    assert (after[:, 200:] != before[:, 200:]).any(2).mean() > 0.99
    elsewhere = draw_mask(image, halves(400, 300, 1, 0), ("b", "background"))
    assert (np.asarray(elsewhere)[:300] != before).any(2).mean() > 0.99


def test_void_is_hatched_and_between_the_lines_as_it_is():
    image = noise(400, 300)
    drawn = draw_mask(image, halves(400, 300, 1, VOID), ABC)
    before, after = np.asarray(image), np.asarray(drawn)[:300]
    same = (before == after).all(2)[:, 200:]
    assert 0.7 < same.mean() < 0.8
    lines = [same[:, x : x + 8].mean() for x in range(0, 200, 8)]
    assert 0.7 < min(lines) <= max(lines) < 0.8


def test_the_legend_has_every_class_and_no_other():
    image = Image.new("RGB", (640, 300), (90, 90, 90))
    mask = np.zeros((300, 640), np.uint8)
    labels = [f"class {i}" for i in range(60)]
    for i in range(45):
        mask[:, i * 5 : i * 5 + 5] = 59 - i
    legend = band(draw_mask(image, mask, labels), 300)
    for index in range(60):
        there = index == 0 or index >= 15
        assert has(legend, colour_of(index)) == there, index
    assert len(legend) > 45 / 4 * 13


def test_the_largest_class_comes_first():
    image = Image.new("RGB", (400, 300))
    mask = np.full((300, 400), 2, np.uint8)
    mask[:, :150] = 1
    mask[:50, 150:] = VOID
    for labels in (ABC, ("background", "b", "c")):
        legend = band(draw_mask(image, mask, labels), 300)
        places = [np.nonzero((legend == colour_of(i)).all(2))[1].min() for i in (2, 1)]
        assert places[0] < 20 < places[1]


def legend_of(labels: list[str], mask: np.ndarray | None = None) -> np.ndarray:
    mask = halves(400, 300, 0, 1) if mask is None else mask
    image = Image.new("RGB", mask.shape[::-1], (90, 90, 90))
    return band(draw_mask(image, mask, labels), 300)


def test_the_legend_names_classes_and_says_their_share():
    plain = legend_of(["one", "two"])
    assert (legend_of(["one", "other"]) != plain).any()
    shifted = halves(400, 300, 0, 1)
    shifted[:, 180:] = 1
    assert (legend_of(["one", "two"], shifted) != plain).any()
    with_void = halves(400, 300, 0, 1)
    with_void[0, 0] = VOID
    assert (legend_of(["one", "two"], with_void)[: len(plain)] != plain[:]).any()


def test_names_that_are_long_strange_or_empty():
    plain = legend_of(["Mowe", "two"])
    np.testing.assert_array_equal(legend_of(["Möwe", "two"]), plain)
    np.testing.assert_array_equal(legend_of([" \n", "two"]), legend_of(["0", "two"]))
    long = legend_of(["a very long name of a class " * 9, "two"])
    assert has(long, colour_of(1))
    margin = long[:, -5:]
    assert (margin == margin[0, 0]).all()
    alone = legend_of(["name " * 99] * 2, np.zeros((300, 400), np.uint8))
    assert (alone[:, -5:] == margin[0, 0]).all()


@pytest.mark.parametrize(
    "size", [(1, 1), (2, 3000), (5000, 1), (1, 5000), (64, 48), (1280, 720), (2600, 2000)]
)
def test_any_size_ends_readable(size):
    mask = np.zeros(size[::-1], np.uint8)
    mask[size[1] // 2 :, size[0] // 2 :] = 1
    drawn = draw_mask(Image.new("RGB", size), mask, ["ground", "thing"])
    assert 360 <= drawn.width <= 1280
    assert 20 <= drawn.height <= 1280 + 80
    assert has(np.asarray(drawn), colour_of(1))


def test_an_image_of_void_and_one_of_many_classes():
    void = np.full((30, 40), VOID, np.uint8)
    assert draw_mask(noise(40, 30), void, ABC).width == 360
    many = np.arange(1200).reshape(30, 40).astype(np.uint16)
    drawn = draw_mask(noise(40, 30), many, [str(i) for i in range(1200)])
    assert has(band(drawn, 270), colour_of(255))
    assert has(band(drawn, 270), colour_of(1199))


def test_a_mask_that_does_not_fit_is_named():
    image = Image.new("RGB", (4, 3))
    with pytest.raises(ValueError, match=r"must have the image's shape, \(3, 4\), got \(4, 3\)"):
        draw_mask(image, np.zeros((4, 3), np.uint8), ABC)
    with pytest.raises(ValueError, match="values 0 to 2 or 255, void, got 3"):
        draw_mask(image, np.full((3, 4), 3, np.uint8), ABC)
    with pytest.raises(ValueError, match="values 0 to 2, got 255"):
        draw_mask(image, np.full((3, 4), 255, np.uint16), ABC)
    for bad in (np.zeros((3, 4)), np.zeros((3, 4, 1), np.uint8)):
        with pytest.raises(ValueError, match=r"must be \(height, width\) of uint8 or uint16, got"):
            draw_mask(image, bad, ABC)
        with pytest.raises(ValueError, match=r"must be \(height, width\) of uint8 or uint16, got"):
            mask_image(bad)
