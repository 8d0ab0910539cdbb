from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from torch.nn import functional as F

from mobilenets.card import ModelCard, Preprocessing, one_output
from mobilenets.errors import WeightsError
from mobilenets.runtime.preprocess import nearest, preprocess
from mobilenets.tasks.segment import read as module
from mobilenets.tasks.segment.read import CLASSES, Region, full_size, regions


def decode(outputs, card, sizes, *, threshold=0.0, most=100):
    """The task's own, of the one output that a segmentation network has."""
    found = {card.output.name: outputs}
    return module.decode(found, card, sizes, top=most, threshold=threshold)


SIZE = (65, 97)
SQUASH = ModelCard("", task="segment", preprocessing=Preprocessing(SIZE, "squash"))
PAD = SQUASH.replace(preprocessing=Preprocessing(SIZE, "pad"))
SIZES = [(97, 65), (96, 64), (200, 131), (131, 200), (50, 90), (31, 17), (300, 1), (1, 77), (1, 1)]


def logits(classes: int, height: int, width: int, *, seed: int = 0, noise: float = 0) -> np.ndarray:
    """(1, classes, height, width): smooth, as a network's are, or rough."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.randn((1, classes, 6, 7), generator=random)
    smooth = F.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    return (smooth + noise * torch.randn(smooth.shape, generator=random)).numpy()


def part(size: tuple[int, int], whole: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the largest picture of that shape inside the (height, width) `whole`."""
    scale = min(whole[1] / size[0], whole[0] / size[1])
    return tuple(max(1, round(side * scale)) for side in size)


def agrees(mask: np.ndarray, scores: torch.Tensor) -> bool:
    """Whether the mask is the best of the scores (classes, H, W), near ties aside."""
    chosen = scores.gather(0, torch.from_numpy(mask.astype(np.int64))[None])[0]
    return bool((scores.max(0).values - chosen <= 1e-5).all())


@pytest.mark.parametrize("noise", [0, 2])
@pytest.mark.parametrize("size", SIZES)
def test_squashed_is_torchs_interpolation_and_the_best_class(size, noise):
    outputs = logits(21, *SIZE, noise=noise)
    (mask,) = full_size(outputs, SQUASH, [size])
    scores = F.interpolate(torch.from_numpy(outputs).double(), size[::-1], mode="bilinear")[0]
    assert (mask.dtype, mask.shape) == (np.uint8, size[::-1])
    assert (mask == scores.argmax(0).numpy()).mean() >= 0.999
    assert agrees(mask, scores)


@pytest.mark.parametrize("noise", [0, 2])
@pytest.mark.parametrize("size", SIZES)
def test_padded_is_the_same_with_the_padding_cut_away(size, noise):
    width, height = part(size, SIZE)
    outputs = logits(21, *SIZE, noise=noise)
    outputs[:, 3, height:] = outputs[:, 3, :, width:] = 99  # must never be seen
    (mask,) = full_size(outputs, PAD, [size])
    cut = torch.from_numpy(outputs)[:, :, :height, :width].double()
    assert mask.shape == size[::-1]
    assert agrees(mask, F.interpolate(cut, size[::-1], mode="bilinear")[0])


@given(
    st.tuples(*[st.integers(1, 40)] * 2),
    st.tuples(*[st.integers(1, 40)] * 2),
    st.integers(1, 4),
    st.integers(0, 99),
)
def test_any_size_to_any_size(cells, size, classes, seed):
    """The outputs may be smaller than the input: each value stands for a part of it."""
    outputs = np.random.default_rng(seed).normal(size=(1, classes, *cells)).astype(np.float32)
    (mask,) = full_size(outputs, SQUASH, [size])
    scores = F.interpolate(torch.from_numpy(outputs).double(), size[::-1], mode="bilinear")[0]
    assert agrees(mask, scores)


def test_outputs_smaller_than_a_padded_input():
    outputs = np.zeros((1, 2, 5, 5), np.float32)
    outputs[:, 1, :, 2:] = 9  # the image has the left two fifths of the input
    card = SQUASH.replace(preprocessing=Preprocessing((65, 65), "pad"))
    (mask,) = full_size(outputs, card, [(260, 650)])
    assert mask.shape == (650, 260)
    assert not mask.any()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("rule", ["squash", "pad"])
