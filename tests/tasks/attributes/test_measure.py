"""Figures beside scikit-learn's, unknown entries left out; thresholds by trying them all."""

import numpy as np
import pytest

from mobilenets.card import ModelCard
from mobilenets.errors import DataError
from mobilenets.tasks.attributes.measure import AttributeScores, evaluator
from mobilenets.tasks.attributes.measure.precision import (
    average_precision,
    best_threshold,
    resampled_precision,
)
from mobilenets.tasks.attributes.read import LOGITS, SCORES
from mobilenets.tasks.attributes.recipes.settings import AttributesObjective

NAMES = ("hat", "bag", "coat", "skirt", "boots", "scarf")
CARD = ModelCard("", {}, "attributes", NAMES, outputs=SCORES)


class Data:
    classes, notes = NAMES, ()


@pytest.fixture
def drawn():
    """Scores with ties, of 300 images, and marks of which a tenth is unknown."""
    random = np.random.default_rng(0)
    marks = (random.random((300, 6)) < [0.5, 0.2, 0.05, 0.7, 0.3, 0.4]).astype(np.int8)
    scores = np.round(np.clip(0.3 * marks + random.random((300, 6)) * 0.7, 0, 1), 2)
    marks[random.random((300, 6)) < 0.1] = -1
    return scores.astype(np.float32), marks


def counted(scores, marks, card=CARD, **how) -> AttributeScores:
    found = AttributeScores(NAMES, range(6), card, **how)
    for part in np.array_split(np.arange(len(scores)), min(len(scores), 4)):
        found.update({card.output.name: scores[part]}, list(marks[part]))
    return found


def known(scores, marks, k):
    there = marks[:, k] >= 0
    return scores[there, k], marks[there, k]


def test_average_precision_is_scikit_learns_without_the_unknown(drawn):
    from sklearn.metrics import average_precision_score

    scores, marks = drawn
    found = counted(scores, marks)
    expected = {}
    for k, name in enumerate(NAMES):
        values, wanted = known(scores, marks, k)
        expected[name] = average_precision_score(wanted, values)
        assert found.by_class()[name]["ap"] == pytest.approx(expected[name])
        assert found.by_class()[name]["images"] == len(wanted)
    results = dict(found.results())
    assert results["mean_ap"] == pytest.approx(np.mean(list(expected.values())))
    assert results["images"] == 300


def test_marks_at_a_half_are_as_right_as_scikit_learn_says(drawn):
    from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

    scores, marks = drawn
    results = dict(counted(scores, marks).results())
    columns = [known(scores, marks, k) for k in range(6)]
    seen = [(values >= 0.5).astype(int) for values, _ in columns]
    pairs = [(wanted, one) for (_, wanted), one in zip(columns, seen, strict=True)]
    assert results["mean_accuracy"] == pytest.approx(
        np.mean([balanced_accuracy_score(*pair) for pair in pairs])
    )
    assert results["f1"] == pytest.approx(np.mean([f1_score(*pair) for pair in pairs]))
    assert results["mean_accuracy_at_half"] == results["mean_accuracy"]
    whole = np.clip(scores.astype(float), 1e-12, 1)
    losses = [
        log_loss(marks[i][marks[i] >= 0], whole[i][marks[i] >= 0], labels=[0, 1])
        for i in range(len(marks))
        if (scores[i][marks[i] == 0] < 1).all() and (marks[i] >= 0).any()
    ]
    assert results["loss"] == pytest.approx(np.sum(losses) / 300, rel=0.02)


def test_figures_of_images_are_scikit_learns_samples(drawn):
    from sklearn.metrics import jaccard_score, precision_score, recall_score

    scores, marks = drawn
    marks = np.abs(marks)  # all known
    keep = ((scores >= 0.5).any(1)) & (marks.any(1))
    scores, marks = scores[keep], marks[keep]
    results = dict(counted(scores, marks).results())
    for name, peer in (
        ("instance_accuracy", jaccard_score),
        ("precision", precision_score),
        ("recall", recall_score),
    ):
        assert results[name] == pytest.approx(peer(marks, scores >= 0.5, average="samples"))
    p, r = results["precision"], results["recall"]
    assert results["instance_f1"] == pytest.approx(2 * p * r / (p + r))


def f1_score(wanted, seen) -> float:
    hits = np.sum(seen & (wanted == 1))
    return 2 * hits / (np.sum(seen) + np.sum(wanted == 1))


def test_thresholds_are_the_best_by_trying_every_one(drawn):
    scores, marks = drawn
    found = counted(scores, marks, choosing=True)
    kept = found.kept()["thresholds"]
    for k, name in enumerate(NAMES):
        values, wanted = known(scores, marks, k)
        best = max(f1_score(wanted, values >= t) for t in np.linspace(0, 1, 501))
        assert f1_score(wanted, values >= kept[name]) == pytest.approx(best)
    assert dict(found.results())["f1"] > dict(found.results())["f1_at_half"]
    assert best_threshold(np.zeros(3), np.zeros(3, bool)) == 0.5
    assert best_threshold(np.array([0.9, 0.8, 0.1]), np.array([True, True, False])) == 0.45


