import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import one_hot

from mobilenets.card import ModelCard, Preprocessing, card_of, set_card
from mobilenets.errors import WeightsError
from mobilenets.tasks.detect.architecture.geometry import card_anchors
from mobilenets.tasks.detect.architecture.ssd import decode_boxes, encode_boxes
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.learn.transforms import match
from mobilenets.tasks.detect.measure import AveragePrecision, as_boxes
from mobilenets.tasks.detect.read import BOXES, Detection
from mobilenets.tasks.registry import build, tasks

TASK = tasks()["detect"]
NAME = "ssdlite_mobilenet_v2"
SMALL = {"width": 0.35}


class Two:
    """Two pictures of two classes, one of them empty."""

    classes = ("cat", "dog")
    notes = ()

    def __len__(self) -> int:
        return 2

    def image(self, i: int) -> Image.Image:
        return Image.new("RGB", (64, 48))

    def target(self, i: int) -> Objects:
        return Objects.of([[4, 4, 40, 40]], [1]) if i == 0 else Objects.of([], [])

    def name(self, i: int) -> str:
        return str(i)


def tiny(labels: tuple[str, ...] = Two.classes, **arguments: object) -> torch.nn.Module:
    torch.manual_seed(0)
    model = TASK.network.build(NAME, labels, {**SMALL, **arguments}).eval()
    preprocessing = Preprocessing((64, 96), "squash")
    set_card(model, card_of(model).replace(preprocessing=preprocessing))
    return model


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_the_network_in_training_and_as_deployed_see_the_same(scores):
    """The decoding in numpy is that in the deployed network, norms folded."""
    model = tiny(scores=scores)
    deployed = TASK.network.deploy(model)
    assert card_of(deployed).outputs == BOXES
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        raw, decoded = model(images).numpy(), deployed(images).numpy()
    found = as_boxes(raw, card_anchors(card_of(model)), scores)
    np.testing.assert_allclose(found, decoded, rtol=1e-4, atol=1e-5)


SIZE = (64, 48)
THERE = [
    Objects.of([[4, 4, 30, 40], [34, 10, 60, 44]], [1, 0]),
    Objects.of([], []),
    Objects.of([[10, 6, 50, 42]], [0]),
    Objects.of([[2, 2, 20, 20], [40, 2, 62, 20], [20, 24, 50, 46]], [1, 1, 0]),
]
"""What is in four pictures of that size."""


def seeing(seen: list[Objects], card: ModelCard, sure: float = 8.0) -> np.ndarray:
    """The raw outputs (N, anchors, 4 + 1 + 2) of a network that sees just that, so surely.

    In each picture a little surer: of equal scores the earlier picture's would come first.
    """
    anchors = torch.from_numpy(card_anchors(card))
    outputs = []
    for number, objects in enumerate(seen):
        shares = torch.from_numpy(objects.boxes) / torch.tensor([*SIZE, *SIZE])
        target = match(shares, torch.from_numpy(objects.labels), anchors, 0.5)
        classes = target[:, 0].long()
        codes = torch.zeros(len(anchors), 4)
        codes[classes > 0] = encode_boxes(target[classes > 0, 1:], anchors[classes > 0])
        logits = (sure + number / 4) * (2 * one_hot(classes, 1 + len(Two.classes)) - 1)
        outputs.append(torch.cat([codes, logits], 1))
    return torch.stack(outputs).numpy()


def measured(card: ModelCard, outputs: np.ndarray, there: list[Objects]) -> AveragePrecision:
    evaluator = TASK.measure.evaluator(card, Two())
    evaluator.update({card.output.name: outputs}, there, [SIZE] * len(there))
    return evaluator


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_who_sees_all_has_a_precision_of_one_and_hardly_a_loss(scores):
    card = card_of(tiny(scores=scores))
    found = measured(card, seeing(THERE, card), THERE)
    results = dict(found.results())
    for name in ("ap", "ap50", "ap75", "ar100", "ap50_voc07"):
        assert results[name] == pytest.approx(1), name
    assert results["loss"] < 0.05
    assert results["images"] == 4
    assert found.by_class() == {name: pytest.approx({"ap": 1, "ap50": 1}) for name in Two.classes}
    others = [objects._replace(labels=1 - objects.labels) for objects in THERE]
    results = dict(measured(card, seeing(others, card), THERE).results())
    assert results["ap50"] < 0.1
    assert results["loss"] > 5


def some(card: ModelCard) -> np.ndarray:
    """The raw outputs of a network that sees some of it: one object in the first picture is
    missed, the third is a little off, in the second is one too many.
    """
    first, _, third, last = THERE
    seen = [
        Objects.of(first.boxes[:1], first.labels[:1]),
        Objects.of([[5, 5, 40, 40]], [0]),
        Objects.of(third.boxes + np.float32([3, 2, 0, 0]), third.labels),
        last,
    ]
    return seeing(seen, card, 3.0)


