"""Learning from another classifier's outputs (Hinton et al. 2015, arXiv 1503.02531)."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mobilenets.card import ModelCard
from mobilenets.tasks.checks import check_same_outputs
from mobilenets.tasks.classify.read import are_independent


def check_teacher(name: str, card: ModelCard | None, outputs: int, student: ModelCard) -> None:
    """Raise ValueError where the outputs of the network called `name` are not the student's."""
    check_same_outputs(name, card, outputs, student, "a classifier", "classes")
    if card is not None and are_independent(card):
        raise ValueError(f"teacher must give one class of many, {name} scores each by itself")


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the softened outputs (N, classes), times temperature squared.

    The square keeps its gradients as large as the plain loss's, whatever the temperature.
    """
    divergence = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        log_target=True,
        reduction="batchmean",
    )
    return divergence * temperature**2


def nothing(card: ModelCard) -> int:
    """A class that there is not."""
    return -1


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """(N,) the share of their probabilities that both give to the same classes."""
    return torch.minimum(student.softmax(1), teacher.softmax(1)).sum(1)
