import pickle

import numpy as np
import pytest
import torch

from mobilenets.card import ModelCard, Preprocessing, card_of
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.tasks.classify.measure import Accuracy
from mobilenets.tasks.classify.measure.confusion import Confusion
from mobilenets.tasks.classify.read import PROBABILITIES
from mobilenets.tasks.classify.recipes.settings import ClassificationAugmentation
from mobilenets.tasks.registry import tasks

TASK = tasks()["classify"]
SHARES = ModelCard("", outputs=PROBABILITIES)


@pytest.fixture
def outputs() -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.normal(size=(200, 9)).astype(np.float32) * 3, random.integers(0, 9, 200)


def counted(logits, targets, *card) -> Accuracy:
    accuracy = Accuracy([f"c{i}" for i in range(9)], range(9), *card)
    for part in np.array_split(np.arange(len(logits)), 7):
        accuracy.update({"logits": logits[part]}, targets[part].tolist())
    return accuracy


def test_accuracy_is_what_scikit_learn_measures(outputs):
    from sklearn.metrics import balanced_accuracy_score, log_loss, top_k_accuracy_score

    logits, targets = outputs
    found = dict(counted(logits, targets).results())
    for k in (1, 5):
        expected = top_k_accuracy_score(targets, logits, k=k, labels=range(9))
        assert found[f"top{k}"] == pytest.approx(expected)
    shares = torch.from_numpy(logits).softmax(1).double().numpy()
    shares /= shares.sum(1, keepdims=True)
    assert found["loss"] == pytest.approx(log_loss(targets, shares, labels=range(9)), rel=1e-5)
    assert found["mean_class"] == pytest.approx(balanced_accuracy_score(targets, logits.argmax(1)))
    assert found["images"] == 200


def test_probabilities_give_the_loss_of_their_logits(outputs):
    logits, targets = outputs
    shares = torch.from_numpy(logits).softmax(1).numpy()
    found = dict(counted(shares, targets, SHARES).results())
    assert found == pytest.approx(dict(counted(logits, targets).results()), rel=1e-4)


def test_the_confusion_matrix_is_scikit_learns(outputs):
    from sklearn.metrics import confusion_matrix

    logits, targets = outputs
    expected = confusion_matrix(targets, logits.argmax(1), labels=range(9))
    np.testing.assert_array_equal(counted(logits, targets).confusion[:, :9], expected)


def test_each_class_has_its_recall(outputs):
    from sklearn.metrics import recall_score

    logits, targets = outputs
    targets = np.where(targets == 4, 5, targets)  # a class without images
    found = counted(logits, targets).by_class()
    names = [f"c{i}" for i in range(9) if i != 4]
    assert list(found) == names
    expected = recall_score(
        targets, logits.argmax(1), labels=range(9), average=None, zero_division=0
    )
    for name, value in zip(names, np.delete(expected, 4), strict=True):
        assert found[name]["top1"] == pytest.approx(value)
    assert sum(one["images"] for one in found.values()) == 200


def test_parts_merge_to_the_whole(outputs):
    logits, targets = outputs
    whole, part = counted(logits, targets), counted(logits[:90], targets[:90])
    part.merge(counted(logits[90:], targets[90:]))
    assert dict(part.results()) == pytest.approx(dict(whole.results()))


def test_data_with_some_of_the_classes_is_measured_on_all_outputs():
    accuracy = Accuracy(["b", "d"], [1, 3])
    logits = np.float32([[0, 9, 0, 1], [0, 9, 0, 8], [5, 0, 0, 1]])
    accuracy.update({"logits": logits}, [0, 1, 1])
    found = dict(accuracy.results())
    assert found["top1"] == pytest.approx(1 / 3)
    np.testing.assert_array_equal(accuracy.confusion, [[1, 0, 0], [1, 0, 1]])


def test_twenty_thousand_classes_take_no_table_of_every_pair(outputs, tmp_path):
    classes = 20_000
    random = np.random.default_rng(3)
    true, seen = random.integers(0, classes, (2, 5000))
    seen[:1000] = true[:1000]
    seen[1000:1003] = classes  # none of them
    found = Accuracy([f"c{i}" for i in range(classes)], range(classes))
    halves = [Confusion(classes), Confusion(classes)]
    for part, half in zip((slice(0, 2500), slice(2500, None)), halves, strict=True):
        half.add(true[part], seen[part])
        found.counts.merge(half)
    assert len(pickle.dumps(found.counts)) < 200_000
    right = int((true == seen).sum())
    assert dict(found.results())["top1"] == right / 5000
    images = np.bincount(true, minlength=classes)
    assert found.by_class()[f"c{true[0]}"]["images"] == images[true[0]]
    shares = found.counts.shares(10)  # neighbours share a cell, each class counts once
    assert shares.shape == (10, 11)
    np.testing.assert_allclose(shares.sum(1), 1)
    expected = np.mean([(seen[true == k] == classes).mean() for k in np.unique(true[true < 2000])])
    assert shares[0, 10] == pytest.approx(expected)
    found.figure().savefig(tmp_path / "figure.png", dpi=30)
    logits, targets = outputs  # of few classes the table is whole
    few = counted(logits, targets)
    table = few.confusion / few.confusion.sum(1, keepdims=True)
    np.testing.assert_allclose(few.counts.shares(9), table[:, :9])


