"""What each query finds: beside slow twins, in `eval --save-dir`, and how sure figures are."""

import csv

import numpy as np
import pytest
from PIL import Image
from tests.tasks.embed.test_metrics import unit

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.evaluation import MeasuredPart, evaluate
from mobilenets.review import write_review
from mobilenets.review.judged import Review
from mobilenets.tasks.embed.formats.targets import Sought
from mobilenets.tasks.embed.measure import Retrieval, neighbours
from mobilenets.tasks.embed.measure import found as module
from mobilenets.tasks.embed.measure.found import sureness
from mobilenets.tasks.embed.measure.revisited import QueryTruth
from mobilenets.tasks.embed.read import VECTORS
from mobilenets.tasks.intervals import interval, resamples
from mobilenets.tasks.registry import tasks

CARD = ModelCard("", task="embed", outputs=VECTORS, preprocessing=Preprocessing((8, 8)))


class Few:
    """A data set of names alone."""

    def __init__(self, classes, truths=()):
        self.classes, self.truths = classes, truths


def retrieval(vectors, targets, classes, truths=()):
    found = Retrieval(CARD, Few(classes, truths))
    for i in range(0, len(targets), 7):
        found.update({"embedding": vectors[i : i + 7]}, targets[i : i + 7])
    return found


@pytest.fixture(params=[1 << 24, 1 << 7], ids=["at once", "in blocks"])
def blocks(request, monkeypatch):
    monkeypatch.setattr(neighbours, "CELLS", request.param)
    monkeypatch.setattr(module, "CELLS", request.param)


@pytest.mark.parametrize("roles", [("",), ("query", "gallery", "")], ids=["one set", "gallery"])
def test_each_query_finds_what_a_sorted_list_has_first(blocks, roles):
    random = np.random.default_rng(5)
    labels = [*random.integers(0, 6, 40).tolist(), 6]  # one is alone in its class
    chosen = [roles[i % len(roles)] for i in range(41)]
    vectors = np.round(unit(random, 41, 3) * 4) / 4  # with equal cosines
    targets = [Sought(k, i, role) for i, (k, role) in enumerate(zip(labels, chosen, strict=True))]
    found = retrieval(vectors, targets, list("abcdefg"))
    wrong = 0
    for i in range(41):
        there = [j for j in range(41) if j != i and chosen[j] != "query"]
        there.sort(key=lambda j: -float(vectors[i] @ vectors[j]))
        ranks = [k for k, j in enumerate(there, 1) if labels[j] == labels[i]]
        verdict = found.judge(i, 0.0)
        assert verdict.truth == "abcdefg"[labels[i]]
        if chosen[i] == "gallery" or not ranks:
            assert verdict.right
            assert verdict.order == np.inf
            assert np.isnan(verdict.figures["rank_of_right"])
            assert (found.found(i) is None) == (chosen[i] == "gallery")
            continue
        assert found.found(i) == there[0]
        assert verdict.answer == "abcdefg"[labels[there[0]]]
        assert verdict.right == (ranks[0] == 1)
        assert verdict.figures["rank_of_right"] == ranks[0]
        assert verdict.score == pytest.approx(float(vectors[i] @ vectors[there[0]]), abs=1e-6)
        others = [float(vectors[i] @ vectors[j]) for j in there if labels[j] != labels[i]]
        margin = float(vectors[i] @ vectors[there[ranks[0] - 1]]) - max(others)
        assert verdict.order == pytest.approx(margin, abs=1e-6)
        wrong += not verdict.right
    results = dict(found.results())
    assert results["recall@1"] == pytest.approx(1 - wrong / results["queries"])
    pairs = found.confusions(0.0)
    assert sum(pair.times for pair in pairs) == wrong
    assert all(pair.truth != pair.answer for pair in pairs)


