"""The networks, their answers, and the whole way from training to a file without torch."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import mobilenets
from mobilenets.card import ModelCard, Preprocessing, card_of, set_card
from mobilenets.data import shapes
from mobilenets.errors import WeightsError
from mobilenets.export import export_onnx
from mobilenets.inference import guess_card, open_model, predict
from mobilenets.tasks.attributes.architecture.several import Scored
from mobilenets.tasks.attributes.read import LOGITS, SCORES, SeenAttribute
from mobilenets.tasks.attributes.recipes.settings import AttributesAugmentation
from mobilenets.tasks.registry import tasks
from mobilenets.weights.sources.own import save
from tests.quick import quick_export, shake_norms

TASK = tasks()["attributes"]
NAMES = ("hat", "bag", "coat", "skirt")
CARD = ModelCard("", {}, "attributes", NAMES, outputs=SCORES)
KEPT = {"thresholds": {"hat": 0.3, "bag": 0.7}, "groups": [["coat", "skirt"]]}


def decode(scores, card=CARD, top=10, threshold=0.0):
    (seen,) = TASK.read.decode(
        {"scores": np.float32([scores])}, card, [(9, 9)], top=top, threshold=threshold
    )
    return [(one.label, round(one.score, 3)) for one in seen]


def test_each_attribute_has_its_own_threshold_unless_one_is_given():
    scores = [0.4, 0.6, 0.55, 0.45]
    assert decode(scores) == [("bag", 0.6), ("coat", 0.55)]
    kept = CARD.replace(kept=KEPT)
    assert decode(scores, kept) == [("coat", 0.55), ("hat", 0.4)]
    assert decode([0.2, 0.6, 0.3, 0.4], kept) == [("skirt", 0.4)]  # of a group always one
    assert decode(scores, kept, threshold=0.449) == [("bag", 0.6), ("coat", 0.55), ("skirt", 0.45)]
    assert decode(scores, kept, top=1) == [("coat", 0.55)]


def test_logits_become_scores_of_each_and_of_groups():
    card = CARD.replace(outputs=LOGITS, kept=KEPT)
    logits = np.float32([[0.0, 2.0, 1.0, 1.5]])
    found = TASK.read.scores_of({"logits": logits}, card)
    x = torch.from_numpy(logits)
    expected = torch.cat([x[:, :2].sigmoid(), x[:, 2:].softmax(1)], 1)
    np.testing.assert_allclose(found, expected, atol=1e-6)

    class Given(torch.nn.Module):
        def forward(self, images):
            return x

    torch.testing.assert_close(Scored(Given(), [[2, 3]])(x), expected)
    torch.testing.assert_close(
        Scored(Given(), [[3, 0], [1, 2]])(x)[0, 0], x[0, [3, 0]].softmax(0)[1]
    )


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"thresholds": {"hat": 3}}, "thresholds must be numbers from 0 to 1"),
        ({"thresholds": [0.5]}, "thresholds must be numbers from 0 to 1"),
        ({"groups": [["hat", "cap"]]}, "the card's groups must be of attributes, got 'cap'"),
        ({"groups": [["hat", "bag"], ["hat", "coat"]]}, "must not share an attribute, 'hat' is in"),
    ],
)
def test_a_card_that_cannot_be_followed_is_refused(kept, message):
    with pytest.raises(WeightsError, match=message):
        decode([0.1, 0.2, 0.3, 0.4], CARD.replace(kept=kept))


def test_damaged_outputs_are_refused():
    with pytest.raises(WeightsError, match="not finite"):
        decode([0.1, np.nan, 0.3, 0.4])
    with pytest.raises(WeightsError, match="2 outputs but 4 labels"):
        decode([0.1, 0.2])


def test_a_file_of_others_with_a_sigmoid_is_still_a_classifiers():
    card = guess_card([(None, 4)], "sigmoid")
    assert (card.task, card.output.meaning) == ("classify", "independent probabilities")


def test_a_head_is_kept_where_the_attributes_are_its_own():
    model = TASK.network.build("attributes_mobilenet_v2", NAMES, {"width": 0.25})
    set_card(model, card_of(model).replace(kept=KEPT))
    assert card_of(model).preprocessing.resize == "squash"
    same, new = TASK.network.adapt("attributes_mobilenet_v2", model, NAMES, {})
    assert (new, card_of(same).kept) == ("", KEPT)
    torch.testing.assert_close(same.classifier.weight, model.classifier.weight)
    other, new = TASK.network.adapt("attributes_mobilenet_v2", model, NAMES[:3], {})
    assert new == "a new head for 3 attributes"
    assert (card_of(other).labels, card_of(other).kept) == (NAMES[:3], {})
    torch.testing.assert_close(other.backbone.stem.conv.weight, model.backbone.stem.conv.weight)


def test_a_classifier_gives_its_body():
    classifier = tasks()["classify"].network.build("mobilenet_v1", ["a", "b"], {"width": 0.25})
    model, new = TASK.network.adapt("attributes_mobilenet_v1", classifier, NAMES, {})
    assert new == "a new head for 4 attributes"
    torch.testing.assert_close(
        model.backbone.stem.conv.weight, classifier.backbone.stem.conv.weight
    )
    with pytest.raises(WeightsError, match="not that of attributes_mobilenet_v2"):
        TASK.network.adapt("attributes_mobilenet_v2", classifier, NAMES, {})


def test_attributes_without_data_are_celebas():
    assert len(TASK.architecture.default_labels(None)) == 40
    assert TASK.architecture.default_labels(None)[20] == "Male"
    assert TASK.architecture.default_labels(2) == ("attribute 0", "attribute 1")


@pytest.mark.parametrize("groups", [[], [["skirt", "hat"]]], ids=["alone", "grouped"])
@pytest.mark.parametrize("version", [1, 2])
def test_an_exported_file_on_the_engine_is_its_source(version, groups, tmp_path):
    torch.manual_seed(0)
    name = f"attributes_mobilenet_v{version}"
    model = shake_norms(TASK.network.build(name, NAMES, {"width": 0.25}))
    kept = {**KEPT, "groups": groups}
    card = card_of(model).replace(preprocessing=Preprocessing((64, 64), "squash"), kept=kept)
    set_card(model, card)
    save(model, tmp_path / "a.safetensors")
    with quick_export():
        export_onnx(mobilenets.load(tmp_path / "a.safetensors"), tmp_path / "a.onnx")
    file = mobilenets.open_session(tmp_path / "a.onnx", runtime="mobilenets")
    assert (file.card.kept, file.card.output.meaning) == (kept, "attribute scores")
    batch = np.random.default_rng(0).normal(size=(3, 3, 64, 64)).astype(np.float32)
    places = [[NAMES.index(one) for one in group] for group in groups]
    expected = Scored(model.eval(), places)(torch.from_numpy(batch)).detach().numpy()
    np.testing.assert_allclose(file(batch)["scores"], expected, atol=1e-4)
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (50, 70, 3), np.uint8))
    torch_session = open_model(tmp_path / "a.safetensors")
    (ours,), (theirs,) = (
        list(predict(one, [image], TASK, threshold=1e-6)) for one in (file, torch_session)
    )
    assert ours.labels == theirs.labels
    assert ours.scores == pytest.approx(theirs.scores, abs=1e-4)


def test_an_answer_has_fields_and_a_picture():
    seen = [SeenAttribute("hat", 0, 0.9, 0.5), SeenAttribute("bag", 1, 0.6, 0.55)]
    answer = TASK.answer_of(seen, Image.new("RGB", (50, 40)))
    assert answer.labels == ["hat", "bag"]
    assert "bag" in answer
    assert "coat" not in answer
    assert answer.rows == [("hat", 0.9), ("bag", 0.6)]
    assert answer.to_json()[1] == {"label": "bag", "index": 1, "score": 0.6, "threshold": 0.55}
    drawn = answer.draw()
    assert drawn.width == 360
    many = [SeenAttribute(f"a{i}", i, 0.5, 0.5) for i in range(30)]
    high = TASK.show.draw(Image.new("RGB", (360, 360)), many).height
    assert drawn.height < high < 800
    assert TASK.show.draw(Image.new("RGB", (360, 360)), []).height > 360


@pytest.mark.parametrize("policy", ["none", "flip", "inception", "trivial"])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_training_images_have_the_size_of_the_card(policy, order):
    card = ModelCard("attributes_mobilenet_v2", preprocessing=Preprocessing((48, 40), order=order))
    transform = TASK.learn.transform(card, AttributesAugmentation(policy, erasing=0.5))
    image, marks = transform(Image.new("RGB", (60, 90), (9, 90, 200)), np.int8([1, 0, -1]))
    assert (image.shape, image.dtype) == ((3, 48, 40), torch.float32)
    assert marks.tolist() == [1, 0, -1]
    assert TASK.learn.mixer(AttributesAugmentation(policy), 3) is None


def test_without_augmentation_training_sees_what_inference_sees():
    from mobilenets.runtime.preprocess import preprocess

    image = shapes.Shapes(96).image(0)
    for order in ("RGB", "BGR"):
        rule = Preprocessing(
            (64, 48), "squash", mean=(0.1, 0.5, 0.9), std=(0.2, 0.4, 0.8), order=order
        )
        transform = TASK.learn.transform(
            ModelCard("", preprocessing=rule), AttributesAugmentation("none")
        )
        found, _ = transform(image, [1])
        np.testing.assert_allclose(found.numpy(), preprocess(image, rule), atol=1e-5)


def test_crops_keep_the_shape_of_a_tall_image():
    """Their sides are shares of the image's sides, in ratios from 3 : 4 to 4 : 3."""
    ratios = []
    transform = TASK.learn.transform(
        ModelCard("", preprocessing=Preprocessing((32, 32))), AttributesAugmentation("flip", 0.25)
    )
    crop = transform.pipeline.transforms[0]
    image = Image.new("RGB", (100, 400))
    seen = []
    image.resize = lambda size, resample, box: seen.append(box) or Image.new("RGB", size)
    torch.manual_seed(0)
    for _ in range(60):
        crop(image)
    for left, top, right, bottom in seen:
        assert 0 <= left < right <= 100.001
        assert 0 <= top < bottom <= 400.001
        ratios.append((right - left) / 100 / ((bottom - top) / 400))
        assert 0.249 <= (right - left) * (bottom - top) / 40_000 <= 1.001
    assert 0.74 < min(ratios) < 0.85
    assert 1.18 < max(ratios) < 1.34


