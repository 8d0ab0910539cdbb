import numpy as np
import pytest
import torch
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing, card_of, set_card
from mobilenets.data.objects import Objects
from mobilenets.errors import WeightsError
from mobilenets.models.zoo import build
from mobilenets.runtime.detect import Detection
from mobilenets.tasks import TASKS
from mobilenets.tasks.detect import as_boxes

TASK = TASKS["detect"]
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
    model = TASK.build(NAME, labels, {**SMALL, **arguments}).eval()
    preprocessing = Preprocessing((64, 96), "squash")
    set_card(model, card_of(model).replace(preprocessing=preprocessing))
    return model


@pytest.mark.parametrize("scores", ["sigmoid", "softmax"])
def test_the_network_in_training_and_as_deployed_see_the_same(scores):
    """The decoding in numpy is that in the deployed network, norms folded."""
    model = tiny(scores=scores)
    deployed = TASK.deploy(model)
    assert card_of(deployed).outputs == "boxes"
    images = torch.randn(2, 3, 64, 96)
    with torch.inference_mode():
        raw, decoded = model(images).numpy(), deployed(images).numpy()
    found = as_boxes(raw, TASK.anchors(card_of(model)), scores)
    np.testing.assert_allclose(found, decoded, rtol=1e-4, atol=1e-5)


def test_the_loss_of_raw_outputs_is_measured_and_of_decoded_ones_not():
    model, data = tiny(), Two()
    images = torch.randn(2, 3, 64, 96)
    targets = [data.target(0), data.target(1)]
    sizes = [(64, 48)] * 2
    with torch.inference_mode():
        raw, decoded = model(images).numpy(), TASK.deploy(model)(images).numpy()
    one, two = (TASK.evaluator(card_of(network), data) for network in (model, TASK.deploy(model)))
    one.update(raw, targets, sizes)
    two.update(decoded, targets, sizes)
    results = dict(one.results())
    assert results.pop("loss") > 0
    assert results == pytest.approx(dict(two.results()))
    half = TASK.evaluator(card_of(model), data)
    half.update(raw[:1], targets[:1], sizes[:1])
    rest = TASK.evaluator(card_of(model), data)
    rest.update(raw[1:], targets[1:], sizes[1:])
    half.merge(rest)
    assert half.images == 2
    assert dict(half.results())["ap"] == pytest.approx(results["ap"])


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
    model, new = TASK.adapt(NAME, classifier, ["a", "b", "c"], {"scores": "softmax"})
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
        TASK.adapt(NAME, classifier, ["a"], {})
    set_card(classifier, ModelCard("mobilenet_v2", {"width": 0.35}))
    with pytest.raises(WeightsError, match=r"not that of ssdlite_mobilenet_v2: backbone.* not fit"):
        TASK.adapt(NAME, classifier, ["a"], {})


def test_of_a_detector_all_is_kept_but_the_scores_of_other_classes():
    model = tiny()
    assert TASK.adapt(NAME, model, Two.classes, {}) == (model, "")
    other, new = TASK.adapt(NAME, model, ["x", "y", "z"], {})
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
    assert TASK.describe(seen) == [("cat  1,2 - 30,41", 0.75)]
    assert TASK.to_json(seen) == [
        {"label": "cat", "index": 0, "score": 0.75, "box": [1.0, 2.0, 30.4, 40.6]}
    ]
    picture = TASK.draw(Image.new("RGB", (64, 48)), seen)
    assert np.asarray(picture).std() > 0
    assert TASK.draw(Image.new("RGB", (64, 48)), []).width >= 64