def test_classes_are_the_nearest(size, rule):
    width, height = part(size, SIZE) if rule == "pad" else SIZE[::-1]
    outputs = np.random.default_rng(1).integers(0, 21, (1, *SIZE))
    card = ModelCard("", preprocessing=Preprocessing(SIZE, rule), outputs=CLASSES)
    (mask,) = full_size(outputs, card, [size])
    cut = torch.from_numpy(outputs[None, :, :height, :width]).double()
    expected = F.interpolate(cut, size[::-1], mode="nearest-exact")[0, 0].numpy()
    assert mask.dtype == np.uint8
    assert (mask == expected).mean() >= 0.97  # torch rounds a centre on an edge either way
    plain = outputs[0, :height, :width]
    y, x = (np.arange(s) * 2 + 1 for s in mask.shape)
    y, x = y * height // (2 * mask.shape[0]), x * width // (2 * mask.shape[1])
    np.testing.assert_array_equal(mask, plain[np.ix_(y, x)])


@pytest.mark.parametrize("rule", ["squash", "pad"])
@pytest.mark.parametrize("size", [(400, 300), (301, 457), (90, 64)])
def test_a_region_is_found_where_the_picture_has_it(rule, size):
    """A white box is drawn, sought in the network's input, and must come back where it was."""
    width, height = size
    left, top, right, bottom = (width * 3 // 8, height * 3 // 8, width * 5 // 8, height * 3 // 4)
    image = Image.new("RGB", size)
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), "white")
    pre = Preprocessing((160, 192), rule, mean=(0, 0, 0), std=(1, 1, 1))
    bright = preprocess(image, pre)[:1]
    outputs = np.concatenate([1 - bright, bright])[None]
    card = SQUASH.replace(preprocessing=pre, labels=("dark", "light"))
    for form in (outputs, outputs.argmax(1)):
        kind = "classes" if form.ndim == 3 else "probabilities"
        (found,) = decode(form, card.replace(outputs=one_output(kind)), [size])
        y, x = np.nonzero(found.mask)
        extent = (x.min(), y.min(), x.max() + 1, y.max() + 1)
        pixel = max(width / 160, height / 160, 1)
        assert extent == pytest.approx((left, top, right, bottom), abs=0.75 * pixel)


def test_real_masks_come_back(assets: Path):
    """Made into a network's answer and back, only pixels along boundaries change."""
    pre = Preprocessing((513, 513), "pad")
    card = SQUASH.replace(preprocessing=pre)
    for path in sorted((assets / "camvid" / "SegmentationClass").glob("*.png"))[::60]:
        truth = np.asarray(Image.open(path))
        seen = nearest(truth, pre, 0)
        outputs = np.float32(seen == np.arange(12)[:, None, None])[None]
        (mask,) = full_size(outputs, card, [truth.shape[::-1]])
        assert (mask == truth).mean() > 0.98


def test_each_image_of_a_batch_has_its_own_size():
    outputs = np.concatenate([logits(5, *SIZE, seed=seed) for seed in range(3)])
    sizes = [(40, 30), (30, 40), (120, 9)]
    masks = list(full_size(outputs, PAD, sizes))
    assert [mask.shape for mask in masks] == [(30, 40), (40, 30), (9, 120)]
    for image, size, mask in zip(outputs, sizes, masks, strict=True):
        np.testing.assert_array_equal(next(full_size(image[None], PAD, [size])), mask)
    assert list(full_size(outputs[:0], PAD, [])) == []


def test_of_equal_scores_the_first_class_is_taken():
    outputs = np.zeros((1, 4, 9, 9), np.float32)
    outputs[0, 1:3, :, 4:] = 1
    (mask,) = full_size(outputs, SQUASH, [(90, 90)])
    assert set(mask[:, :30].ravel()) == {0}
    assert set(mask[:, 60:].ravel()) == {1}


@pytest.mark.parametrize("kind", [np.float16, np.float64, np.uint8, np.int64])
def test_numbers_of_any_kind(kind):
    outputs = (logits(7, 20, 20) * 30 + 100).clip(0, 255).astype(kind)
    (mask,) = full_size(outputs, SQUASH, [(55, 47)])
    scores = F.interpolate(torch.from_numpy(outputs.astype(np.float64)), (47, 55), mode="bilinear")
    chosen = np.take_along_axis(scores[0].numpy(), mask[None].astype(np.int64), 0)[0]
    assert (scores[0].numpy().max(0) - chosen).max() <= 0.2  # float16's rounding


def test_outputs_in_another_order_in_memory():
    outputs = logits(7, 33, 33, noise=1)
    turned = np.ascontiguousarray(outputs.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    one, other = (next(full_size(x, PAD, [(70, 50)])) for x in (outputs, turned))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("classes", "kind"), [(255, np.uint8), (256, np.uint16), (300, np.uint16)])
