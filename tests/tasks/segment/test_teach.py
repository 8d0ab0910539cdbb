"""Learning to segment from another network, with masks and without any."""

import csv
import json

import numpy as np
import pytest
import torch

from mobilenets.card import Preprocessing, card_of, set_card
from mobilenets.data.shapes import Shapes
from mobilenets.tasks.registry import tasks
from mobilenets.tasks.segment import teach
from mobilenets.tasks.segment.learn.transforms import SegmentationTransform
from mobilenets.tasks.segment.recipes.settings import SegmentationAugmentation
from mobilenets.training.taught.agreement import TeachersAnswers
from mobilenets.training.taught.images import open_unlabelled
from mobilenets.training.taught.teacher import open_teacher
from mobilenets.weights.sources.own import save
from tests.quick import shake_norms

TASK = tasks()["segment"]
LABELS = ("ground", "ring", "star")


def network(labels=LABELS, size=(33, 33)):
    torch.manual_seed(0)
    model = TASK.network.build("deeplabv3_mobilenet_v2", labels, {"width": 0.35})
    shake_norms(model)
    with torch.no_grad():
        model.classifier.weight.normal_(0, 0.3)
    card = card_of(model)
    set_card(model, card.replace(preprocessing=Preprocessing(size, "pad")))
    return model


def test_the_loss_is_the_divergence_of_each_pixel():
    student, teacher = torch.randn(2, 3, 5, 7), torch.randn(2, 3, 5, 7)
    expected = 0.0
    for n in range(2):
        for y in range(5):
            for x in range(7):
                p, q = ((one[n, :, y, x].double() / 2).softmax(0) for one in (teacher, student))
                expected += 4 * float((p * (p / q).log()).sum())
    found = teach.distillation_loss(student, teacher, 2.0)
    assert float(found) == pytest.approx(expected / 70, rel=1e-5)
    assert float(teach.distillation_loss(teacher, teacher, 2.0)) == pytest.approx(0, abs=1e-6)


def test_a_larger_teachers_scores_are_brought_to_the_students_pixels():
    teacher = torch.zeros(1, 2, 9, 9)
    teacher[:, 0, :, :4] = teacher[:, 1, :, 5:] = 8.0
    student = teacher[:, :, ::2, ::2]
    mirrored = student.flip(3)
    same, other = (float(teach.distillation_loss(s, teacher, 1.0)) for s in (student, mirrored))
    assert same < 0.01 * other


def test_agreement_is_the_mean_overlap_of_classes_that_either_sees():
    teacher = torch.zeros(2, 4, 8, 12)
    teacher[0, 1, :, :6] = teacher[0, 2, :, 6:] = 1.0  # two halves
    teacher[1, 3] = 1.0
    student = teacher.clone()
    told = teach.answer(teacher)
    assert tuple(told.shape) == (2, 2, 3)
    assert teach.agreement(student, told).tolist() == [1, 1]
    everywhere = torch.zeros(2, 4, 8, 12)
    everywhere[:, 1] = 1.0
    seen = teach.agreement(everywhere, told)
    assert seen[1] == 0
    assert seen[0] == pytest.approx((told[0] == 1).float().mean() / 2)


def test_nothing_is_known_of_any_pixel():
    target = teach.nothing(card_of(network()))
    transform = SegmentationTransform(
        Preprocessing((33, 49), "pad"), SegmentationAugmentation("deeplab")
    )
    image = Shapes(40).image(0)
    pixels, mask = transform(image, target)
    assert (tuple(pixels.shape), tuple(mask.shape)) == ((3, 33, 49), (33, 49))
    assert (mask == 255).all()


@pytest.mark.parametrize(
    ("labels", "task", "words"),
    [
        (("ground", "ring", "moon"), "segment", "the student's classes in the same order"),
        (LABELS, "classify", "must be a segmentation network, big is to classify"),
    ],
)
def test_another_kind_of_teacher_is_refused(labels, task, words):
    card = card_of(network())
    with pytest.raises(ValueError, match=words):
        teach.check_teacher("big", card.replace(labels=labels, task=task), 3, card)
    with pytest.raises(ValueError, match="3 outputs as the student, big has 5"):
        teach.check_teacher("big", card, 5, card)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    for i in range(20):
        Shapes(48).image(i).save(root / f"{i}.png")
    return root


def test_of_the_teachers_scores_only_classes_are_kept(photos, tmp_path):
    save(network(), tmp_path / "big.safetensors")
    _, held = open_unlabelled(photos, LABELS, teach.nothing(card_of(network())), hold=True)
    answers = TeachersAnswers(held, open_teacher(str(tmp_path / "big.safetensors")),
                              kept=teach.answer)  # fmt: skip
    assert answers.target(0).shape == (9, 9)
    assert np.issubdtype(answers.target(0).dtype, np.integer)


@pytest.mark.every
def test_a_student_learns_from_images_alone(call, photos, tmp_path, no_curves):
    save(network(), tmp_path / "big.safetensors")
    ran = call(
        *("train", "deeplabv3_mobilenet_v2", "--width", 0.35, "--teacher"),
        *(tmp_path / "big.safetensors", "--unlabelled", photos, "--epochs", 3),
        *("--batch-size", 6, "--resolution", 33, "--workers", 0, "--learning-rate", 0.02),
        *("--output", tmp_path / "run", "--json"),
    )
    assert ran.status == 0, ran.err
    assert 0 < json.loads(ran.out)["agreement"] <= 1
    with (tmp_path / "run" / "log.csv").open() as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file)]
    assert losses[-1] < losses[0]
