"""Learning from a teacher on images without labels, as the first paper does (sections 4.5, 4.7)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.tasks.task import Task
from mobilenets.training.taught.agreement import MeasuredAgreement, TeachersAnswers
from mobilenets.training.taught.images import BothKinds, open_unlabelled
from mobilenets.training.taught.teacher import OpenedTeacher, larger


class TaughtLearning:
    """The use's `learn`, on images of which some have no label, or none has.

    Images are read at the size that the teacher is to see, `shown`; all count the same. `labelled`
    is the share of images that have a label.
    """

    def __init__(
        self, learn: Any, nothing: Any, labelled: float, shown: tuple[int, int] | None
    ) -> None:
        self.learn, self.labelled, self.shown = learn, labelled, shown
        self.nothing = torch.as_tensor(np.asarray(nothing))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learn, name)

    def transform(self, card: ModelCard, augmentation: Any) -> Any:
        """As the use has it, larger where the teacher sees more."""
        if self.shown is not None:
            card = card.replace(preprocessing=replace(card.preprocessing, size=self.shown))
        return self.learn.transform(card, augmentation)

    def mixer(self, augmentation: Any, classes: int) -> None:
        """None: what has no label cannot be mixed with what has."""

    def sampler(self, dataset: Dataset, batch: int, objective: Any) -> None:
        """None: what has no label cannot be drawn by it."""

    def weight(self, targets: Tensor) -> Tensor:
        """The number of images."""
        return targets.new_ones(len(targets), dtype=torch.float32).sum()

    def criterion(self, card: ModelCard, objective: Any) -> Callable[[Any, Tensor], Tensor]:
        """The use's loss of the images that have a label, as the mean over these.

        Where none has a label it is not asked for: ValueError.
        """
        plain = self.learn.criterion(card, objective) if self.labelled else None
        picked = getattr(self.learn, "picked", None) or (lambda outputs, known: outputs[known])

        def loss(outputs: Any, targets: Tensor) -> Tensor:
            if plain is None:
                raise ValueError("teacher_weight must be 1 where no image has a label")
            differs = targets != self.nothing.to(targets.device)
            known = differs.reshape(len(targets), -1).any(1)
            if not bool(known.any()):
                tensors = outputs if isinstance(outputs, tuple) else (outputs,)
                return sum((one.sum() for one in tensors), start=targets.new_zeros(())) * 0.0
            # So that parts of a batch, of which each has some, sum to the mean over them all.
            share = known.float().mean() / self.labelled
            found: Tensor = plain(picked(outputs, known), targets[known]) * share
            return found

        return loss


class TaughtTask(Task):
    """A use whose network learns from a teacher on images of which nothing is known.

    `labelled` is the share of images with labels among those learned from; with `measured` the
    validation images have labels, else agreement with the teacher is what is measured. `shown` is
    the size, (height, width), at which images are read, None for the network's own.
    """

    def __init__(
        self,
        task: Task,
        nothing: Any,
        labelled: float,
        *,
        measured: bool,
        shown: tuple[int, int] | None,
    ) -> None:
        super().__init__(task.name, task.home)
        self._parts: dict[str, Any] = {
            "learn": TaughtLearning(task.learn, nothing, labelled, shown),
            **({} if measured else {"measure": MeasuredAgreement(task)}),
        }

    def part(self, name: str) -> Any:
        """The module of a part, or what stands in its place."""
        return self._parts.get(name) or super().part(name)


class Taught(NamedTuple):
    """What a run with images without labels learns from and is measured on."""

    train: Dataset
    """The images to learn from, the labelled ones first."""
    val: Dataset
    labelled: Dataset | None
    """The labelled ones alone; None where there are none."""
    share: float
    """Of the images to learn from, those that are labelled."""
    nothing: Any
    """The target of an image of which nothing is known."""

    def task(self, task: Task, teacher: OpenedTeacher, student: Preprocessing) -> TaughtTask:
        """The use, for a student that is fed so."""
        measured = self.labelled is not None
        shown = larger(teacher.preprocessing, student)
        return TaughtTask(task, self.nothing, self.share, measured=measured, shown=shown)


def prepare(
    folder: str | Path,
    task: Task,
    teacher: OpenedTeacher,
    parts: tuple[Dataset, Dataset] | None,
    say: Callable[[str], None],
) -> Taught:
    """The images of a folder, behind those of labelled `parts` for training where there are any.

    Without these the validation images are some of the folder's, and what is right is what the
    teacher says. DataError for a folder without images.
    """
    labels = parts[0].classes if parts is not None else teacher.labels(task)
    nothing = task.teach.nothing(ModelCard("", task=task.name, labels=tuple(labels)))
    learned, held = open_unlabelled(folder, labels, nothing, hold=parts is None)
    what = count(len(learned), "image", "images")
    if parts is None:
        say(f"{what} without labels, learned by the outputs of {teacher.name} alone")
        kept = getattr(task.teach, "answer", None)
        return Taught(learned, TeachersAnswers(held, teacher, say, kept), None, 0.0, nothing)
    train, val = parts
    both = BothKinds(train, learned)
    say(f"{what} without labels, learned by the outputs of {teacher.name}, and {len(train)} with")
    return Taught(both, val, train, len(train) / len(both), nothing)
