import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models.detection._utils import SSDMatcher
from torchvision.ops import box_convert, box_iou

from mobilenets.card import Preprocessing
from mobilenets.tasks.detect.architecture.geometry import anchors_of
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.learn import transforms as module
from mobilenets.tasks.detect.learn.transforms import DetectionTransform, match
from mobilenets.tasks.detect.recipes.settings import DetectionAugmentation

ANCHORS = anchors_of("ssdlite_mobilenet_v2", (96, 128))
PREPROCESSING = Preprocessing((96, 128), "squash", mean=(0.1, 0.2, 0.3), std=(0.5, 0.6, 0.7))


def random_boxes(count: int, seed: int) -> torch.Tensor:
    corners = torch.rand(count, 2, 2, generator=torch.Generator().manual_seed(seed))
    low, high = corners.amin(1), corners.amax(1)
    return torch.cat([low, high + 0.01], 1)


def transform(policy: str, **settings: object) -> DetectionTransform:
    return DetectionTransform(
        PREPROCESSING, DetectionAugmentation(policy, **settings), ANCHORS, 0.5
    )


def picture() -> tuple[Image.Image, Objects]:
    """A white square on black, and its box."""
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[20:40, 10:50] = 255
    return Image.fromarray(pixels), Objects.of([[10, 20, 50, 40]], [4])


