import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torchvision import ops

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.errors import WeightsError
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.detect import read as module
from mobilenets.tasks.detect.architecture import geometry, ssd
from mobilenets.tasks.detect.read import (
    BOXES,
    DETECTIONS,
    LOGITS,
    Detection,
    box_iou,
    decode_boxes,
    nms,
    suppress,
)


def decode(outputs, card, sizes, *, threshold, most=100):
    """The task's own, of the one output that a detector has."""
    found = {card.output.name: outputs}
    return module.decode(found, card, sizes, top=most, threshold=threshold)


ABC = ModelCard(
    "ssdlite_mobilenet_v2",
    task="detect",
    labels=("a", "b", "c"),
    preprocessing=Preprocessing((300, 300), "squash"),
    outputs=BOXES,
)


def boxes(count: int, seed: int = 0, side: float = 0.3) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.uniform(0, 1, (count, 2))
    half = random.uniform(0.1, 1, (count, 2)) * side / 2
    return np.concatenate([centres - half, centres + half], 1).astype(np.float32)


def scores(*shape: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(shape).astype(np.float32)


def theirs(found: torch.Tensor) -> list[int]:
    return found.numpy().tolist()


def test_overlaps_are_torchvisions():
    a, b = boxes(40), boxes(70, 2)
    expected = ops.box_iou(torch.from_numpy(a), torch.from_numpy(b))
    np.testing.assert_array_equal(box_iou(a, b), expected.numpy())
    assert box_iou(a[:0], b).shape == (0, 70)


def test_overlaps_of_boxes_without_area_or_upside_down_are_nothing():
    point, inverted = [[0.5, 0.5, 0.5, 0.5]], [[0.9, 0.2, 0.1, 0.8]]
    for box in (point, inverted):
        assert box_iou(np.float32(box), np.float32(box)).tolist() == [[0]]


def test_boxes_are_decoded_as_the_network_does_it():
    codes = np.random.default_rng(3).normal(0, 4, (2, 1917, 4)).astype(np.float32)
    anchors = geometry.anchors_of("ssdlite_mobilenet_v2", (300, 300))
    expected = ssd.decode_boxes(torch.from_numpy(codes), torch.from_numpy(anchors)).numpy()
    found = decode_boxes(codes, anchors)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_code_too_large_is_not_finite_and_no_warning():
    codes = np.float32([[0, 0, 9e4, 0], [np.inf, 0, 9e4, 0], [np.nan, 0, 0, 0]])
    assert not np.isfinite(decode_boxes(codes, boxes(3))).all(1).any()


def test_constants_are_the_networks():
    assert module.CODE_WEIGHTS == geometry.CODE_WEIGHTS
    assert module.NMS_IOU == geometry.NMS_IOU
    assert module.MOST == geometry.MOST_DETECTIONS


@pytest.mark.parametrize("count", [0, 1, 2, 63, 64, 65, 200, 1500])
@pytest.mark.parametrize("iou", [0.0, 0.3, 0.6, 1.0])
def test_suppression_is_torchvisions(count, iou):
    for seed, side, digits in ((0, 0.3, 7), (1, 2.0, 7), (2, 0.5, 1)):  # one digit: many ties
        b, s = boxes(count, seed, side), scores(count, seed=seed).round(digits)
        expected = ops.nms(torch.from_numpy(b), torch.from_numpy(s), iou)
        assert nms(b, s, iou).tolist() == theirs(expected)


def test_suppression_rounds_as_torchvision_does_at_the_threshold():
    b = np.float32([[0, 0, 10, 10], [0, 0, 10, 6], [0, 0, 0, 0], [0, 0, 0, 0]])
    s = np.float32([0.9, 0.8, 0.7, 0.6])
    expected = theirs(ops.nms(torch.from_numpy(b), torch.from_numpy(s), 0.6))
    assert nms(b, s, 0.6).tolist() == expected == [0, 2, 3]


def test_classes_do_not_suppress_each_other():
    b, s = boxes(900, side=1.0), scores(900)
    classes = np.random.default_rng(4).integers(0, 5, 900)
    expected = ops.batched_nms(*map(torch.from_numpy, (b, s, classes)), 0.5)
    assert nms(b, s, 0.5, classes).tolist() == theirs(expected)


def plain_suppress(decoded, threshold, iou, per_class, most):
    """All of a class through torchvision, class after class, then the best of all."""
    found = []
    for index in range(decoded.shape[1] - 4):
        score = torch.from_numpy(decoded[:, 4 + index].copy())
        over = torch.nonzero(score >= threshold)[:, 0]
        kept = ops.nms(torch.from_numpy(decoded[:, :4].copy())[over], score[over], iou)
        found += [(-float(score[i]), index, int(i)) for i in over[kept[:per_class]]]
    return [(index, anchor) for _, index, anchor in sorted(found, key=lambda row: row[0])[:most]]


@pytest.mark.parametrize(
    ("side", "digits", "options"),
    [
        (0.3, 7, {}),
        (5.0, 7, {}),  # few stay: all candidates must be looked at
        (0.3, 1, {}),
        (0.3, 0, {"threshold": 0.0}),  # all equal
        (0.5, 7, {"per_class": 3}),
        (0.5, 7, {"per_class": 3, "most": 7, "iou": 0.3}),
        (0.5, 7, {"threshold": 0.97, "most": 5}),
        (0.1, 1, {"threshold": 0.5, "per_class": 999, "most": 9999}),  # many score just that
        (0.5, 7, {"threshold": 1.0}),
    ],
)
def test_what_is_left_is_the_best_of_each_class(side, digits, options):
    options = {"threshold": 0.01, "iou": 0.6, "per_class": 100, "most": 100, **options}
    decoded = np.concatenate([boxes(700, 5, side), scores(700, 6).round(digits)], 1)
    seen = suppress(decoded, **options)
    expected = plain_suppress(decoded, **options)
    assert seen.classes.tolist() == [index for index, _ in expected]
    anchors = [anchor for _, anchor in expected]
    np.testing.assert_array_equal(seen.boxes, decoded[anchors, :4])
    np.testing.assert_array_equal(seen.scores, decoded[anchors, 4 + seen.classes])


def marked(size: tuple[int, int], box: tuple[int, int, int, int]) -> Image.Image:
    image = Image.new("RGB", size)
    left, top, right, bottom = box
    ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), "white")
    return image


