"""`eval --save-dir`: the worst images beside the truth, and a table of every one."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.evaluation import MeasuredPart, evaluate
from mobilenets.review import check_folder, write_review
from mobilenets.review.judged import Review
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.formats.shapes import ShapeObjects
from mobilenets.tasks.detect.measure import AveragePrecision
from mobilenets.tasks.detect.read import DETECTIONS
from mobilenets.tasks.registry import tasks
from mobilenets.tasks.segment.formats.shapes import ShapeMasks
from mobilenets.tasks.segment.read import CLASSES as MASKS
from mobilenets.tasks.values import Confused


def card_for(use, labels, side, outputs):
    size = Preprocessing((side, side), "squash" if use == "detect" else "pad")
    return ModelCard("", task=use, labels=labels, preprocessing=size, outputs=outputs)


def rows_of(folder):
    with (folder / "images.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def reviewed(session, dataset, use, folder, drawn=50, threshold=0.4):
    task = tasks()[use]
    found = evaluate(session, dataset, task, indices=range(12))
    measured = MeasuredPart.on("shapes", "val", dataset, 12)
    review = Review(found, dataset, measured, threshold)
    write_review(review, session, task, folder, drawn)
    return review, rows_of(folder)


@pytest.fixture
def photos(tmp_path):
    """Folders of classes, a file's name with a comma, one that is no picture."""
    folder = tmp_path / "photos"
    for k, name in enumerate(("heart", "star")):
        (folder / name).mkdir(parents=True)
        for i in range(3):
            colour = (40 * i, 90 * k, 90)
            Image.new("RGB", (40, 30), colour).save(folder / name / f"a, b {i}.png")
    (folder / "star" / "a, b 2.png").write_bytes(b"nothing")
    return folder


def test_a_classifiers_images_in_a_table_and_on_a_page(call, checkpoint, photos, tmp_path):
    where = tmp_path / "wrong"
    words = ("eval", checkpoint, photos, "--split", "all", "--save-dir", where, "--worst", 2)
    ran = call(*words, "--json")
    assert ran.status == 0, ran.err
    found = json.loads(ran.out)
    assert found["measured"] == {
        "data": str(photos),
        "split": "all",
        "part": "all that there are",
        "images": 5,
        "of": 6,
    }
    assert set(found["intervals"]["top1"]) == {"low", "high"}
    rows = rows_of(where)
    assert len(rows) == 6
    assert {row["image"] for row in rows} == {
        f"{c}/a, b {i}.png" for c in ("heart", "star") for i in range(3)
    }
    assert rows[-1]["result"] == "not read"
    assert "a, b 2.png" in rows[-1]["error"]
    measured = rows[:-1]
    assert [row["rank"] for row in measured] == list("12345")
    wrong = [row for row in measured if row["result"] == "wrong"]
    assert measured[: len(wrong)] == wrong
    assert len(wrong) == found["saved"]["wrong"] == round(5 * (1 - found["top1"]))
    losses = [float(row["loss"]) for row in wrong]
    assert losses == sorted(losses, reverse=True)
    assert np.mean([float(row["loss"]) for row in measured]) == pytest.approx(
        found["loss"], rel=1e-4
    )
    assert all(row["truth"] == row["image"].split("/")[0] for row in measured)
    assert {(row["data"], row["split"]) for row in rows} == {(str(photos), "all")}
    assert (where / "images.csv").read_bytes().count(b"\r\n") == 7
    drawn = sorted(path.name for path in (where / "worst").iterdir())
    assert drawn == [row["picture"] for row in rows[:2]]
    assert drawn[0].startswith("001-a_b_")
    page = (where / "index.html").read_text(encoding="utf-8")
    assert page.count("<figure") == 2
    assert "2 of 5 images, the worst first" in page
    assert f"measured on 5 of 6 images: all that there are; {photos}, all" in page
    assert "1 image could not be read" in page
    # Once more, of fewer: what was drawn before is gone.
    ran = call(*words[:-1], 1)
    assert "1 image is drawn, the worst first" in ran.out
    assert "5 of 6 images" in ran.err
    assert len(list((where / "worst").iterdir())) == 1


def test_a_folder_of_someone_elses_is_left_alone(call, checkpoint, photos, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "index.html").write_text("<p>my page")
    ran = call("eval", checkpoint, photos, "--save-dir", mine)
    assert ran.status == 2
    assert "save_dir must be a new folder or one that eval wrote" in ran.err
    assert (mine / "index.html").read_text() == "<p>my page"
    drawings = tmp_path / "drawings" / "worst"
    drawings.mkdir(parents=True)
    (drawings / "2024-holiday.jpg").write_bytes(b"mine")  # named as a review's pictures are
    assert call("eval", checkpoint, photos, "--save-dir", drawings.parent).status == 2
    assert (drawings / "2024-holiday.jpg").read_bytes() == b"mine"
    ran = call("eval", checkpoint, photos, "--split", "all", "--save-dir", photos / "heart")
    assert ran.status == 2
    assert "save_dir must be another folder than the images'" in ran.err
    ran = call("eval", checkpoint, photos, "--threshold", 0.5)
    assert "threshold is for --save-dir" in ran.err


