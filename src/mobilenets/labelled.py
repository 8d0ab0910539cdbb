"""Data that is for another use than the one it was given to: said, and what to do instead."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mobilenets.data.built_in import is_built_in
from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import is_no_class
from mobilenets.errors import DataError
from mobilenets.tasks.registry import with_part
from mobilenets.tasks.task import Task


def open_data(task: Task, path: str | Path, split: str) -> Dataset:
    """A use's data, as its own `open_data` gives it.

    DataError where the labels that lie there are another use's, with that use's networks and what
    to give instead. Folders of images and of labels are not taken for classes.
    """
    try:
        data = task.data.open_data(path, split)
    except DataError as error:
        raise explained(task, path, error) from error
    refuse_no_classes(task, path, getattr(data, "classes", ()))
    return data


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