@pytest.mark.parametrize("rule", ["squash", "pad", "crop", "torchvision"])
@pytest.mark.parametrize("size", [(400, 300), (301, 457), (90, 64), (64, 64)])
def test_a_box_is_found_where_the_picture_has_it(rule, size):
    """A white box is drawn, sought in the network's input, and must come back where it was."""
    width, height = size
    box = (width * 3 // 8, height * 3 // 8, width * 5 // 8, height * 3 // 4)
    pre = Preprocessing((160, 192), rule, 0.9, mean=(0, 0, 0), std=(1, 1, 1))
    bright = preprocess(marked(size, box), pre)[0] > 0.5
    x, y = np.flatnonzero(bright.any(0)), np.flatnonzero(bright.any(1))
    share = [x[0] / 192, y[0] / 160, (x[-1] + 1) / 192, (y[-1] + 1) / 160]
    outputs = np.float32([[[*share, 0, 0.9, 0]]])
    card = ABC.replace(preprocessing=pre)
    ((found,),) = decode(outputs, card, [size], threshold=0.5)
    assert (found.label, found.index) == ("b", 1)
    pixel = max(width / 160, height / 160, 1)
    assert found.box == pytest.approx(box, abs=0.75 * pixel)


def test_boxes_are_cut_at_the_images_edge_and_those_outside_left_out():
    rows = [
        [-1, -2, 0.5, 3, 0.9, 0, 0],
        [1.2, 0, 1.5, 1, 0.8, 0, 0],
        [0.5, 0.5, 0.5, 0.9, 0.7, 0, 0],
    ]
    (found,) = decode(np.float32([rows]), ABC, [(200, 100)], threshold=0.1)
    assert found == [Detection("a", 0, pytest.approx(0.9), (0, 0, 100, 100))]
    assert all(type(side) is float for side in found[0].box)


def test_detections_are_taken_as_they_are():
    card = ABC.replace(outputs=DETECTIONS)
    one, two = [0, 0, 0.5, 1, 0.6, 2], [0.5, 0, 1, 1, 0.7, 0]
    outputs = np.float32([[one, two, two, [0] * 6], [[0] * 6] * 4])
    first, second = decode(outputs, card, [(100, 50), (9, 9)], threshold=0.0)
    assert second == []
    assert [(d.label, d.box) for d in first] == [
        ("a", (50, 0, 100, 50)),
        ("a", (50, 0, 100, 50)),
        ("c", (0, 0, 50, 50)),
    ]
    assert len(decode(outputs, card, [(9, 9)] * 2, threshold=0.65)[0]) == 2
    assert len(decode(outputs, card, [(9, 9)] * 2, threshold=0.7)[0]) == 2
    assert len(decode(outputs, card, [(9, 9)] * 2, threshold=0.71)[0]) == 0
    assert len(decode(outputs, card, [(9, 9)] * 2, threshold=0, most=1)[0]) == 1


def test_without_labels_a_class_is_its_number():
    outputs = np.float32([[[0, 0, 1, 1, 0, 0.9]]])
    (found,) = decode(outputs, ABC.replace(labels=()), [(9, 9)], threshold=0.5)
    assert [d.label for d in found] == ["1"]


def test_no_images_and_no_anchors_give_no_detections():
    assert decode(np.zeros((0, 5, 7), np.float32), ABC, [], threshold=0.5) == []
    assert decode(np.zeros((1, 0, 7), np.float32), ABC, [(9, 9)], threshold=0.5) == [[]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_an_error(bad):
    outputs = np.zeros((3, 5, 7), np.float32)
    outputs[1, 2, 3] = bad
    with pytest.raises(WeightsError, match=r"not finite for 1 of 3 images \(the first is number 1"):
        decode(outputs, ABC, [(9, 9)] * 3, threshold=0.5)


def test_what_does_not_fit_is_named():
    one = [(9, 9)]
    with pytest.raises(WeightsError, match=r"must have 4 \+ 3 values, the model gives 8"):
        decode(np.zeros((1, 5, 8)), ABC, one, threshold=0.5)
    with pytest.raises(WeightsError, match="must have 6 values, the model gives 7"):
        decode(np.zeros((1, 5, 7)), ABC.replace(outputs=DETECTIONS), one, threshold=0.5)
    for wrong in (3, -1, 0.5):
        row = np.array([[[0, 0, 1, 1, 0.9, wrong]]])
        with pytest.raises(WeightsError, match=f"must be 0 to 2, the model gives {wrong}"):
            decode(row, ABC.replace(outputs=DETECTIONS), one, threshold=0.5)
    with pytest.raises(ValueError, match=r"must be \(1, boxes, values\) for 1 images, got shape"):
        decode(np.zeros((2, 5, 7)), ABC, one, threshold=0.5)
    with pytest.raises(ValueError, match="must be boxes or detections, got 'logits'"):
        decode(np.zeros((1, 5, 8)), ABC.replace(outputs=LOGITS), one, threshold=0.5)
    with pytest.raises(ValueError, match=r"threshold must be in \[0, 1\], got 2"):
        decode(np.zeros((1, 5, 7)), ABC, one, threshold=2)
    with pytest.raises(ValueError, match="most must be positive, got 0"):
        decode(np.zeros((1, 5, 7)), ABC, one, threshold=0.5, most=0)