@pytest.mark.parametrize("count", [1, 2, 7, 40])
@pytest.mark.parametrize("chunk", [3, 4096])
def test_anchors_are_matched_as_torchvision_matches_them(count, chunk, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", chunk)
    anchors = torch.from_numpy(ANCHORS)
    boxes = random_boxes(count, count)
    labels = torch.arange(count) % 5
    overlap = box_iou(boxes, box_convert(anchors, "cxcywh", "xyxy"))
    index = SSDMatcher(0.5)(overlap)
    found = match(boxes, labels, anchors, 0.5)
    taken = index >= 0
    assert torch.equal(found[:, 0] > 0, taken)
    assert torch.equal(found[taken, 0].long(), labels[index[taken]] + 1)
    assert torch.equal(found[taken, 1:], boxes[index[taken]])


def test_every_object_has_an_anchor_however_odd_it_is():
    boxes = torch.tensor([[0.0, 0.499, 1.0, 0.501], [0.3, 0.3, 0.302, 0.302]])
    found = match(boxes, torch.tensor([0, 1]), torch.from_numpy(ANCHORS), 0.5)
    assert found[:, 0].long().bincount().tolist()[1:] == [1, 1]


def test_a_million_objects_do_not_take_gigabytes(monkeypatch):
    """Overlaps of a million boxes with 2034 anchors would be 8 GB; of 10,000 they are 80 MB."""
    handed = []

    def recording(boxes, corners):
        handed.append(len(boxes))
        return box_iou(boxes, corners)

    monkeypatch.setattr(module, "box_iou", recording)
    count = 1_000_000
    labels = torch.arange(count) % 7
    found = match(random_boxes(count, 0), labels, torch.from_numpy(ANCHORS[::20]), 0.5)
    assert max(handed) <= 10_000
    assert sum(handed) == count
    assert (found[:, 0] > 0).all()


def test_without_augmentation_boxes_are_shares_and_pixels_normalised():
    image, objects = picture()
    pixels, target = transform("none")(image, objects)
    assert pixels.shape == (3, 96, 128)
    assert pixels.dtype == torch.float32
    found = target[target[:, 0] > 0]
    assert (found[:, 0] == 5).all()
    torch.testing.assert_close(found[0, 1:], torch.tensor([10 / 80, 20 / 60, 50 / 80, 40 / 60]))
    white = [(1 - m) / s for m, s in zip(PREPROCESSING.mean, PREPROCESSING.std, strict=True)]
    assert pixels[:, 48, 48].tolist() == pytest.approx(white)


@pytest.mark.parametrize("policy", ["none", "flip"])
@pytest.mark.parametrize("size", [(300, 300), (333, 500), (100, 101), (1999, 1501), (640, 480)])
def test_objects_at_the_edges_and_thin_ones_are_kept(policy, size):
    """Also where a side times the scale is a hair above the network's."""
    width, height = size
    boxes = [[width - 50, 10, width, 60], [10, height - 50, 60, height], [0, 0, 0.4, height]]
    for label, box in enumerate(boxes):
        _, target = transform(policy)(Image.new("RGB", size), Objects.of([box], [label]))
        assert set(target[:, 0].tolist()) == {0.0, label + 1.0}


def test_a_large_photograph_is_made_smaller_first():
    """With its boxes; an image of three times the network's pixels or less stays as it is."""
    step = transform("ssd")
    for size, expected in [((1300, 900), (434, 300)), ((383, 2000), (383, 2000))]:
        boxes = np.array([[0, 0, *size], [10, 20, 110, 220]], np.float32)
        small, moved = step.reduced(Image.new("RGB", size), boxes)
        assert small.size == expected
        shares = np.array([*size, *size], np.float32)
        np.testing.assert_allclose(moved / np.array([*small.size] * 2), boxes / shares, atol=1e-6)


def test_colours_in_the_networks_order():
    bgr = Preprocessing((96, 128), "squash", mean=(0.3, 0.2, 0.1), std=(0.7, 0.6, 0.5), order="BGR")
    image = Image.new("RGB", (20, 20), (255, 0, 51))
    none = Objects.of([], [])
    pixels, _ = DetectionTransform(bgr, DetectionAugmentation("none"), ANCHORS, 0.5)(image, none)
    expected = [(0.2 - 0.3) / 0.7, (0 - 0.2) / 0.6, (1 - 0.1) / 0.5]
    assert pixels[:, 5, 5].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("policy", ["flip", "ssd_crop", "ssd"])
def test_boxes_follow_their_objects(policy):
    image, objects = picture()
    step = transform(policy)
    seen, unclear = set(), 0
    for seed in range(40):
        torch.manual_seed(seed)
        pixels, target = step(image, objects)
        found = target[target[:, 0] > 0]
        assert len(found)  # a crop keeps the centre of an object at least
        left, top, right, bottom = (found[0, 1:] * torch.tensor([128, 96, 128, 96])).tolist()
        seen.add((round(left), round(top)))
        inside = pixels[:, round((top + bottom) / 2), round((left + right) / 2)]
        # The object is the brightest thing in the picture, whatever its colours became.
        assert inside.mean() > pixels.mean()
        row = pixels.mean(0)[round((top + bottom) / 2)]
        if row.max() - row.min() < 0.5:
            unclear += 1  # nothing but the object is left
            continue
        bright = torch.nonzero(row > (row.max() + row.min()) / 2).flatten()
        assert abs(bright[0] - left) <= 3
        assert abs(bright[-1] + 1 - right) <= 3
    assert unclear <= 4
    assert len(seen) > (1 if policy == "flip" else 10)


def test_a_seed_gives_the_same_picture_in_another_process():
    image, objects = picture()
    step = transform("ssd")
    torch.manual_seed(3)
    pixels, target = step(image, objects)
    torch.manual_seed(3)
    again = pickle.loads(pickle.dumps(step))(image, objects)
    assert torch.equal(pixels, again[0])
    assert torch.equal(target, again[1])


@pytest.mark.parametrize("policy", ["none", "flip", "ssd_crop", "ssd"])
@pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1), (640, 480)])
def test_images_without_objects_and_thin_ones_pass(policy, size):
    for objects in (Objects.of([], []), Objects.of([[0, 0, *size]], [0])):
        pixels, target = transform(policy)(Image.new("RGB", size), objects)
        assert pixels.shape == (3, 96, 128)
        assert target.shape == (len(ANCHORS), 5)
        assert torch.isfinite(target).all()


def test_crowds_are_not_trained_on():
    image, _ = picture()
    objects = Objects.of([[0, 0, 40, 40], [10, 20, 50, 40]], [1, 2], crowd=[True, False])
    _, target = transform("none")(image, objects)
    assert set(target[:, 0].tolist()) == {0.0, 3.0}


def test_a_policy_for_classifiers_is_refused():
    with pytest.raises(ValueError, match="policy must be one of none, flip, ssd_crop, ssd"):
        transform("trivial")
