"""The validation images of a run, each process its share."""

import time
from collections.abc import Callable

from accelerate import Accelerator
from accelerate.utils import gather_object

from mobilenets.data.dataset import Dataset
from mobilenets.errors import DataError
from mobilenets.evaluation import Evaluation, evaluate, spread
from mobilenets.runtime.session import Session
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.task import Task

SAMPLE = 64
"""Images that are timed before the first epoch."""


class Validation:
    """Measures networks on a run's validation images, in all its processes together."""

    def __init__(
        self, task: Task, dataset: Dataset, recipe: Recipe, accelerator: Accelerator
    ) -> None:
        self.task, self.dataset = task, dataset
        self.objective, self.accelerator = recipe.objective, accelerator
        rank, world = accelerator.process_index, accelerator.num_processes
        self.mine = range(rank, len(dataset), world)
        """This process's share."""
        self.seconds = 0.0
        """What the last one took."""

    def __call__(self, session: Session, progress: Callable[[int], None]) -> Evaluation:
        """The whole result, in each process."""
        alone = self.accelerator.num_processes == 1
        began = time.monotonic()
        found = evaluate(
            session,
            self.dataset,
            self.task,
            indices=self.mine,
            progress=progress,
            strict=alone,
            objective=self.objective,
        )
        self.seconds = time.monotonic() - began
        if alone:
            return found
        parts: list[Evaluation] = gather_object([found])
        whole = self.task.measure.evaluator(session.card, self.dataset, self.objective)
        for part in parts:
            whole.merge(part.evaluator)
        failures = [failure for part in parts for failure in part.failures]
        if len(failures) == len(self.dataset):
            raise DataError(f"no validation image could be read; the first: {failures[0][1]}")
        return Evaluation(dict(whole.results()), failures, whole)

    def estimate(self, session: Session) -> float:
        """Seconds that one takes: of the last, or by some of the images."""
        if self.seconds:
            return self.seconds
        some = spread(len(self.dataset), SAMPLE)
        began = time.monotonic()
        evaluate(session, self.dataset, self.task, indices=some, strict=False)
        return (time.monotonic() - began) * len(self.mine) / len(some)