def test_in_training_thresholds_are_chosen_and_later_they_are_the_cards(drawn):
    scores, marks = drawn
    training = evaluator(CARD, Data(), AttributesObjective())
    training.update({"scores": scores}, list(marks))
    card = CARD.replace(kept=training.kept())
    later = evaluator(card, Data())
    later.update({"scores": scores}, list(marks))
    ours, theirs = dict(later.results()), dict(training.results())
    assert ours["f1"] == pytest.approx(theirs["f1"], abs=1e-3)  # thresholds have four digits
    assert ours["f1"] > dict(counted(scores, marks).results())["f1"]


def test_logits_and_scores_are_measured_alike(drawn):
    scores, marks = drawn
    scores = np.clip(scores, 0.01, 0.99)
    logits = np.log(scores / (1 - scores))
    as_logits = counted(logits, marks, CARD.replace(outputs=LOGITS))
    ours, theirs = dict(as_logits.results()), dict(counted(scores, marks).results())
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_parts_merge_to_the_whole(drawn):
    scores, marks = drawn
    whole, part = counted(scores, marks), counted(scores[:90], marks[:90])
    part.merge(counted(scores[90:], marks[90:]))
    assert dict(part.results()) == dict(whole.results())


def test_what_cannot_be_measured_is_named_and_left_out(drawn):
    scores, marks = drawn
    marks = marks.copy()
    marks[:, 2], marks[:, 3], marks[:, 4] = 0, 1, -1
    found = counted(scores, marks)
    assert list(found.by_class()) == ["hat", "bag", "scarf"]
    mean_ap = dict(found.results())["mean_ap"]
    assert (
        "3 attributes are not measured, the same on all images: coat, skirt, boots" in found.notes
    )
    mean = np.mean([one["ap"] for one in found.by_class().values()])
    assert mean_ap == pytest.approx(mean)
    whole = counted(*drawn)
    assert dict(whole.results())["images"] == 300
    assert whole.notes[0].startswith("the worst by average precision: coat ")


def test_resamples_weigh_images(drawn):
    scores, marks = drawn
    values, yes = scores[:, 0].astype(float), marks[:, 0] == 1
    times = np.random.default_rng(1).integers(0, 3, (7, 300)).astype(float)
    found = resampled_precision(values, yes, times)
    for row, one in zip(times.astype(int), found, strict=True):
        again = average_precision(np.repeat(values, row), np.repeat(yes, row))
        assert one == pytest.approx(again)
    sure = counted(scores, marks).intervals()
    low, high = sure.results["mean_ap"]
    assert low < dict(counted(scores, marks).results())["mean_ap"] < high
    assert set(sure.by_class) == set(NAMES)


def test_an_image_is_judged_by_its_known_marks(drawn):
    scores, marks = drawn
    scores, marks = scores[:2].copy(), marks[:2].copy()
    scores[0], marks[0] = [0.9, 0.1, 0.1, 0.8, 0.9, 0.1], [1, 0, 0, 1, -1, 0]
    scores[1], marks[1] = [0.9, 0.9, 0.1, 0.1, 0.1, 0.1], [1, 0, 0, 1, 0, -1]
    found = counted(scores, marks)
    first, second = (found.judge(i, 0.0) for i in range(2))
    assert (first.right, first.answer) == (True, "hat, skirt, boots")
    assert (second.right, second.truth, second.figures["wrong"]) == (False, "hat, skirt", 2)
    assert first.order > second.order
    told = {(c.truth, c.answer): (c.times, c.share) for c in found.confusions(0.0)}
    assert told == {("skirt", "not skirt"): (1, 0.5), ("not bag", "bag"): (1, 0.5)}
    assert [one.label for one in found.truth(marks[1])] == ["hat", "skirt"]


def test_groups_are_seen_one_at_a_time():
    kept = {"groups": [["hat", "bag"]], "thresholds": {"hat": 0.99, "coat": 0.2}}
    scores = np.float32([[0.4, 0.3, 0.3, 0, 0, 0], [0.1, 0.2, 0.1, 0, 0, 0]])
    found = counted(scores, np.zeros((2, 6), np.int8), CARD.replace(kept=kept))
    seen = found.seen(found.thresholds)
    np.testing.assert_array_equal(seen[:, :3], [[1, 0, 1], [0, 1, 0]])


def test_attributes_of_another_model_are_refused():
    with pytest.raises(DataError, match="hat"):
        evaluator(ModelCard("", labels=("cat", "dog"), outputs=SCORES), Data())


def test_the_figure_names_every_attribute(drawn, tmp_path):
    figure = counted(*drawn).figure()
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert set(names) == set(NAMES)
    figure.savefig(tmp_path / "figure.png", dpi=40)
    AttributeScores(NAMES, range(6), CARD).figure().savefig(tmp_path / "empty.png", dpi=40)
