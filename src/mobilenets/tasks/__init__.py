"""The uses of a network, one file each; the rest of the package knows them by `Task` alone."""

from mobilenets.tasks.base import Evaluator, Task
from mobilenets.tasks.classify import Classify

TASKS: dict[str, Task] = {"classify": Classify()}

__all__ = ["TASKS", "Classify", "Evaluator", "Task"]
