import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from mobilenets.card import ModelCard, Preprocessing, card_of, set_card
from mobilenets.errors import DataError, WeightsError
from mobilenets.tasks.registry import tasks
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.learn.loss import SegmentationLoss
from mobilenets.tasks.segment.measure import Overlap, match_mask_classes
from mobilenets.tasks.segment.measure import metrics as counting
from mobilenets.tasks.segment.measure.metrics import SegmentationMetrics
from mobilenets.tasks.segment.read import CLASSES
from mobilenets.tasks.segment.recipes.settings import (
    SegmentationAugmentation,
    SegmentationObjective,
)

TASK = tasks()["segment"]
NAME = "deeplabv3_mobilenet_v2"
SMALL = {"width": 0.35}
LABELS = ("background", "cat", "dog")


class Two:
    """Two pictures of 64 x 48 with three classes."""

    classes = LABELS
    notes = ()
    named = True

    def __init__(self, sizes: tuple[tuple[int, int], ...] = ((64, 48), (64, 48))) -> None:
        self.sizes = sizes

    def __len__(self) -> int:
        return len(self.sizes)

    def image_size(self, i: int) -> tuple[int, int]:
        return self.sizes[i]

    def target(self, i: int) -> np.ndarray:
        rng = np.random.default_rng(i)
        width, height = self.sizes[i]
        mask = rng.integers(0, 3, (height, width)).astype(np.uint8)
        mask[:4] = VOID
        return mask

    def pixels(self) -> np.ndarray:
        counts = sum(np.bincount(self.target(i).ravel(), minlength=256) for i in range(len(self)))
        return np.append(counts[:3], counts[VOID])


