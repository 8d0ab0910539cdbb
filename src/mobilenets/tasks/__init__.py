"""The uses of a network, one file each; the rest of the package knows them by `Task` alone."""

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError
from mobilenets.tasks.base import PLAIN, Evaluator, Objective, Task
from mobilenets.tasks.classify import Classify
from mobilenets.tasks.detect import Detect
from mobilenets.tasks.segment import Segment

TASKS: dict[str, Task] = {"classify": Classify(), "detect": Detect(), "segment": Segment()}


def task_of(card: ModelCard) -> Task:
    """The task a model was made for; WeightsError for one that this version does not know."""
    if card.task not in TASKS:
        raise WeightsError(f"the model's task must be one of {', '.join(TASKS)}, got {card.task!r}")
    return TASKS[card.task]


__all__ = [
    "PLAIN",
    "TASKS",
    "Classify",
    "Detect",
    "Evaluator",
    "Objective",
    "Segment",
    "Task",
    "task_of",
]