def test_images_without_a_result_do_not_divide_by_zero():
    assert dict(Accuracy(["a", "b"], [0, 1]).results())["top1"] == 0


def test_the_figure_shows_every_class(outputs):
    labels = [text.get_text() for text in counted(*outputs).figure().axes[0].get_yticklabels()]
    assert labels == [f"c{i}" for i in range(9)]


def test_a_head_is_kept_where_the_classes_are_its_own():
    model = TASK.network.build("mobilenet_v2", ["a", "b"], {"width": 0.35})
    before = model.classifier.weight.clone()
    assert TASK.network.adapt("mobilenet_v2", model, ["a", "b"], {}) == (model, "")
    assert torch.equal(model.classifier.weight, before)


def test_a_head_is_replaced_where_they_are_not_and_the_rest_stays():
    model = TASK.network.build("mobilenet_v2", ["a", "b"], {"width": 0.35})
    stem = model.backbone.stem.conv.weight.clone()
    model, new = TASK.network.adapt("mobilenet_v2", model, ["c", "b", "a"], {})
    assert new == "a new head for 3 classes"
    assert model.classifier.weight.shape == (3, 1280)
    assert torch.equal(model.backbone.stem.conv.weight, stem)
    assert card_of(model).labels == ("c", "b", "a")
    assert card_of(model).arguments["classes"] == 3


def test_classes_of_another_model_are_refused():
    with pytest.raises(DataError, match="circle"):
        TASK.measure.evaluator(ModelCard("mobilenet_v2", labels=("cat", "dog")), Shapes(32))


@pytest.mark.parametrize("policy", ["none", "flip", "inception", "trivial"])
@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_training_images_have_the_size_and_order_of_the_card(policy, order):
    card = ModelCard("mobilenet_v2", preprocessing=Preprocessing((48, 40), order=order))
    transform = TASK.learn.transform(card, ClassificationAugmentation(policy, erasing=0.5))
    image, target = transform(Shapes(64).image(0), 3)
    assert image.shape == (3, 48, 40)
    assert image.dtype == torch.float32
    assert int(target) == 3


@pytest.mark.parametrize("policy", ["ssd", "ssd_crop"])
def test_a_policy_for_detectors_is_refused(policy):
    allowed = f"one of none, flip, inception, trivial, got '{policy}'"
    with pytest.raises(ValueError, match=f"policy must be {allowed}"):
        TASK.learn.transform(ModelCard("mobilenet_v2"), ClassificationAugmentation(policy))


def test_without_augmentation_training_sees_what_inference_sees():
    from mobilenets.runtime.preprocess import preprocess

    image = Shapes(64).image(0)
    for order in ("RGB", "BGR"):
        preprocessing = Preprocessing(
            (64, 64), "squash", mean=(0.1, 0.5, 0.9), std=(0.2, 0.4, 0.8), order=order
        )
        card = ModelCard("mobilenet_v2", preprocessing=preprocessing)
        found, _ = TASK.learn.transform(card, ClassificationAugmentation("none"))(image, 0)
        expected = preprocess(image, preprocessing)
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


def test_mixing_gives_shares_that_sum_to_one():
    mixer = TASK.learn.mixer(ClassificationAugmentation(mixup=0.2, cutmix=1.0), 5)
    _, shares = mixer(torch.rand(8, 3, 16, 16), torch.arange(8) % 5)
    assert shares.shape == (8, 5)
    torch.testing.assert_close(shares.sum(1), torch.ones(8))
    assert TASK.learn.mixer(ClassificationAugmentation(), 5) is None


def test_the_interval_of_the_mean_over_classes_holds_what_resamples_give(outputs):
    from sklearn.metrics import recall_score

    from mobilenets.tasks.intervals import interval, resamples

    logits, targets = outputs
    found = counted(logits, targets)
    drawn = resamples(200)[:40]
    expected = [
        recall_score(targets, logits.argmax(1), sample_weight=row, average="macro") for row in drawn
    ]
    np.testing.assert_allclose(found._mean_class(drawn), expected)
    mean = dict(found.results())["mean_class"]
    whole = interval(mean, found._mean_class(resamples(200)), 200)
    assert found.intervals().results["mean_class"] == whole
    assert whole.low < mean < whole.high