def tiny(labels: tuple[str, ...] = LABELS, **arguments: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model = TASK.network.build(NAME, labels, {**SMALL, **arguments}).eval()
    set_card(model, card_of(model).replace(preprocessing=Preprocessing((49, 65), "pad")))
    return model


def slow_iou(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> list[float | None]:
    """Intersection over union, pixel by pixel."""
    found: list[float | None] = []
    for c in range(classes):
        both = union = 0
        for seen, truth in pairs:
            for a, b in zip(seen.ravel().tolist(), truth.ravel().tolist(), strict=True):
                if b != VOID:
                    both += a == c and b == c
                    union += a == c or b == c
        there = any((truth == c).any() for _, truth in pairs)
        found.append(both / union if there else None)
    return found


def test_overlap_is_what_a_slow_count_says(monkeypatch):
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(3):
        truth = rng.integers(0, 4, (13, 17)).astype(np.uint8)
        truth[rng.random((13, 17)) < 0.2] = VOID
        seen = np.where(
            rng.random((13, 17)) < 0.6, np.minimum(truth, 3), rng.integers(0, 4, (13, 17))
        )
        pairs.append((seen.astype(np.uint8), truth))
    # The fifth class is seen and not there: it does not count for itself.
    pairs[0][0][0, :3] = 4
    metrics = SegmentationMetrics("abcde", range(5))
    for seen, truth in pairs:
        metrics.add(seen, truth)
    expected = slow_iou(pairs, 5)
    assert expected[4] is None
    results = dict(metrics.results())
    assert results["miou"] == pytest.approx(np.mean([v for v in expected if v is not None]))
    known = sum(int((truth != VOID).sum()) for _, truth in pairs)
    right = sum(int((seen == truth)[truth != VOID].sum()) for seen, truth in pairs)
    assert results["pixel_accuracy"] == pytest.approx(right / known)
    assert results["images"] == 3
    by_class = metrics.by_class()
    assert list(by_class) == list("abcd")
    assert [row["iou"] for row in by_class.values()] == pytest.approx(expected[:4])
    assert sum(row["share"] for row in by_class.values()) == pytest.approx(1)
    metrics.figure()
    # Counted a row at a time, as large images are.
    monkeypatch.setattr(counting, "PIXELS", 20)
    again = SegmentationMetrics("abcde", range(5))
    for seen, truth in pairs:
        again.add(seen, truth)
    np.testing.assert_array_equal(again.confusion, metrics.confusion)


def test_outputs_are_the_datas_classes_by_place_and_others_are_wrong():
    """The model's output 5 is the data's first class, 2 its second; 7 is none of its classes."""
    metrics = SegmentationMetrics(["x", "y"], [5, 2])
    metrics.add(np.array([[5, 2, 7, 5]], np.uint8), np.array([[0, 1, 1, VOID]], np.uint8))
    assert metrics.confusion.tolist() == [[1, 0, 0], [0, 1, 1]]
    assert dict(metrics.results())["pixel_accuracy"] == pytest.approx(2 / 3)


def test_parts_measured_apart_are_the_whole():
    dataset, card = Two(), card_of(tiny())
    outputs = np.random.default_rng(1).normal(size=(2, 3, 49, 65)).astype(np.float32)
    targets, sizes = [dataset.target(i) for i in range(2)], dataset.sizes
    whole = TASK.measure.evaluator(card, dataset)
    whole.update({"logits": outputs}, targets, sizes)
    parts = [TASK.measure.evaluator(card, dataset) for _ in range(2)]
    for i, part in enumerate(parts):
        part.update({"logits": outputs[i : i + 1]}, targets[i : i + 1], sizes[i : i + 1])
    parts[0].merge(parts[1])
    assert dict(parts[0].results()) == pytest.approx(dict(whole.results()))


@pytest.mark.parametrize("weights", ["none", (1.0, 3.0, 0.5)])
def test_the_loss_of_validation_is_that_of_training(weights):
    """In numpy over a data set as in torch over a batch, void and padding left out."""
    objective = SegmentationObjective(class_weights=weights)
    dataset, card = Two(), card_of(tiny())
    assert card.preprocessing.resize == "pad"
    outputs = np.random.default_rng(1).normal(size=(2, 3, 49, 65)).astype(np.float32)
    measured = TASK.measure.evaluator(card, dataset, objective)
    targets = [dataset.target(i) for i in range(2)]
    measured.update({"logits": outputs}, targets, dataset.sizes)
    transform = TASK.learn.transform(card, SegmentationAugmentation("none"))
    masks = torch.stack([transform(Image.new("RGB", (64, 48)), t)[1] for t in targets])
    loss = TASK.learn.criterion(card, objective)(torch.from_numpy(outputs), masks)
    assert dict(measured.results())["loss"] == pytest.approx(float(loss), rel=1e-5)


def test_the_loss_is_the_mean_over_known_pixels():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 5, 7)
    masks = torch.randint(0, 3, (2, 5, 7), dtype=torch.uint8)
    masks[0, :2] = VOID
    weights = (2.0, 0.5, 1.0)
    loss = SegmentationLoss(3, SegmentationObjective(class_weights=weights, label_smoothing=0.1))(
        logits, masks
    )
    total, count = 0.0, 0
    for n in range(2):
        for y in range(5):
            for x in range(7):
                c = int(masks[n, y, x])
                if c != VOID:
                    log = F.log_softmax(logits[n, :, y, x], 0)
                    smooth = -sum(w * v for w, v in zip(weights, log.tolist(), strict=True)) / 3
                    total += 0.9 * -weights[c] * float(log[c]) + 0.1 * smooth
                    count += 1
    assert float(loss) == pytest.approx(total / count, rel=1e-5)
    assert int(TASK.learn.weight(masks)) == count


def test_a_batch_of_void_alone_teaches_nothing():
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    loss = SegmentationLoss(3, SegmentationObjective())(
        logits, torch.full((1, 4, 4), VOID, dtype=torch.uint8)
    )
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_balanced_weights_are_the_median_share_over_each():
    dataset = Two()
    pixels = dataset.pixels()[:3]
    found = TASK.learn.settle(
        SegmentationObjective(class_weights="balanced"), dataset
    ).class_weights
    assert found == pytest.approx(np.median(pixels) / pixels, rel=1e-3)
    rooted = TASK.learn.settle(SegmentationObjective(class_weights="root"), dataset).class_weights
    assert rooted == pytest.approx(np.sqrt(np.median(pixels) / pixels), rel=1e-3)
    assert TASK.learn.settle(SegmentationObjective(), dataset) == SegmentationObjective()
    dataset.classes = (*LABELS, "never")
    dataset.pixels = lambda: np.array([10, 20, 40, 0, 7])
    found = TASK.learn.settle(
        SegmentationObjective(class_weights="balanced"), dataset
    ).class_weights
    assert found == (2.0, 1.0, 0.5, 1.0)
    dataset.pixels = lambda: np.array([1, 5000, 9000, 0, 7])
    found = TASK.learn.settle(
        SegmentationObjective(class_weights="balanced"), dataset
    ).class_weights
    assert found == (100.0, 1.0, pytest.approx(5 / 9, rel=1e-3), 1.0)


def test_class_weights_that_are_none():
    with pytest.raises(ValueError, match="class_weights must be as many as classes, 3, got 2"):
        SegmentationLoss(3, SegmentationObjective(class_weights=(1, 2)))
    with pytest.raises(ValueError, match="class_weights must be none, balanced, root or numbers"):
        SegmentationObjective(class_weights="even")
    with pytest.raises(ValueError, match="class_weights must be"):
        SegmentationObjective(class_weights=(1, -2))


def test_classes_by_name_and_by_number():
    assert match_mask_classes(("dog", "Cat"), LABELS, named=True) == ([2, 1], "")
    found, note = match_mask_classes(("0", "1"), LABELS, named=False)
    assert found == [0, 1]
    assert note == "the data's ids are read as the model's outputs in order"
    with pytest.raises(DataError, match="is not among the model's 3"):
        match_mask_classes(("bird",), LABELS, named=True)
    with pytest.raises(DataError, match="ids up to 3, the model 3 classes; name the data's"):
        match_mask_classes(("0", "1", "2", "3"), LABELS, named=False)


def test_a_classifiers_backbone_without_its_last_convolution():
    classifier = tasks()["classify"].network.build("mobilenet_v2", ("a", "b"), SMALL)
    model, news = TASK.network.adapt(NAME, classifier, LABELS, {})
    assert news == "a new head for 3 classes"
    assert card_of(model).arguments["width"] == 0.35
    assert card_of(model).preprocessing.resize == "pad"
    theirs, ours = classifier.state_dict(), model.state_dict()
    shared = [name for name in ours if name.startswith("backbone.")]
    assert len(shared) > 100
    assert all(torch.equal(ours[name], theirs[name]) for name in shared)
    with pytest.raises(WeightsError, match="backbone is not that of deeplabv3_mobilenet_v1"):
        TASK.network.adapt("deeplabv3_mobilenet_v1", classifier, LABELS, {})


def test_the_same_network_keeps_what_fits():
    model = tiny()
    same, news = TASK.network.adapt(NAME, model, LABELS, {"output_stride": 8})
    assert news == ""
    assert card_of(same).arguments["output_stride"] == 8
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in same.state_dict().items())
    other, news = TASK.network.adapt(NAME, model, ("x", "y"), {})
    assert news == "a new classifier for 2 classes"
    kept = {name for name, value in other.state_dict().items() if "classifier" not in name}
    assert all(torch.equal(other.state_dict()[name], state[name]) for name in kept)
    assert other.classifier.out_channels == 2
    assert card_of(other).labels == ("x", "y")