def test_the_loss_of_raw_outputs_is_measured_and_of_decoded_ones_not():
    card = card_of(tiny())
    raw = torch.from_numpy(some(card))
    boxes = decode_boxes(raw[..., :4], torch.from_numpy(card_anchors(card)))
    decoded = torch.cat([boxes, raw[..., 5:].sigmoid()], -1).numpy()
    results = dict(measured(card, raw.numpy(), THERE).results())
    assert results.pop("loss") > 0
    assert 0.2 < results["ap"] < 0.9
    theirs = measured(card.replace(outputs=BOXES), decoded, THERE)
    assert results == pytest.approx(dict(theirs.results()))


def test_parts_merge_to_the_whole():
    """Each of two processes has counted batches of its own."""
    card = card_of(tiny())
    raw, sizes = some(card), [SIZE] * 4
    whole = TASK.measure.evaluator(card, Two())
    parts = [TASK.measure.evaluator(card, Two()) for _ in range(2)]
    for start, end, part in ((0, 1, 0), (1, 2, 1), (2, 4, 0)):
        for evaluator in (whole, parts[part]):
            evaluator.update({"logits": raw[start:end]}, THERE[start:end], sizes[start:end])
    expected = dict(whole.results())
    assert 0.2 < expected["ap"] < 0.9
    assert dict(parts[0].results()) != pytest.approx(expected)
    parts[0].merge(parts[1])
    assert dict(parts[0].results()) == pytest.approx(expected)
    assert parts[0].by_class() == {
        name: pytest.approx(figures) for name, figures in whole.by_class().items()
    }


def test_a_classifiers_backbone_is_taken():
    classifier = build("mobilenet_v2", width=0.35, classes=10, padding="symmetric").eval()
    preprocessing = Preprocessing((96, 96), mean=(0.4, 0.5, 0.6))
    card = ModelCard(
        "mobilenet_v2",
        {"width": 0.35, "classes": 10, "padding": "symmetric"},
        preprocessing=preprocessing,
        source="someone",
    )
    set_card(classifier, card)
    model, new = TASK.network.adapt(NAME, classifier, ["a", "b", "c"], {"scores": "softmax"})
    assert new == "new extras and heads for 3 classes"
    for key, value in classifier.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[key], value)
    made = card_of(model)
    assert made.arguments == {
        "width": 0.35,
        "padding": "symmetric",
        "scores": "softmax",
        "classes": 3,
    }
    assert made.labels == ("a", "b", "c")
    assert made.preprocessing == Preprocessing((320, 320), "squash", mean=(0.4, 0.5, 0.6))
    assert made.source == "someone"


def test_a_backbone_that_is_another_is_refused():
    classifier = build("mobilenet_v2", width=0.35, expansion=4).eval()
    set_card(classifier, ModelCard("mobilenet_v2", {"width": 0.35, "expansion": 4}))
    with pytest.raises(WeightsError, match="has no backbone with expansion=4"):
        TASK.network.adapt(NAME, classifier, ["a"], {})
    set_card(classifier, ModelCard("mobilenet_v2", {"width": 0.35}))
    with pytest.raises(WeightsError, match=r"not that of ssdlite_mobilenet_v2: backbone.* not fit"):
        TASK.network.adapt(NAME, classifier, ["a"], {})


def test_of_a_detector_all_is_kept_but_the_scores_of_other_classes():
    model = tiny()
    assert TASK.network.adapt(NAME, model, Two.classes, {}) == (model, "")
    other, new = TASK.network.adapt(NAME, model, ["x", "y", "z"], {})
    assert new == "new scores for 3 classes"
    theirs, ours = other.state_dict(), model.state_dict()
    changed = {key for key in ours if theirs[key].shape != ours[key].shape}
    assert changed == {key for key in ours if key.startswith("scores.") and ".predict." in key}
    for key in ours.keys() - changed:
        assert torch.equal(theirs[key], ours[key])
    assert card_of(other).labels == ("x", "y", "z")
    assert card_of(other).preprocessing.size == (64, 96)
    assert card_of(other).arguments["classes"] == 3


def test_what_is_seen_is_told_in_pixels():
    seen = [Detection("cat", 0, 0.75, (1.0, 2.0, 30.4, 40.6))]
    assert TASK.show.describe(seen) == [("cat  1,2 - 30,41", 0.75)]
    assert TASK.show.to_json(seen) == [
        {"label": "cat", "index": 0, "score": 0.75, "box": [1.0, 2.0, 30.4, 40.6]}
    ]
    picture = TASK.show.draw(Image.new("RGB", (64, 48)), seen)
    assert np.asarray(picture).std() > 0
    assert TASK.show.draw(Image.new("RGB", (64, 48)), []).width >= 64
