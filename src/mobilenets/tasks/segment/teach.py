"""Learning from another segmentation network: its softened scores in every pixel."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from mobilenets.card import ModelCard
from mobilenets.tasks.checks import check_same_outputs
from mobilenets.tasks.segment.architecture.deeplab import resize
from mobilenets.tasks.segment.formats.masks import VOID

STEP = 4
"""Of the teacher's masks of validation images every so many pixels are kept, both ways."""


def check_teacher(name: str, card: ModelCard | None, outputs: int, student: ModelCard) -> None:
    """Raise ValueError where the outputs of the network called `name` are not the student's."""
    if card is None:
        raise ValueError(f"teacher must be a segmentation network, {name} is none of ours")
    check_same_outputs(name, card, outputs, student, "a segmentation network", "classes")


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """The mean over pixels of the divergence of softened scores, times temperature squared.

    Of (N, classes, H, W) logits; a teacher's of another size are brought to the student's first.
    """
    taught = resize(teacher, student.shape[2], student.shape[3])
    divergence = F.kl_div(
        F.log_softmax(student.float() / temperature, 1),
        F.log_softmax(taught / temperature, 1),
        log_target=True,
        reduction="none",
    )
    return divergence.sum(1).mean() * temperature**2


def nothing(card: ModelCard) -> NDArray[np.uint8]:
    """A mask of which every pixel is void: a single one, which is scaled to the image."""
    return np.full((1, 1), VOID, np.uint8)


def answer(outputs: Tensor) -> Tensor:
    """(N, h, w) classes of every fourth pixel: of the logits of 1000 images, 22 GB."""
    return outputs[:, :, ::STEP, ::STEP].argmax(1)


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """(N,) the mean overlap (intersection over union) of the classes that either sees.

    Of the student's (N, classes, H, W) logits with the teacher's `answer`.
    """
    seen = resize(student, teacher.shape[1], teacher.shape[2]).argmax(1).flatten(1)
    told = teacher.flatten(1)
    classes = student.shape[1]
    ours, theirs = (F.one_hot(one.long(), classes).bool() for one in (seen, told))
    both, either = (ours & theirs).sum(1), (ours | theirs).sum(1)  # (N, classes)
    there = either > 0
    overlap = both / either.clamp_min(1)
    return (overlap * there).sum(1) / there.sum(1)