def test_many_classes_need_two_bytes(classes, kind):
    places = np.arange(classes - 16, classes).reshape(4, 4)
    outputs = np.float32(places == np.arange(classes)[:, None, None])[None]
    (mask,) = full_size(outputs, SQUASH, [(4, 4)])
    assert mask.dtype == kind
    np.testing.assert_array_equal(mask, places)
    card = SQUASH.replace(outputs=CLASSES, labels=tuple(map(str, range(classes))))
    (mask,) = full_size(places[None], card, [(4, 4)])
    assert mask.dtype == kind
    np.testing.assert_array_equal(mask, places)


def answers(shares: Sequence[int]) -> np.ndarray:
    """(1, 1, pixels): so many pixels of each class."""
    return np.repeat(np.arange(len(shares)), shares)[None, None]


def test_regions_are_classes_by_falling_share():
    card = SQUASH.replace(outputs=CLASSES, labels=("a", "b", "c", "d"))
    outputs = answers([10, 0, 60, 30])
    (found,) = decode(outputs, card, [(100, 1)])
    assert found.regions == [Region("c", 2, 0.6), Region("d", 3, 0.3), Region("a", 0, 0.1)]
    assert found.labels == ("a", "b", "c", "d")
    assert all(type(one.index) is int and type(one.score) is float for one in found.regions)
    np.testing.assert_array_equal(found.mask, outputs[0])

    def names(**options):
        return [one.label for one in decode(outputs, card, [(100, 1)], **options)[0].regions]

    assert names(threshold=0.3) == ["c", "d"]
    assert names(threshold=0.31) == ["c"]
    assert names(threshold=1.0) == []
    assert names(most=2) == ["c", "d"]
    equal = regions(np.uint8([[1, 0, 3, 3]]), card.labels)
    assert [one.index for one in equal] == [3, 0, 1]


def test_without_labels_a_class_is_its_number():
    (found,) = decode(logits(3, 9, 9), SQUASH, [(9, 9)])
    assert found.labels == ("0", "1", "2")
    assert all(one.label == str(one.index) for one in found.regions)
    (found,) = decode(answers([1, 0, 9]), SQUASH.replace(outputs=CLASSES), [(10, 1)])
    assert found.labels == ("0", "1", "2")
    assert [one.label for one in found.regions] == ["2", "0"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_an_error(bad):
    outputs = np.zeros((3, 2, 5, 7), np.float32)
    outputs[1, 1, 2, 3] = bad
    with pytest.raises(WeightsError, match=r"not finite for 1 of 3 images \(the first is number 1"):
        full_size(outputs, SQUASH, [(9, 9)] * 3)
    with pytest.raises(WeightsError, match="not finite"):
        full_size(outputs[:, 1], SQUASH.replace(outputs=CLASSES), [(9, 9)] * 3)


def test_what_does_not_fit_is_named():
    one, card = [(9, 9)], SQUASH.replace(labels=("a", "b", "c"))
    classes = card.replace(outputs=CLASSES)
    with pytest.raises(WeightsError, match="must have 3 classes, the model gives 2"):
        full_size(np.zeros((1, 2, 5, 5)), card, one)
    with pytest.raises(WeightsError, match="must have 1 to 65536 classes, the model gives 70000"):
        full_size(np.zeros((1, 70000, 1, 1)), SQUASH, one)
    for wrong in (3, -1, 0.5):
        with pytest.raises(WeightsError, match=f"must be 0 to 2, the model gives {wrong}"):
            full_size(np.full((1, 5, 5), wrong), classes, one)
    with pytest.raises(WeightsError, match=r"outputs are empty, shape \(1, 3, 0, 5\)"):
        full_size(np.zeros((1, 3, 0, 5)), card, one)
    with pytest.raises(ValueError, match=r"must be \(1, classes, h, w\) for 1 images, got shape"):
        full_size(np.zeros((1, 5, 5)), card, one)
    with pytest.raises(
        ValueError, match=r"must be \(1, h, w\) for 1 images, got shape \(2, 5, 5\)"
    ):
        full_size(np.zeros((2, 5, 5)), classes, one)
    with pytest.raises(ValueError, match="must be logits, probabilities or classes, got 'boxes'"):
        full_size(np.zeros((1, 3, 5, 5)), card.replace(outputs=one_output("boxes")), one)
    with pytest.raises(ValueError, match="resize must be 'squash' or 'pad' for masks, got 'crop'"):
        full_size(np.zeros((1, 3, 5, 5)), card.replace(preprocessing=Preprocessing()), one)
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\], got 2"):
        decode(np.zeros((1, 3, 5, 5)), card, one, threshold=2)
    with pytest.raises(ValueError, match="most must be positive, got 0"):
        decode(np.zeros((1, 3, 5, 5)), card, one, most=0)
