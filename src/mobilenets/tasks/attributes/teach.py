"""Learning from another network's attributes."""

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from mobilenets.card import ModelCard
from mobilenets.tasks.attributes.marks import UNKNOWN, Marks
from mobilenets.tasks.checks import check_same_outputs


def check_teacher(name: str, card: ModelCard | None, outputs: int, student: ModelCard) -> None:
    """Raise ValueError where the outputs of the network called `name` are not the student's."""
    check_same_outputs(name, card, outputs, student, "a network for attributes", "attributes")


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """How far each softened score is from the teacher's: a divergence, times temperature squared.

    The mean over all entries. Its gradients are those of binary cross entropy with the teacher's
    scores as marks (paper 1, section 4.5), but it is 0 where both agree.
    """
    wanted = (teacher / temperature).sigmoid()
    losses = F.binary_cross_entropy_with_logits(student / temperature, wanted)
    least = F.binary_cross_entropy_with_logits(teacher / temperature, wanted)
    return (losses - least) * temperature**2


def nothing(card: ModelCard) -> Marks:
    """Marks of an image of which every attribute is unknown."""
    return np.full(len(card.labels), UNKNOWN, np.int8)


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """(N,) one less the mean difference of their scores."""
    return 1 - (student.sigmoid() - teacher.sigmoid()).abs().mean(1)