class Blind:
    """A detector that sees all but hearts, takes rings for stars, and a circle too many."""

    note = ""

    def __init__(self):
        self.data = ShapeObjects("val")
        names = self.data.classes
        self.heart, self.ring, self.star = map(names.index, ("heart", "ring", "star"))
        self.card = card_for("detect", names, 32, DETECTIONS)
        self.first = {}
        for i in range(12):
            image = self.data.image(i)
            self.first[self.key(image)] = i

    def key(self, image):
        return preprocess(image, self.card.preprocessing).tobytes()

    def __call__(self, batch):
        found = np.zeros((len(batch), 100, 6), np.float32)
        for rows, one in zip(found, batch, strict=True):
            there = self.data.target(self.first[one.tobytes()])
            known = there.labels != self.heart
            labels = np.where(there.labels == self.ring, self.star, there.labels)[known]
            boxes = there.boxes[known] / self.data.size
            rows[: len(boxes)] = np.column_stack([boxes, np.full(len(boxes), 0.9), labels])
        return {"detections": found}


def test_a_detectors_images_are_counted_one_by_one(tmp_path):
    session = Blind()
    review, rows = reviewed(session, session.data, "detect", tmp_path / "out", drawn=3)
    assert len(rows) == 12
    for row in rows:
        number = int(row["image"].split("/")[-1])
        labels = session.data.target(number).labels
        rings, hearts = (labels == session.ring).sum(), (labels == session.heart).sum()
        assert int(row["missed"]) == rings + hearts
        assert int(row["too_many"]) == rings
        assert int(row["found"]) == len(labels) - rings - hearts
        assert (row["result"] == "right") == (rings + hearts == 0)
    mistakes = [int(row["missed"]) + int(row["too_many"]) for row in rows]
    assert mistakes == sorted(mistakes, reverse=True)
    every = np.concatenate([session.data.target(i).labels for i in range(12)])
    rings, hearts = int((every == session.ring).sum()), int((every == session.heart).sum())
    pairs = {(one.truth, one.answer): one for one in review.evaluator.confusions(0.4)}
    assert pairs["ring", "star"] == Confused("ring", "star", rings, 1.0)
    assert pairs["heart", "nothing"] == Confused("heart", "nothing", hearts, 1.0)
    assert set(pairs) == {("ring", "star"), ("ring", "nothing"), ("heart", "nothing")}
    assert {one.truth for one in review.evaluator.confusions(0.95)} == set(session.data.classes)
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert "What is taken for what" in page
    assert page.count("<figure class=wrong>") == 3
    pictures = sorted((tmp_path / "out" / "worst").iterdir())
    assert [path.name for path in pictures] == [row["picture"] for row in rows[:3]]
    with Image.open(pictures[0]) as picture:
        assert picture.width > 2 * picture.height * 0.8


def test_crowds_and_difficult_objects_are_no_mistakes_and_are_marked():
    card = card_for("detect", ("a", "b"), 32, DETECTIONS)
    metrics = AveragePrecision(card, ("b", "a"), np.zeros((0, 4), np.float32), None)
    boxes = [[0, 0, 50, 50], [60, 0, 110, 50], [120, 0, 170, 50]]
    true = Objects.of(boxes, [0, 0, 1], crowd=[False, True, False], difficult=[False, False, True])
    outputs = np.zeros((1, 100, 6), np.float32)
    outputs[0, 0] = [0, 0, 0.25, 0.5, 0.8, 1]
    metrics.update({"detections": outputs}, [true], [(200, 100)])
    found = metrics.judge(0, 0.4)
    assert (found.right, found.truth, found.answer) == (True, "1 b", "1 b")
    assert metrics.judge(0, 0.9).figures == {"found": 0, "missed": 1, "too_many": 0, "f1": 0}
    assert [one.label for one in metrics.truth(true)] == ["b", "b (crowd)", "a (difficult)"]
    assert [one.index for one in metrics.truth(true)] == [1, 1, 0]


class Half:
    """A network that sees background alone in the right half."""

    note = ""

    def __init__(self):
        self.data = ShapeMasks("val")
        self.masks = {}
        self.card = card_for("segment", self.data.classes, self.data.size, MASKS)
        for i in range(12):
            self.masks[self.key(self.data.image(i))] = self.data.target(i)

    key = Blind.key

    def __call__(self, batch):
        masks = np.stack([self.masks[one.tobytes()] for one in batch]).copy()
        masks[:, :, masks.shape[2] // 2 :] = 0
        return {"classes": masks}


def test_a_segmentations_overlap_of_each_image(tmp_path):
    """Beside scikit-learn's Jaccard index of the same pixels."""
    from sklearn.metrics import jaccard_score

    session = Half()
    review, rows = reviewed(session, session.data, "segment", tmp_path / "out", drawn=2)
    for row in rows:
        truth = session.data.target(int(row["image"].split("/")[-1]))
        seen = truth.copy()
        seen[:, truth.shape[1] // 2 :] = 0
        labels = np.unique(truth)
        expected = jaccard_score(truth.ravel(), seen.ravel(), labels=labels, average="macro")
        assert float(row["miou"]) == pytest.approx(expected, rel=1e-5)
        assert float(row["pixel_accuracy"]) == pytest.approx((truth == seen).mean(), rel=1e-5)
    assert [row["result"] for row in rows] == sorted((row["result"] for row in rows), reverse=True)
    overlaps = [float(row["miou"]) for row in rows if row["result"] == "wrong"]
    assert overlaps == sorted(overlaps)
    pairs = review.evaluator.confusions(0.0)
    assert {one.answer for one in pairs} == {"background"}
    assert len(list((tmp_path / "out" / "worst").iterdir())) == 2


def test_a_page_of_another_program_is_not_replaced(tmp_path):
    (tmp_path / "images.csv").write_text("mine")
    with pytest.raises(ValueError, match="has files of its own"):
        check_folder(tmp_path, ShapeObjects("val"), [0])
