import math

import numpy as np
import pytest
from PIL import Image

from mobilenets.card import INCEPTION, TORCHVISION, Preprocessing
from mobilenets.runtime import preprocess as module
from mobilenets.runtime.images import find_images, read_image
from mobilenets.runtime.preprocess import preprocess

RNG = np.random.default_rng(1)


def picture(width: int, height: int) -> Image.Image:
    small = RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8)
    smooth = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    grain = RNG.integers(-20, 21, (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(smooth) + grain, 0, 255).astype(np.uint8))


def torchvisions(image: Image.Image, pre: Preprocessing) -> np.ndarray:
    import torch
    from torchvision.transforms import InterpolationMode, v2

    side = pre.size[0]
    return v2.Compose(
        [
            v2.Resize(round(side / pre.crop_fraction), InterpolationMode(pre.interpolation)),
            v2.CenterCrop(side),
            v2.PILToTensor(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(pre.mean), list(pre.std)),
        ]
    )(image).numpy()


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize(
    ("width", "height"), [(341, 256), (100, 77), (33, 500), (257, 255), (1, 9), (9, 1), (1, 1)]
)
def test_torchvision_is_its_resize_and_center_crop(width, height, interpolation):
    image = picture(width, height)
    for side, fraction in ((224, 0.875), (65, 0.95), (32, 1.0)):
        pre = Preprocessing(
            (side, side), "torchvision", fraction, interpolation, TORCHVISION.mean, TORCHVISION.std
        )
        ours = preprocess(image, pre)
        assert ours.shape == (3, side, side)
        assert ours.dtype == np.float32
        assert ours.flags.c_contiguous
        np.testing.assert_allclose(ours, torchvisions(image, pre), rtol=0, atol=2e-6)


@pytest.mark.assets
def test_a_photograph_goes_in_as_torchvision_would_have_it(assets):
    for path in find_images(
        [assets / "imagenet-sample" / "n01440764", assets / "ants-bees/val/ants"]
    )[:6]:
        image = read_image(path)
        expected = torchvisions(image, TORCHVISION)
        np.testing.assert_allclose(preprocess(image, TORCHVISION), expected, atol=2e-6)


@pytest.mark.parametrize(("width", "height"), [(341, 256), (500, 375), (375, 500), (33, 500)])
def test_crop_rounds_the_long_side_and_leaves_the_odd_pixel_right_or_below(width, height):
    image = picture(width, height)
    short = round(65 / 0.875)
    scale = short / min(width, height)
    whole = image.resize((round(width * scale), round(height * scale)), Image.Resampling.BILINEAR)
    left, top = (whole.width - 65) // 2, (whole.height - 65) // 2
    expected = np.asarray(whole.crop((left, top, left + 65, top + 65)), np.float32) / 127.5 - 1
    found = preprocess(image, Preprocessing((65, 65)))
    np.testing.assert_allclose(found, expected.transpose(2, 0, 1), atol=2e-6)


def triangle_twin(pixels: np.ndarray, length: int) -> np.ndarray:
    """Rows resampled with an antialiased triangle filter, from its definition, one at a time."""
    scale = len(pixels) / length
    reach = max(scale, 1.0)
    out = np.zeros((length, *pixels.shape[1:]))
    for i in range(length):
        centre = (i + 0.5) * scale
        total = 0.0
        for j in range(len(pixels)):
            weight = max(0.0, 1 - abs(j + 0.5 - centre) / reach)
            out[i] += weight * pixels[j]
            total += weight
        out[i] /= total
    return out


def resized(image: Image.Image, width: int, height: int) -> np.ndarray:
    pixels = np.asarray(image, np.float64)
    across = triangle_twin(pixels.transpose(1, 0, 2), width).transpose(1, 0, 2)
    return triangle_twin(np.rint(across), height)


@pytest.mark.parametrize("size", [(20, 30), (31, 17)])
@pytest.mark.parametrize(("width", "height"), [(50, 40), (13, 29), (1, 6)])
@pytest.mark.parametrize("rule", ["crop", "squash", "pad"])
def test_every_rule_is_its_slow_twin(size, width, height, rule):
    """From the words of the card alone: scale, cut or fill, normalise, swap colours."""
    image = picture(width, height)
    mean, std = (0.1, 0.4, 0.7), (0.2, 0.5, 0.3)
    tall, wide = size
    want = np.zeros((tall, wide, 3))
    if rule == "squash":
        want = (resized(image, wide, tall)[..., ::-1] / 255 - mean) / std
    elif rule == "pad":
        scale = min(wide / width, tall / height)
        w, h = max(1, round(width * scale)), max(1, round(height * scale))
        want[:h, :w] = (resized(image, w, h)[..., ::-1] / 255 - mean) / std
    else:
        scale = max(round(wide / 0.875) / width, round(tall / 0.875) / height)
        w, h = round(width * scale), round(height * scale)
        left, top = math.floor((w - wide) / 2), math.floor((h - tall) / 2)
        want = resized(image, w, h)[top : top + tall, left : left + wide]
        want = (want[..., ::-1] / 255 - mean) / std
    pre = Preprocessing(size, rule, mean=mean, std=std, order="BGR")
    ours = preprocess(image, pre)
    assert ours.shape == (3, *size)
    level = 1 / 255 / min(std)
    np.testing.assert_allclose(ours, want.transpose(2, 0, 1), rtol=0, atol=1.6 * level)


def test_a_strip_of_one_pixel_by_thousands_needs_no_gigabytes():
    strip = Image.new("RGB", (1, 30_000), (255, 0, 0))
    values = preprocess(strip, INCEPTION)
    assert (values[0] == 1).all()
    assert (values[1:] == -1).all()
    assert preprocess(strip.transpose(Image.Transpose.ROTATE_90), INCEPTION).shape == (3, 224, 224)


def test_scaling_only_the_part_that_is_kept_gives_the_same_picture(monkeypatch):
    image = picture(400, 300)
    whole = preprocess(image, INCEPTION)
    monkeypatch.setattr(module, "_MOST_PIXELS", 0)
    assert np.abs(preprocess(image, INCEPTION) - whole).max() <= 1.01 / 127.5


def test_the_ends_of_the_range_are_exact():
    pre = Preprocessing((2, 2), "squash")
    assert (preprocess(Image.new("RGB", (2, 2), "black"), pre) == -1).all()
    assert (preprocess(Image.new("RGB", (2, 2), "white"), pre) == 1).all()


def test_only_rgb_is_taken():
    with pytest.raises(ValueError, match="image must have mode RGB, got L"):
        preprocess(Image.new("L", (4, 4)), INCEPTION)


@pytest.mark.parametrize("resize", ["crop", "torchvision", "squash", "pad"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [(90, 70), (70, 90), (400, 300), (31, 200)])
def test_in_one_go_or_in_steps_the_bits_are_the_same(monkeypatch, resize, interpolation, size):
    """The engine's code beside Pillow and numpy, on whatever pictures it takes."""
    pixels = np.random.default_rng(3).integers(0, 256, (*size[::-1], 3)).astype(np.uint8)
    image = Image.fromarray(pixels)
    pre = Preprocessing((40, 48), resize, 0.8, interpolation, order="BGR")
    found = preprocess(image, pre)
    monkeypatch.setattr("mobilenets.runtime.preprocess.pixels_of", lambda image: None)
    assert np.array_equal(found, preprocess(image, pre))
