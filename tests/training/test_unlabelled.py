"""Learning from a teacher on images without labels: what is learned, measured, kept and resumed."""

import csv
import json

import numpy as np
import pytest
import torch

import mobilenets
from mobilenets.card import ModelCard, Preprocessing, card_of
from mobilenets.data.shapes import Shapes
from mobilenets.errors import DataError
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.registry import tasks
from mobilenets.training.taught.agreement import TeachersAnswers
from mobilenets.training.taught.images import BothKinds, open_unlabelled
from mobilenets.training.taught.lesson import Lesson
from mobilenets.training.taught.teacher import larger, open_teacher
from mobilenets.training.taught.use import TaughtTask
from mobilenets.weights.sources.own import save
from tests.interrupted import stopped_before
from tests.quick import shake_norms
from tests.small import of_shapes

CLASSIFY = tasks()["classify"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Forty pictures without labels, two in a folder of their own, and what is no picture."""
    root = tmp_path_factory.mktemp("photos")
    (root / "more").mkdir()
    shapes = Shapes(64)
    for i in range(40):
        shapes.image(i).save(root / ("more" if i < 2 else "") / f"{i}.png")
    (root / "notes.txt").write_text("nothing")
    return root


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Twenty-four labelled pictures, in eight classes."""
    root = tmp_path_factory.mktemp("labelled")
    shapes = Shapes(64, split="val")
    for i in range(24):
        (root / shapes.classes[i % 8]).mkdir(exist_ok=True)
        shapes.image(i).save(root / shapes.classes[i % 8] / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A network that has seen nothing, at 64 pixels; its answers differ from image to image."""
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    model = shake_norms(of_shapes(64))
    with torch.no_grad():
        model.classifier.weight.normal_(0, 0.5)
    save(model, path)
    return path


def words(folder, teacher, output, *more):
    return (
        *("train", "mobilenet_v1", "--width", 0.25, "--unlabelled", folder, "--teacher", teacher),
        *("--output", output, "--resolution", 48, "--epochs", 2, "--batch-size", 12),
        *("--workers", 0, "--recipe", "finetune", "--json", *more),
    )


def test_a_folder_is_parted_by_names_and_nothing_is_known_of_its_images(folder):
    learned, held = open_unlabelled(folder, ("a", "b"), -1, hold=True)
    assert (len(learned), len(held)) == (36, 4)
    assert not {*learned.files} & {*held.files}
    assert "more/0.png" in {*learned.files, *held.files}
    assert learned.target(0) == -1
    again, _ = open_unlabelled(folder, ("a", "b"), -1, hold=True)
    assert again.files == learned.files
    whole, none = open_unlabelled(folder, ("a", "b"), -1, hold=False)
    assert (len(whole), len(none)) == (40, 0)


def test_what_is_no_folder_of_images_is_refused(tmp_path):
    with pytest.raises(DataError, match="unlabelled must be a folder of images"):
        open_unlabelled(tmp_path / "none", (), -1, hold=True)
    with pytest.raises(DataError, match="0 images without labels; two are needed"):
        open_unlabelled(tmp_path, (), -1, hold=True)
    Shapes(32).image(0).save(tmp_path / "one.png")
    with pytest.raises(DataError, match="1 image without labels; two are needed"):
        open_unlabelled(tmp_path, (), -1, hold=True)
    assert len(open_unlabelled(tmp_path, (), -1, hold=False)[0]) == 1


def test_labelled_ones_come_first(folder):
    learned, _ = open_unlabelled(folder, Shapes(32).classes, -1, hold=False)
    both = BothKinds(Shapes(32, length=5), learned)
    assert len(both) == 45
    assert [both.target(i) for i in (0, 4, 5, 44)] == [0, 4, -1, -1]
    assert both.name(5) == learned.name(0)
    assert both.image(5).size == (64, 64)


def test_agreement_is_one_for_the_same_answers_and_falls_with_the_difference():
    torch.manual_seed(0)
    logits = torch.randn(5, 4)
    for name in ("classify", "attributes"):
        teach = tasks()[name].teach
        torch.testing.assert_close(teach.agreement(logits, logits), torch.ones(5))
    found = CLASSIFY.teach.agreement(torch.tensor([[0.0, 0.0]]), torch.tensor([[100.0, 0.0]]))
    assert float(found) == pytest.approx(0.5)
    found = tasks()["attributes"].teach.agreement(torch.zeros(1, 2), torch.tensor([[100.0, 0.0]]))
    assert float(found) == pytest.approx(0.75)


def test_the_teacher_sees_validation_images_as_it_was_made_to(folder, teacher):
    opened = open_teacher(str(teacher))
    _, held = open_unlabelled(folder, opened.labels(CLASSIFY), -1, hold=True)
    answers = TeachersAnswers(held, opened)
    session = mobilenets.open(teacher).session
    from mobilenets.runtime.preprocess import preprocess

    for i in range(len(held)):
        batch = preprocess(held.image(i), opened.preprocessing)[None]
        np.testing.assert_allclose(answers.target(i), session(batch)["logits"][0], atol=1e-4)


@pytest.mark.parametrize(
    ("own", "student", "expected"),
    [((64, 64), (48, 48), (64, 64)), ((64, 64), (64, 64), None), ((64, 64), (96, 48), None)],
)
def test_images_are_read_at_the_teachers_size_where_that_is_larger(own, student, expected, teacher):
    assert larger(Preprocessing(own), Preprocessing(student)) == expected
    card = ModelCard("x", labels=Shapes(32).classes, preprocessing=Preprocessing(student))
    lecturer = open_teacher(str(teacher)).of(CLASSIFY, card, shrink=True)
    images = torch.rand(2, 3, *(expected or student))
    assert lecturer.shown(images).shape == (2, 3, *student)
    task = TaughtTask(CLASSIFY, -1, 0.0, measured=True, shown=expected)
    transform = task.learn.transform(card, CLASSIFY.recipes.RECIPES["finetune"]().augmentation)
    image, target = transform(Shapes(64).image(0), -1)
    assert image.shape == (3, *(expected or student))
    assert int(target) == -1


def test_labels_count_where_there_are_any_however_a_batch_is_parted():
    torch.manual_seed(0)
    logits, targets = torch.randn(8, 3), torch.tensor([0, -1, 2, -1, -1, 1, -1, -1])
    task = TaughtTask(CLASSIFY, -1, 3 / 8, measured=True, shown=None)
    objective = CLASSIFY.recipes.RECIPES["paper_v1"]().objective
    loss = task.learn.criterion(ModelCard("x"), objective)
    known = targets >= 0
    expected = torch.nn.functional.cross_entropy(logits[known], targets[known])
    torch.testing.assert_close(loss(logits, targets), expected)
    halves = [loss(logits[part], targets[part]) for part in (slice(0, 4), slice(4, 8))]
    weights = [task.learn.weight(targets[part]) for part in (slice(0, 4), slice(4, 8))]
    assert weights[0] == weights[1] == 4
    torch.testing.assert_close((halves[0] + halves[1]) / 2, expected)
    assert float(loss(logits, torch.full((8,), -1))) == 0
    assert task.learn.mixer(None, 3) is None


def test_the_loss_is_the_teachers_alone_or_a_mix():
    torch.manual_seed(0)
    student, teacher = torch.nn.Flatten(), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.ReLU())
    images, targets = torch.randn(4, 3, 1, 1), torch.tensor([0, 1, 2, 0])

    def loss(share):
        recipe = Recipe("x", 1, 4, 0.1, teacher_weight=share, teacher_temperature=3.0)
        from contextlib import nullcontext

        criterion = torch.nn.CrossEntropyLoss() if share < 1 else None  # not asked for
        return Lesson(CLASSIFY, recipe, criterion, teacher, nullcontext)(student, images, targets)

    alone = CLASSIFY.teach.distillation_loss(student(images), teacher(images), 3.0)
    torch.testing.assert_close(loss(1.0), alone)
    labels = torch.nn.functional.cross_entropy(student(images), targets)
    torch.testing.assert_close(loss(0.25), 0.75 * labels + 0.25 * alone)


def test_without_labels_it_comes_nearer_to_its_teacher_and_resumes(
    folder, teacher, call, no_curves, tmp_path
):
    run = tmp_path / "run"
    asked = words(folder, teacher, run, "--learning-rate", 0.02)
    with stopped_before(1):
        ran = call(*asked)
    assert ran.status == 1
    assert "36 images without labels, learned by the outputs of" in ran.err
    assert "the teacher looks at 4 images held out for validation" in ran.err
    said = "picked by agreement on 4 images: the teacher's answers on images held out of 40 without"
    assert said in ran.err
    ran = call("train", "--resume", run, "--json")
    assert ran.status == 0, ran.err
    rows = list(csv.DictReader((run / "log.csv").read_text().splitlines()))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert json.loads(ran.out)["agreement"] == pytest.approx(
        max(float(row["agreement"]) for row in rows)
    )
    card = card_of(mobilenets.load(run / "best.safetensors"))
    assert card.labels == Shapes(32).classes
    assert card.preprocessing.size == (48, 48)
    assert card.trained_on.images == 36
    whole = tmp_path / "whole"
    assert call(*words(folder, teacher, whole, "--learning-rate", 0.02)).status == 0
    ours, theirs = (mobilenets.load(one / "last.safetensors").state_dict() for one in (run, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_folder_that_changed_is_noticed(folder, teacher, call, no_curves, tmp_path):
    run, photos = tmp_path / "run", tmp_path / "photos"
    photos.mkdir()
    for i, file in enumerate(sorted(folder.glob("*.png"))[:14]):
        (photos / f"{i}.png").write_bytes(file.read_bytes())
    assert call(*words(photos, teacher, run), "--epochs", 1).status == 0
    changed = sorted(photos.glob("*.png"))
    for one, other in zip(changed, reversed(changed), strict=True):
        one.write_bytes((folder / f"{20 + int(other.stem)}.png").read_bytes())
    ran = call("train", "--resume", run, "--extend", 1)
    assert ran.status == 1
    assert "cannot be resumed with a changed" in ran.err
    assert "files" in ran.err


def test_with_labels_too_it_is_measured_on_these(
    folder, labelled, teacher, call, no_curves, tmp_path
):
    ran = call(
        *words(folder, teacher, tmp_path / "run", "--data", labelled, "--set", "ema_decay=0")
    )
    assert ran.status == 0, ran.err
    assert "40 images without labels, learned by the outputs of" in ran.err
    assert "and 16 with" in ran.err
    assert "picked by top1 on 8 images" in ran.err
    assert "top1" in json.loads(ran.out)


@pytest.mark.every
def test_attributes_keep_their_teachers_thresholds(folder, call, no_curves, tmp_path):
    task = tasks()["attributes"]
    names = ("hat", "bag", "coat")
    torch.manual_seed(0)
    model = shake_norms(task.network.build("attributes_mobilenet_v2", names, {"width": 0.25}))
    kept = {"thresholds": {"hat": 0.3}, "groups": []}
    card = card_of(model).replace(preprocessing=Preprocessing((64, 64), "squash"), kept=kept)
    model.card = card
    path = tmp_path / "teacher.safetensors"
    save(model, path)
    asked = list(words(folder, path, tmp_path / "run"))
    asked[1] = "attributes_mobilenet_v1"
    asked[asked.index("finetune")] = "finetune_attributes"
    ran = call(*asked)
    assert ran.status == 0, ran.err
    assert 0.5 < json.loads(ran.out)["agreement"] <= 1
    found = card_of(mobilenets.load(tmp_path / "run" / "best.safetensors"))
    assert (found.labels, found.kept) == (names, kept)


def test_vectors_are_learned_too(folder, call, no_curves, tmp_path):
    task = tasks()["embed"]
    torch.manual_seed(0)
    model = shake_norms(task.network.build("embedding_mobilenet_v2", (), {"width": 0.25}))
    model.card = card_of(model).replace(preprocessing=Preprocessing((64, 64)))
    path = tmp_path / "teacher.safetensors"
    save(model, path)
    asked = list(words(folder, path, tmp_path / "run"))
    asked[1] = "embedding_mobilenet_v1"
    asked[asked.index("finetune")] = task.recipes.FINETUNE
    ran = call(*asked)
    assert ran.status == 0, ran.err
    assert 0 <= json.loads(ran.out)["agreement"] <= 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--unlabelled", "photos"), "unlabelled needs a teacher, whose outputs are learned"),
        ((), "--data is missing"),
    ],
)
def test_what_is_missing_is_named(call, more, message):
    ran = call("train", "mobilenet_v1", *more)
    assert ran.status == 2
    assert message in ran.err


def test_from_python(folder, teacher, no_curves, tmp_path):
    result = mobilenets.train(
        "mobilenet_v1",
        teacher=teacher,
        unlabelled=folder,
        width=0.25,
        resolution=32,
        recipe="finetune",
        epochs=1,
        output=tmp_path / "run",
        workers=0,
        say=None,
    )
    assert result.metric == "agreement"
    with pytest.raises(ValueError, match="data must be labelled images, got none"):
        mobilenets.train("mobilenet_v1", teacher=teacher, say=None)
