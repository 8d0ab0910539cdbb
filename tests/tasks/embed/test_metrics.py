"""Figures of retrieval and of pairs beside pytorch-metric-learning, scikit-learn and slow twins."""

import numpy as np
import pytest
import torch

from mobilenets.tasks.embed.measure import neighbours
from mobilenets.tasks.embed.measure.neighbours import nearest
from mobilenets.tasks.embed.measure.pairs import Histogram, accepted, accuracy, best_threshold
from mobilenets.tasks.embed.measure.retrieval import same_set, search
from mobilenets.tasks.embed.measure.revisited import PROTOCOLS, QueryTruth, revisited


def unit(random, *shape):
    vectors = random.normal(size=shape).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


@pytest.fixture(params=[1 << 24, 1 << 9], ids=["at once", "in blocks"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(neighbours, "CELLS", request.param)


@pytest.mark.parametrize("seed", range(2))
def test_same_set_is_what_pytorch_metric_learning_measures(blocks, seed):
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    random = np.random.default_rng(seed)
    labels = np.concatenate([random.integers(0, 13, 150), [13, 14]])  # two are alone
    vectors = unit(random, 152, 6) + 0.7 * unit(random, 15, 6)[labels]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    knn = CustomKNN(CosineSimilarity())
    theirs = AccuracyCalculator(names, k="max_bin_count", device=torch.device("cpu"), knn_func=knn)
    expected = theirs.get_accuracy(vectors, labels)
    found = same_set(vectors, labels)
    assert np.isnan(found.r_precision[-2:]).all()
    ours = [np.nanmean(found.recall[:, 0]), np.nanmean(found.r_precision)]
    ours.append(np.nanmean(found.precision))
    assert ours == pytest.approx([expected[name] for name in names], abs=1e-6)


def test_recall_at_k_is_its_definition(blocks):
    random = np.random.default_rng(3)
    labels = random.integers(0, 20, 90)
    vectors = unit(random, 90, 4)
    found = same_set(vectors, labels).recall
    for i in range(90):
        others = [j for j in range(90) if j != i]
        others.sort(key=lambda j: -float(vectors[i] @ vectors[j]))
        if (labels == labels[i]).sum() > 1:
            hits = [labels[j] == labels[i] for j in others]
            assert found[i].tolist() == [float(any(hits[:k])) for k in (1, 2, 4, 8)]


def test_of_equal_cosines_the_first_is_nearest_and_nobody_is_its_own_answer(blocks):
    vectors = np.repeat(unit(np.random.default_rng(0), 1, 3), 6, 0)
    found = same_set(vectors, np.array([0, 1, 0, 1, 0, 1]))
    assert found.nearest.tolist() == [1, 0, 0, 0, 0, 0]
    assert found.recall[:, 0].tolist() == [0, 0, 1, 0, 1, 0]
    cosines = np.random.default_rng(1).integers(0, 4, (40, 30)).astype(np.float32)
    for k in (1, 5, 29, 30, 31):
        expected = np.argsort(-cosines, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(nearest(cosines, k), expected)


def slow_search(queries, wanted, gallery, labels, own):
    """CMC and AP@100 of each query, one answer after the other."""
    figures = []
    for i, query in enumerate(queries):
        order = [j for j in np.argsort(-(gallery @ query), kind="stable") if j != own[i]]
        relevant = sum(labels[j] == wanted[i] for j in order)
        if not relevant:
            figures.append([np.nan] * 4)
            continue
        right, total = 0, 0.0
        for place, j in enumerate(order[:100], 1):
            if labels[j] == wanted[i]:
                right += 1
                total += right / place
        hits = [any(labels[j] == wanted[i] for j in order[:k]) for k in (1, 5, 10)]
        figures.append([*hits, total / min(relevant, 100)])
    return np.array(figures, float)


@pytest.mark.parametrize("size", [9, 150])
def test_a_gallery_is_searched_as_the_slow_twin_does(blocks, size):
    random = np.random.default_rng(size)
    gallery, labels = unit(random, size, 5), random.integers(0, 4, size)
    queries, wanted = unit(random, 12, 5), random.integers(0, 5, 12)
    own = np.full(12, -1)
    queries[3], wanted[3], own[3] = gallery[7], labels[7], 7  # it is in both
    found = search(queries, wanted, gallery, labels, own)
    expected = slow_search(queries, wanted, gallery, labels, own)
    np.testing.assert_allclose(np.column_stack(found), expected, atol=1e-6)


def test_pairs_are_told_apart_in_folds_as_lfw_does():
    random = np.random.default_rng(0)
    same = np.tile([True, False], 300)
    cosines = random.normal(0.2 + 0.3 * same, 0.2)
    folds = np.repeat(np.arange(10), 60)
    found = []
    for fold in range(10):
        rest = folds != fold
        grid = np.unique(cosines[rest])
        right = [((cosines[rest] >= t) == same[rest]).mean() for t in grid]
        best = grid[int(np.argmax(right))]
        found.append(((cosines[folds == fold] >= best) == same[folds == fold]).mean())
    mean, error = accuracy(cosines, same, folds)
    assert mean == pytest.approx(np.mean(found), abs=4e-3)  # a threshold between two or on one
    assert error == pytest.approx(np.std(found, ddof=1) / 10**0.5, abs=2e-3)
    assert accuracy(cosines, same, np.zeros(600, int))[1] == 0


def test_the_best_threshold_is_right_most_often():
    random = np.random.default_rng(0)
    for _ in range(50):
        cosines, same = random.integers(0, 9, 20) / 9, random.random(20) < 0.5
        found = ((cosines >= best_threshold(cosines, same)) == same).sum()
        assert found == max(((cosines >= t) == same).sum() for t in np.linspace(-0.05, 1.05, 111))


@pytest.mark.parametrize("rate", [0.3, 0.01, 0.003])
def test_true_accepts_at_false_accepts_are_on_scikit_learns_curve(rate):
    from sklearn.metrics import roc_curve

    random = np.random.default_rng(0)
    same = random.random(2000) < 0.4
    cosines = np.clip(random.normal(0.1 + 0.4 * same, 0.2), -1, 1)
    false, true, _ = roc_curve(same, cosines, drop_intermediate=False)
    one = accepted(cosines, same, rate)
    assert one is not None
    assert one.rate == pytest.approx(true[false <= rate].max())
    assert (cosines[~same] >= one.threshold).mean() <= rate
    counted = Histogram()
    for part in np.array_split(np.arange(2000), 3):
        counted.add(cosines[part], same[part])
    other = counted.accepted(rate)
    assert other is not None
    assert other.rate == pytest.approx(one.rate, abs=3e-3)
    assert other.threshold == pytest.approx(one.threshold, abs=1e-2)
    assert (cosines[~same] >= other.threshold).mean() <= rate


def test_a_rate_that_too_few_pairs_can_show_has_no_threshold():
    same = np.array([True] + [False] * 99)
    cosines = np.linspace(1, 0, 100)
    assert accepted(cosines, same, 0.001) is None
    assert Histogram().accepted(0.1) is None


def published_rule(ranks, truths, sought, passed):
    """The authors' `compute_map`: ranks from 0, one image after another."""
    values = []
    for places, truth in zip(ranks, truths, strict=True):
        ok = {i for kind in sought for i in getattr(truth, kind)}
        junk = {i for kind in passed for i in getattr(truth, kind)}
        if not ok:
            continue
        area, ignored, hits = 0.0, 0, 0
        for rank, image in enumerate(places):
            if image in junk:
                ignored += 1
            elif image in ok:
                at = rank - ignored
                first = 1.0 if at == 0 else hits / at
                area += (first + (hits + 1) / (at + 1)) / (2 * len(ok))
                hits += 1
        values.append(area)
    return float(np.mean(values))


def test_revisited_oxford_is_the_published_rule():
    random = np.random.default_rng(0)
    truths, order = [], []
    for _ in range(12):
        kinds = random.integers(0, 8, 60)  # most images are none of the query's
        truths.append(QueryTruth(*(tuple(np.flatnonzero(kinds == k).tolist()) for k in range(3))))
        order.append(random.permutation(60))
    truths[4] = truths[4]._replace(hard=())
    found = {n: np.nanmean(v) for n, v in revisited(np.array(order), truths)}
    for name, sought, passed in PROTOCOLS:
        expected = published_rule(order, truths, sought, passed)
        assert found[f"map_{name}"] == pytest.approx(expected)
    first = [order[k][~np.isin(order[k], truths[k].junk)][0] for k in range(12)]
    hits = [i in truths[k].easy + truths[k].hard for k, i in enumerate(first)]
    assert found["mp@1_medium"] == pytest.approx(np.mean(hits))
    best = QueryTruth((0, 1), (2,), (3,))
    perfect = {n: v[0] for n, v in revisited(np.array([[3, 0, 1, 2, 4, 5]]), [best])}
    assert perfect["map_medium"] == perfect["map_easy"] == perfect["map_hard"] == 1
    assert perfect["mp@5_easy"] == 1  # two answers are enough to find both
