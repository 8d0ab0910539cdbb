import pickle
from fractions import Fraction

import numpy as np
import pytest
import torch
from PIL import Image

from mobilenets.card import Preprocessing
from mobilenets.runtime.preprocess import nearest, preprocess
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.learn.transforms import SegmentationTransform
from mobilenets.tasks.segment.recipes.settings import SegmentationAugmentation

SIZE = (65, 97)
PREPROCESSING = Preprocessing(SIZE, "pad", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))


def transform(policy: str, pre: Preprocessing = PREPROCESSING, **settings) -> SegmentationTransform:
    return SegmentationTransform(pre, SegmentationAugmentation(policy, **settings))


def picture(width: int = 60, height: int = 50) -> tuple[Image.Image, np.ndarray]:
    """A white square of class 3 on black of class 0."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[15:35, 10:40] = 255
    mask = np.where(pixels[..., 0] > 0, 3, 0).astype(np.uint8)
    return Image.fromarray(pixels), mask


def white(pixels: torch.Tensor, pre: Preprocessing = PREPROCESSING) -> torch.Tensor:
    """How bright a normalised image is, 0 to 1; NaN nowhere."""
    mean, std = (torch.tensor(v)[:, None, None] for v in (pre.mean, pre.std))
    return (pixels * std + mean).mean(0)


def test_without_augmentation_it_is_what_inference_does():
    image, mask = picture()
    pixels, target = transform("none")(image, mask)
    np.testing.assert_array_equal(pixels.numpy(), preprocess(image, PREPROCESSING))
    np.testing.assert_array_equal(target.numpy(), nearest(mask, PREPROCESSING, VOID))


@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_each_pixel_has_the_class_that_its_centre_lies_in(resize):
    """Where the input shows the image; beyond it is void."""
    rng = np.random.default_rng(0)
    for height, width in ((50, 60), (1, 1), (131, 40), (65, 97), (7, 300)):
        mask = rng.integers(0, 4, (height, width)).astype(np.uint8)
        pre = Preprocessing(SIZE, resize)
        found = nearest(mask, pre, VOID)
        shown = np.argwhere(found != VOID).max(0) + 1 if resize == "pad" else np.array(SIZE)
        rows, columns = (
            [int(Fraction(2 * x + 1, 2) * Fraction(side, int(out))) for x in range(out)]
            for side, out in zip(mask.shape, shown, strict=True)
        )
        np.testing.assert_array_equal(found[: shown[0], : shown[1]], mask[rows][:, columns])
        assert (found[shown[0] :] == VOID).all()
        assert (found[:, shown[1] :] == VOID).all()


@pytest.mark.parametrize("policy", ["none", "flip", "deeplab"])
def test_image_and_mask_move_together(policy):
    """Wherever the image is clearly white, the mask has the square's class, and the other way."""
    make = transform(policy, scale_step=0.0)
    seen = set()
    for seed in range(30):
        torch.manual_seed(seed)
        pixels, target = make(*picture())
        assert pixels.shape == (3, *SIZE)
        assert target.shape == SIZE
        assert target.dtype == torch.uint8
        known = target != VOID
        # Along the square's edge the image is grey where the mask has to choose.
        clear = known & ((white(pixels) > 0.9) | (white(pixels) < 0.1))
        assert clear.float().mean() > 0.1
        assert torch.equal((white(pixels) > 0.5)[clear], (target == 3)[clear])
        assert (pixels[:, ~known] == 0).all()  # the mean, as inference pads
        seen.add((int((target == 3).sum()), int(target[:, :40].float().sum())))
    assert len(seen) == {"none": 1, "flip": 2}.get(policy, len(seen))
    assert policy != "deeplab" or len(seen) > 20