def test_a_truth_of_its_own_says_what_is_right(blocks):
    vectors = np.eye(6, dtype=np.float32)[[0, 1, 2, 3, 0, 1]] + 0.1
    truths = (QueryTruth((1,), (2,), (0,)), QueryTruth((), (3,), ()))
    targets = [Sought(0, i, "query" if i > 3 else "gallery") for i in range(6)]
    found = retrieval(vectors, targets, (), truths)
    assert found.found(4) == 1  # image 0 is junk
    assert found.judge(4, 0.0)[:3] == ("2 to be found", "one that is to be found", True)
    assert found.judge(5, 0.0)[:3] == ("1 to be found", "another one", False)
    assert found.judge(0, 0.0).answer == "is looked for by nobody"
    assert found.confusions(0.0) == []
    results = dict(found.results())
    assert results["recall@1"] == 0.5
    sure = found.intervals()
    assert "of 2 queries" in sure.how
    assert sure.results["recall@1"].low <= 0.5 <= sure.results["recall@1"].high


def test_intervals_are_those_of_classes_drawn_again(monkeypatch):
    random = np.random.default_rng(2)
    bundles = random.integers(0, 9, 60)
    values = random.uniform(size=60)
    values[::7] = np.nan
    found = sureness({"figure": values, "none": np.full(60, np.nan)}, bundles)
    means = []
    for often in resamples(9).astype(int):
        drawn = [v for k in range(9) for v in values[bundles == k].tolist() * often[k]]
        means.append(np.nanmean(drawn))
    expected = interval(float(np.nanmean(values)), np.array(means), 9)
    assert found["figure"] == pytest.approx(expected)
    assert found["none"] is None


def test_classes_that_are_right_and_wrong_as_a_whole_say_less_than_as_many_images():
    labels = np.repeat(np.arange(10), 20)
    right = (labels < 5).astype(float)
    by_class, by_image = (
        sureness({"figure": right}, bundles)["figure"] for bundles in (labels, np.arange(200))
    )
    assert by_class.high - by_class.low > 3 * (by_image.high - by_image.low)


class Folders:
    """Pictures of colours in two classes, one of which looks like the other."""

    classes = ("blue", "red")
    origin = "all"
    COLOURS = ((0, 0, 250), (20, 0, 230), (250, 0, 0), (230, 30, 0), (10, 0, 240))
    LABELS = (0, 0, 1, 1, 1)

    def __len__(self):
        return 5

    def image(self, i):
        return Image.new("RGB", (400, 400), self.COLOURS[i])

    def target(self, i):
        return Sought(self.LABELS[i], i, "")

    def name(self, i):
        return f"{self.classes[self.LABELS[i]]}/{i}.png"


def colours(batch):
    """A session: the mean colour as a vector."""
    mean = batch.mean(axis=(2, 3)) + 1.01
    return {"embedding": mean / np.linalg.norm(mean, axis=1, keepdims=True)}


def test_the_worst_queries_are_drawn_beside_what_was_found(tmp_path):
    session = type("Colours", (), {"card": CARD, "__call__": staticmethod(colours)})()
    task, data = tasks()["embed"], Folders()
    found = evaluate(session, data, task)
    review = Review(found, data, MeasuredPart.on("colours", "all", data, 5), 0.0)
    assert review.line == "3 of 5 images wrong"
    write_review(review, session, task, tmp_path, 2)
    with (tmp_path / "images.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["result"] for row in rows] == ["wrong"] * 3 + ["right"] * 2
    assert rows[0]["image"] == "red/4.png"
    assert (rows[0]["truth"], rows[0]["answer"]) == ("red", "blue")
    assert float(rows[0]["rank_of_right"]) == 3
    picture = np.asarray(Image.open(tmp_path / "worst" / rows[0]["picture"]).convert("RGB"))
    left, right = (picture[200, x].astype(int) for x in (200, 600))
    assert np.abs(left - Folders.COLOURS[4]).max() < 8
    assert np.abs(right - Folders.COLOURS[found.evaluator.found(4)]).max() < 8
    assert found.evaluator.found(4) in (0, 1)
    assert len(list((tmp_path / "worst").iterdir())) == 2
    assert "truth: red" in (tmp_path / "index.html").read_text("utf-8")
