"""Data that is for another use than the one it was given to: said, and what to do instead."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from mobilenets.data.built_in import is_built_in
from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import is_no_class
from mobilenets.errors import DataError
from mobilenets.tasks.registry import with_part
from mobilenets.tasks.task import Task


def open_data(task: Task, path: str | Path, split: str, objective: Any = None) -> Dataset:
    """A use's data, as its own `open_data` gives it; with an `objective`, as that wants to learn.

    DataError where the labels that lie there are another use's, with that use's networks and what
    to give instead. Folders of images and of labels are not taken for classes. Where the use can
    learn which classes an image shows (`of_classes`), another use's labels say that too.
    """
    try:
        learning = None if objective is None else getattr(task.data, "open_learning", None)
        data = learning(path, split, objective) if learning else task.data.open_data(path, split)
    except DataError as error:
        found = classes_shown(task, path, split)
        if found is None:
            raise explained(task, path, error) from error
        data = found
    refuse_no_classes(task, path, getattr(data, "classes", ()))
    return data


def classes_shown(task: Task, path: str | Path, split: str) -> Dataset | None:
    """What another use's labels say of the classes in each image, as the use's own data.

    None where the use learns no such thing, and where no such labels lie there. DataError for
    labels that cannot be used.
    """
    make = getattr(task.data, "of_classes", None)
    if make is None or is_built_in(path):
        return None
    for other in with_part("check"):
        shown = getattr(other.data, "classes_in", None)
        if shown is not None and other.check.claims(os.fspath(path)):
            data = other.data.open_data(path, split)
            found = [shown(data, i) for i in range(len(data))]
            made: Dataset = make(data, found, other.check.THINGS)
            return made
    return None


def explained(task: Task, path: str | Path, error: DataError) -> DataError:
    """The error; where the labels there are another use's, with a sentence about that in front."""
    told = other_labels(task, path)
    if not told:
        return error
    why = re.sub(r"; expected [^;]*", "", str(error).removeprefix(f"{path}: "))
    return DataError(f"{path}: {told} (as {task.check.THINGS}: {why})")


def refuse_no_classes(task: Task, path: str | Path, classes: tuple[str, ...]) -> None:
    """DataError where all classes are called as folders of images or labels are, and are those."""
    if task.has("check") and task.check.LAST and classes and all(map(is_no_class, classes)):
        told = other_labels(task, path)
        if told:
            raise DataError(f"{path}: {told}")


def other_labels(task: Task, path: str | Path) -> str:
    """`these are boxes; train a detector, or give class folders`; '' where they are the use's."""
    if is_built_in(path) or not task.has("check") or task.check.claims(os.fspath(path)):
        return ""
    others = [one for one in with_part("check") if one.name != task.name]
    there = [one for one in others if one.check.claims(os.fspath(path))]
    there = [one for one in there if not one.check.LAST] or there
    if not there:
        return ""
    things = " and ".join(one.check.THINGS for one in there)
    networks = " or ".join(one.check.NETWORK for one in there)
    return f"these are {things}; train {networks}, or give {task.check.GIVE}"