@pytest.fixture(scope="module")
def few():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "SCENES", {"train": 64, "val": 32, "test": 32})
        yield


def test_from_training_to_a_file_and_its_answers(few, call, no_curves, tmp_path):
    run = tmp_path / "run"
    words = ("train", "attributes_mobilenet_v2", "--data", "shapes", "--output", run)
    words += ("--from", "mobilenet_v2_0.35_64.shapes", "--epochs", 1, "--workers", 0)
    words += ("--resolution", 64, "--set", "groups=red,green,blue", "--json")
    ran = call(*words)
    assert ran.status == 0, ran.err
    best = json.loads(ran.out)
    assert "the head starts from a probe: logistic regression on 64 images" in ran.err
    assert best["mean_ap"] > 0.45
    card = mobilenets.load(run / "best.safetensors").card
    assert set(card.kept["thresholds"]) == set(card.labels)
    assert card.kept["groups"] == [["red", "green", "blue"]]
    with quick_export():
        assert call("export", run / "best.safetensors", "-o", tmp_path / "a.onnx").status == 0
    found = []
    for file in (run / "best.safetensors", tmp_path / "a.onnx"):
        ran = call(
            "eval",
            file,
            "shapes",
            "--split",
            "val",
            "--json",
            "--save-dir",
            tmp_path / "worst",
            "--worst",
            2,
        )
        assert ran.status == 0, ran.err
        found.append(json.loads(ran.out))
        assert "the worst by average precision" in ran.err
    for name in ("mean_ap", "f1", "instance_accuracy"):
        assert found[0][name] == pytest.approx(best[name], abs=2e-3)
        assert found[1][name] == pytest.approx(found[0][name], abs=2e-3)
    picture = tmp_path / "shape.png"
    TASK.data.open_data("shapes", "test").image(0).save(picture)
    ran = call("predict", tmp_path / "a.onnx", picture, "--json", "--save-dir", tmp_path / "seen")
    (answer,) = json.loads(ran.out)
    for one in answer["predictions"]:
        own = card.kept["thresholds"][one["label"]]
        assert one["score"] >= own or one["label"] in ("red", "green", "blue")
    assert sum(one["label"] in ("red", "green", "blue") for one in answer["predictions"]) == 1
    ran = call("predict", tmp_path / "a.onnx", picture, "--json", "--threshold", 0.001)
    assert len(json.loads(ran.out)[0]["predictions"]) == 13
    ran = call("predict", tmp_path / "a.onnx", picture, "--threshold", 0.9999)
    assert "nothing scores 0.9999 or more; the best is 0." in ran.err