def test_the_input_has_the_images_shape_where_they_share_one():
    def size(*sizes: tuple[int, int], own: tuple[int, int] = (513, 513)) -> tuple[int, int]:
        return TASK.learn.input_size(Two(sizes), own)

    assert size((480, 360), (960, 720)) == (385, 513)
    assert size((360, 480)) == (513, 385)
    assert size((500, 375), (333, 500)) == (513, 513)
    assert size((128, 128), own=(128, 128)) == (128, 128)
    assert size((2048, 1024)) == (257, 513)
    assert size((5000, 2)) == (17, 513)
    assert size((480, 360), (484, 360)) == (385, 513)
    assert size((480, 360), (500, 360)) == (513, 513)


def test_what_is_seen_is_told_and_drawn():
    card = card_of(tiny())
    logits = np.zeros((1, 3, 49, 65), np.float32)
    logits[0, 1, :, :40] = 5
    (seen,) = TASK.read.decode({"logits": logits}, card, [(64, 48)], top=100, threshold=0.0)
    assert [row[0] for row in TASK.show.describe(seen)] == ["cat", "background"]
    (cat, background) = TASK.show.to_json(seen)
    assert cat["label"] == "cat"
    assert cat["index"] == 1
    assert cat["score"] + background["score"] == pytest.approx(1)
    image = Image.new("RGB", (64, 48), (128, 128, 128))
    assert np.asarray(TASK.show.draw(image, seen)).std() > 0
    mask = TASK.show.mask(seen)
    assert mask.mode == "P"
    np.testing.assert_array_equal(np.asarray(mask), seen.mask)


def test_deployed_it_is_the_same_network():
    model = tiny()
    images = torch.randn(1, 3, 49, 65)
    deployed = TASK.network.deploy(model)
    with torch.inference_mode():
        torch.testing.assert_close(deployed(images), model(images), rtol=1e-4, atol=1e-5)
    assert card_of(deployed).output.meaning == "logits"


def test_an_evaluator_of_classes_has_no_loss():
    dataset = Two()
    card = ModelCard(NAME, SMALL, "segment", LABELS, Preprocessing((49, 65), "squash"), CLASSES)
    measured = Overlap(card, dataset, SegmentationObjective())
    seen = {"classes": np.zeros((2, 49, 65), np.float32)}
    measured.update(seen, [dataset.target(i) for i in (0, 1)], dataset.sizes)
    results = dict(measured.results())
    assert "loss" not in results
    share = np.mean([(dataset.target(i)[4:] == 0).mean() for i in (0, 1)])
    assert results["pixel_accuracy"] == pytest.approx(share)
