"""What a batch teaches: its labels, another network's answers, or both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.task import Task


class Lesson:
    """The loss of a batch: the use's own, or a mix of it and of how far the teacher's answers are.

    With a `teacher_weight` of 1 the targets say nothing: the teacher alone is learned from.
    `exact` is the context in which the teacher computes.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        criterion: Callable[[Any, Tensor], Tensor],
        teacher: nn.Module | None,
        exact: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.task, self.recipe, self.criterion = task, recipe, criterion
        self.teacher, self.exact = teacher, exact

    def __call__(self, student: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
        """The mean loss over the batch, (N, 3, H, W) images as the teacher is to see them."""
        teacher, share = self.teacher, self.recipe.teacher_weight
        if teacher is None:
            return self.criterion(student(images), targets)
        shown = getattr(teacher, "shown", None)
        outputs = student(images if shown is None else shown(images))
        with self.exact():
            taught = teacher(images)
        distilled = self.task.teach.distillation_loss(
            outputs, taught.float(), self.recipe.teacher_temperature
        )
        if share == 1:
            return distilled
        return torch.lerp(self.criterion(outputs, targets), distilled, share)
