"""Losses beside torch's own and beside formulas written out."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from mobilenets.card import ModelCard
from mobilenets.tasks.attributes.recipes.settings import AttributesObjective
from mobilenets.tasks.attributes.teach import check_teacher, distillation_loss
from mobilenets.tasks.registry import tasks

TASK = tasks()["attributes"]
CARD = ModelCard("attributes_mobilenet_v2", task="attributes", labels=("a", "b", "c", "d"))


@pytest.fixture
def batch():
    torch.manual_seed(0)
    marks = torch.randint(-1, 2, (9, 4)).to(torch.int8)
    return torch.randn(9, 4, requires_grad=True), marks


def loss(logits, marks, **settings):
    return TASK.learn.criterion(CARD, AttributesObjective(**settings))(logits, marks)


def test_the_plain_loss_is_torchs_over_what_is_known(batch):
    logits, marks = batch
    known = marks >= 0
    expected = F.binary_cross_entropy_with_logits(logits[known], marks[known].float())
    torch.testing.assert_close(loss(logits, marks), expected)
    smooth = F.binary_cross_entropy_with_logits(logits[known], marks[known].float() * 0.8 + 0.1)
    torch.testing.assert_close(loss(logits, marks, label_smoothing=0.2), smooth)
    assert TASK.learn.weight(marks) == known.sum()


def test_unknown_marks_have_no_gradient(batch):
    logits, marks = batch
    loss(logits, marks).backward()
    assert (logits.grad[marks < 0] == 0).all()
    assert (logits.grad[marks >= 0] != 0).all()
    nothing = loss(logits, torch.full_like(marks, -1))
    assert float(nothing.detach()) == 0
    nothing.backward()  # finite


def test_balanced_weighs_the_rarer_side_more(batch):
    logits, marks = batch
    shares = (0.1, 0.5, 0.9, 0.3)
    total = 0.0
    for i in range(9):
        for k in range(4):
            if marks[i, k] >= 0:
                yes = bool(marks[i, k])
                weight = np.exp(1 - shares[k] if yes else shares[k])
                own = logits[i, k].sigmoid()
                total = total - weight * (own if yes else 1 - own).log()
    expected = total / (marks >= 0).sum()
    torch.testing.assert_close(loss(logits, marks, loss="balanced", shares=shares), expected)


def test_shares_come_from_the_training_data():
    class Data:
        classes = CARD.labels
        marks = np.int8([[1, 0, -1, 1], [1, 1, -1, -1], [0, 0, -1, 0], [0, 0, -1, 0]])

    found = TASK.learn.settle(AttributesObjective("balanced"), Data())
    assert found.shares == pytest.approx((0.5, 0.25, 0.5, 1 / 3), abs=1e-6)
    assert TASK.learn.settle(AttributesObjective(), Data()).shares == ()
    with pytest.raises(ValueError, match="groups must be of attributes, got 'z'"):
        TASK.learn.settle(AttributesObjective(groups="a,z"), Data())


def test_asymmetric_is_the_papers_formula(batch):
    """Equations 6 and 7 of Ridnik et al. 2021."""
    logits, marks = batch
    total = 0.0
    for score, mark in zip(logits.sigmoid()[marks >= 0], marks[marks >= 0], strict=True):
        if mark:
            total = total - (1 - score) ** 1.0 * score.log()
        else:
            moved = (score - 0.05).clamp_min(0)
            total = total - moved**4.0 * (1 - moved).log()
    expected = total / (marks >= 0).sum()
    found = loss(logits, marks, loss="asymmetric", focus_yes=1.0, focus_no=4.0, clip=0.05)
    torch.testing.assert_close(found, expected)
    plain = loss(logits, marks, loss="asymmetric", focus_yes=0.0, focus_no=0.0, clip=0.0)
    torch.testing.assert_close(plain, loss(logits, marks))


def test_a_group_has_a_softmax_where_one_of_it_is_there():
    torch.manual_seed(1)
    logits = torch.randn(5, 4)
    marks = torch.tensor(
        [[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 1], [1, 1, 0, 0], [0, 1, -1, -1]], dtype=torch.int8
    )
    clear = F.cross_entropy(logits[:2, :3], torch.tensor([0, 1]), reduction="sum") * 3
    alone = F.binary_cross_entropy_with_logits(logits[:4, 3], marks[:4, 3].float(), reduction="sum")
    expected = (clear + alone) / (2 * 3 + 4)
    torch.testing.assert_close(loss(logits, marks, groups="a,b,c"), expected)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "focal"}, "loss must be one of plain, balanced, asymmetric, got 'focal'"),
        ({"groups": "a"}, "groups must have two attributes each, got 'a'"),
        ({"clip": 2}, "clip must be from 0 to 1, got 2"),
        ({"groups": 3}, "groups must be text such as a,b;c,d, got 3"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        AttributesObjective(**settings)


def test_distillation_has_the_gradient_of_cross_entropy_and_ends_at_nothing():
    torch.manual_seed(2)
    student, teacher = torch.randn(6, 4, requires_grad=True), torch.randn(6, 4)
    assert float(distillation_loss(teacher, teacher, 3.0)) == pytest.approx(0, abs=1e-6)
    distillation_loss(student, teacher, 1.0).backward()
    expected = (student.sigmoid() - teacher.sigmoid()) / student.numel()
    torch.testing.assert_close(student.grad, expected.detach())


def test_a_teacher_of_other_attributes_is_refused():
    check_teacher("t", CARD, 4, CARD)
    other = CARD.replace(labels=("b", "a", "c", "d"))
    with pytest.raises(ValueError, match="the student's attributes in the same order, t has b, a"):
        check_teacher("t", other, 4, CARD)
    with pytest.raises(ValueError, match="teacher must have 4 outputs as the student, t has 5"):
        check_teacher("t", None, 5, CARD)
    with pytest.raises(ValueError, match="must be a network for attributes, t is to classify"):
        check_teacher("t", CARD.replace(task="classify"), 4, CARD)
