"""The images of a run: those to learn from and those to validate on, with labels or without."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, cast

from mobilenets.data.dataset import Dataset
from mobilenets.data.inventory import take_account
from mobilenets.labelled import open_data
from mobilenets.tasks.task import Task
from mobilenets.training.runs.own import OwnParts
from mobilenets.training.runs.voice import quiet
from mobilenets.training.taught.teacher import OpenedTeacher
from mobilenets.training.taught.use import Taught, prepare


class RunImages(NamedTuple):
    """What a run learns from and is measured on."""

    train: Dataset
    """The images to learn from, the labelled ones first."""
    val: Dataset
    labelled: Dataset | None
    """Those to learn from that have labels; None where a teacher alone says what is right."""
    taught: Taught | None
    """What is learned of images without labels; None where there are none."""


def open_images(
    task: Task,
    given: str | Path | OwnParts | None,
    unlabelled: str | Path | None,
    teacher: OpenedTeacher | None,
    objective: Any,
    say: Callable[[str], None],
) -> RunImages:
    """Labelled images, images of the folder `unlabelled`, or both; what is noted of them is said.

    So is what of the data is not read, but where `say` is `quiet`: to look takes long. `objective`
    has the recipe's settings of the loss, by which a use may read its data.
    """
    parts = None
    if given is not None:
        train, val = (_part_of(task, given, split, objective) for split in ("train", "val"))
        parts = train, val
    taught = None
    if unlabelled is not None and teacher is not None:
        taught = prepare(unlabelled, task, teacher, parts, say)
    train, val = (taught.train, taught.val) if taught else cast(tuple[Dataset, Dataset], parts)
    for note in dict.fromkeys([*train.notes, *val.notes]):
        say(f"note: {note}")
    account = take_account(str(given), parts) if say is not quiet and parts is not None else None
    if account and account.line:
        say(account.line)
    return RunImages(train, val, taught.labelled if taught else train, taught)


def _part_of(task: Task, data: str | Path | OwnParts, split: str, objective: Any) -> Dataset:
    if isinstance(data, OwnParts):
        return data.parts[split]
    return open_data(task, str(data), split, objective)
