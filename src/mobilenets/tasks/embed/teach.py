"""Learning another network's vectors: the student then searches what the teacher embedded.

Plain regression of unit vectors, as paper 1, section 4.7, and best for asymmetric search (Budnik
and Avrithis 2021, arXiv 2006.16331).
"""

from typing import Any

from torch import Tensor

from mobilenets.card import ModelCard


def check_teacher(name: str, card: ModelCard | None, outputs: int, student: ModelCard) -> None:
    """Raise ValueError where the vectors of the network called `name` are not the student's."""
    if card is None or card.task != student.task:
        what = f"is to {card.task}" if card is not None else "is none of ours"
        raise ValueError(f"teacher must be an embedding network, {name} {what}")
    theirs, own = (dimensions_of(one) for one in (card, student))
    if theirs != own:
        raise ValueError(
            f"teacher must have the student's {own} dimensions, {name} has {theirs}; "
            f"--knob dimensions={theirs} makes a student for it"
        )


def dimensions_of(card: ModelCard) -> int:
    """The length of a network's vectors."""
    from mobilenets.tasks.embed.architecture.layers import DIMENSIONS

    found: int = card.arguments.get("dimensions", DIMENSIONS)
    return found


def distillation_loss(student: Any, teacher: Tensor, temperature: float) -> Tensor:
    """The mean squared distance of unit vectors, 2 - 2 cos; the temperature has no meaning here."""
    vectors, *rest = student if isinstance(student, tuple) else (student,)
    loss: Tensor = (vectors.float() - teacher).square().sum(1).mean()
    for one in rest:  # a classifier that learns nothing here, which several processes wait for
        loss = loss + 0.0 * one.sum()
    return loss


def nothing(card: ModelCard) -> int:
    """A class that there is not."""
    return -1


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """(N,) the cosine of both vectors, or 0 where that is less."""
    return (student * teacher).sum(1).clamp(0.0, 1.0)
