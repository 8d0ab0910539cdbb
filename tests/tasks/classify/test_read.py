import numpy as np
import pytest

from mobilenets.card import ModelCard, one_output
from mobilenets.errors import WeightsError
from mobilenets.runtime.numbers import softmax
from mobilenets.tasks.classify.measure import Accuracy
from mobilenets.tasks.classify.read import (
    INDEPENDENT_LOGITS,
    INDEPENDENT_PROBABILITIES,
    PROBABILITIES,
    Prediction,
    best_classes,
    decode,
    scores_of,
)

ABC = ModelCard("mobilenet_v2", labels=("a", "b", "c"))


def test_softmax_is_scipys_and_does_not_overflow():
    from scipy.special import softmax as theirs

    logits = np.random.default_rng(0).normal(0, 5, (4, 9)).astype(np.float32)
    np.testing.assert_allclose(softmax(logits), theirs(logits.astype(np.float64), axis=1))
    assert softmax(np.array([[1e38, -1e38]], np.float32)).tolist() == [[1, 0]]


def test_the_likeliest_come_first_with_their_names():
    (first, second) = best_classes(np.log(np.array([[0.2, 0.5, 0.3], [0.7, 0.1, 0.2]])), ABC, 2)
    assert [(p.label, p.index) for p in first] == [("b", 1), ("c", 2)]
    assert [p.score for p in first] == pytest.approx([0.5, 0.3])
    assert second[0].label == "a"


def test_probabilities_are_taken_as_they_are():
    card = ABC.replace(outputs=PROBABILITIES)
    assert best_classes(np.array([[0.25, 0.5, 0.25]]), card, 9)[0] == [
        Prediction("b", 1, 0.5),
        Prediction("a", 0, 0.25),
        Prediction("c", 2, 0.25),
    ]


def test_without_labels_a_class_is_its_number():
    assert best_classes(np.array([[0.0, 9.0]]), ModelCard(""), 1)[0][0].label == "1"


def test_no_images_give_no_predictions():
    assert best_classes(np.zeros((0, 3), np.float32), ABC, 5) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_outputs_that_are_not_finite_are_an_error(bad):
    outputs = np.zeros((3, 3), np.float32)
    outputs[1, 2] = bad
    with pytest.raises(WeightsError, match=r"not finite for 1 of 3 images \(the first is number 1"):
        best_classes(outputs, ABC, 1)


def test_what_does_not_fit_is_named():
    with pytest.raises(WeightsError, match="4 outputs but 3 labels"):
        best_classes(np.zeros((1, 4)), ABC, 1)
    with pytest.raises(ValueError, match="top must be positive, got 0"):
        best_classes(np.zeros((1, 3)), ABC, 0)
    with pytest.raises(ValueError, match=r"outputs must be \(N, classes\), got shape \(3,\)"):
        best_classes(np.zeros(3), ABC, 1)


def test_a_meaning_that_is_no_classifiers_is_refused():
    for meaning in ("logit", "boxes"):
        card = ABC.replace(outputs=one_output(meaning))
        with pytest.raises(ValueError, match=f"must be logits, .*, got '{meaning}'"):
            best_classes(np.zeros((1, 3)), card, 1)


def test_a_file_with_axes_of_one_place_is_read_as_rows():
    seen = decode({"logits": np.float32([[[[1]], [[5]], [[2]]]])}, ABC, [], top=1, threshold=0)
    assert seen[0][0].label == "b"


def test_an_independent_output_is_a_score_by_itself():
    from scipy.special import expit

    logits = np.float32([[2, -1, 0.5], [-400, 400, 0]])
    card = ABC.replace(outputs=INDEPENDENT_LOGITS)
    np.testing.assert_allclose(scores_of(logits, card), expit(logits.astype(float)), atol=1e-12)
    assert [p.label for p in best_classes(logits, card, 2)[0]] == ["a", "c"]
    given = ABC.replace(outputs=INDEPENDENT_PROBABILITIES)
    assert scores_of(np.float32([[0.9, 0.8, 0.1]]), given)[0] == pytest.approx([0.9, 0.8, 0.1])


@pytest.mark.parametrize(
    ("labels", "names"),
    [((), ["1", "0"]), (("cat",), ["cat", "not cat"]), (("a", "b"), ["b", "a"])],
)
def test_one_output_has_two_classes_and_no_softmax(labels, names):
    card = ModelCard("", labels=labels, outputs=INDEPENDENT_PROBABILITIES)
    (seen,) = best_classes(np.float32([[0.8]]), card, 5)
    assert [p.label for p in seen] == names
    assert [p.score for p in seen] == pytest.approx([0.8, 0.2])
    with pytest.raises(WeightsError, match="1 outputs but 3 labels"):
        best_classes(np.float32([[0.8]]), card.replace(labels=("a", "b", "c")), 1)


def test_independent_outputs_are_measured_by_their_own_cross_entropy():
    from sklearn.metrics import log_loss

    card = ModelCard("", labels=("no", "yes"), outputs=INDEPENDENT_LOGITS)
    counted = Accuracy(("no", "yes"), (0, 1), card)
    logits = np.float32([[2], [-1], [0.5]])
    counted.update({"logits": logits}, [1, 0, 0])
    found = dict(counted.results())
    assert found["top1"] == pytest.approx(2 / 3)
    wanted = log_loss([1, 0, 0], 1 / (1 + np.exp(-logits[:, 0].astype(float))))
    assert found["loss"] == pytest.approx(wanted, rel=1e-5)