@pytest.mark.parametrize("scale", [0.6, 0.75, 0.9, 1.25])
def test_masks_are_scaled_by_their_pixels_centres_as_images_are(scale):
    """Stripes scaled both ways: what is over half bright as an image is the mask, but for edges.

    By torch's nearest pixel, which is up to half a pixel off, four times as many differ.
    """
    stripes = np.sin(np.arange(600) / 9) + np.sin(np.arange(400) / 7)[:, None] > 0
    image = Image.fromarray(np.where(stripes, 255, 0).astype(np.uint8)).convert("RGB")
    pre = Preprocessing((400, 600), "pad", mean=(0, 0, 0), std=(1, 1, 1))
    make = transform("deeplab", pre, scale_least=scale, scale_most=scale)
    pixels, mask = make.scaled(image, stripes.astype(np.uint8))
    differ = (pixels.mean(0) > 0.5) != (mask[0] == 1)
    assert mask.shape[1:] == (round(400 * scale), round(600 * scale))
    assert differ.float().mean() < 0.015


def test_scales_are_the_papers_steps():
    """The square's area tells the scale: all of 0.5, 0.75 ... 2 and none besides."""
    make = transform("deeplab")
    torch.manual_seed(0)
    scales = {make.scale() for _ in range(300)}
    assert scales == {0.5 + 0.25 * k for k in range(7)}
    free = transform("deeplab", scale_step=0.0, scale_least=0.8, scale_most=1.2)
    drawn = [free.scale() for _ in range(300)]
    assert 0.8 <= min(drawn) < 0.82
    assert 1.18 < max(drawn) <= 1.2
    fixed = transform("deeplab", scale_least=1.0, scale_most=1.0)
    torch.manual_seed(0)
    _, target = fixed(*picture())
    # 50 x 60 becomes 65 x 78: 1.3 times, so the square of 20 x 30 becomes one of 26 x 39.
    assert abs(int((target == 3).sum()) - 26 * 39) <= 26 + 39


def test_colours_change_the_image_alone():
    torch.manual_seed(3)
    plain = transform("deeplab")(*picture())
    torch.manual_seed(3)
    coloured = transform("deeplab_colours")
    images = []
    for seed in range(4):
        torch.manual_seed(seed)
        image = Image.fromarray(np.full((50, 60, 3), (90, 140, 60), np.uint8))
        pixels, target = coloured(image, np.zeros((50, 60), np.uint8))
        assert set(target.unique().tolist()) <= {0, VOID}
        images.append(pixels[:, target == 0].mean(1))
    assert torch.stack(images).std(0).max() > 0.01
    assert plain[0].shape == (3, *SIZE)


def test_bgr_networks_get_their_order():
    blue = Image.new("RGB", (60, 50), (0, 0, 255))
    pre = Preprocessing(SIZE, "pad", mean=(0.1, 0.2, 0.3), std=(1, 1, 1), order="BGR")
    for policy in ("none", "deeplab"):
        torch.manual_seed(0)
        pixels, target = transform(policy, pre)(blue, np.zeros((50, 60), np.uint8))
        inside = pixels[:, target == 0].mean(1)
        torch.testing.assert_close(inside, torch.tensor([0.9, -0.2, -0.3]))


def test_extreme_images():
    for policy in ("none", "flip", "deeplab"):
        for width, height in ((1, 1), (1, 400), (400, 1), (2000, 3)):
            image = Image.new("RGB", (width, height))
            pixels, target = transform(policy)(image, np.zeros((height, width), np.uint8))
            assert pixels.shape == (3, *SIZE)
            assert target.shape == SIZE


def test_what_is_refused():
    with pytest.raises(ValueError, match="policy must be one of none, flip, deeplab"):
        transform("inception")
    with pytest.raises(ValueError, match="resize must be 'squash' or 'pad' for masks"):
        transform("none", Preprocessing(SIZE, "crop"))(*picture())
    for settings in ({"scale_least": 0}, {"scale_least": 3}, {"scale_most": 9}, {"scale_step": -1}):
        with pytest.raises(ValueError, match="scale_"):
            SegmentationAugmentation("deeplab", **settings)


def test_readers_in_other_processes_get_it():
    torch.manual_seed(1)
    first = transform("deeplab")(*picture())
    torch.manual_seed(1)
    again = pickle.loads(pickle.dumps(transform("deeplab")))(*picture())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
