"""After training: what a network's classes look like, so that it tells what is none of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mobilenets.card import card_of
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count, few
from mobilenets.errors import DataError
from mobilenets.evaluation import spread
from mobilenets.runtime.labels import match_classes
from mobilenets.tasks.registry import with_part
from mobilenets.tasks.task import Task
from mobilenets.training.probe import features
from mobilenets.weights import load
from mobilenets.weights.sources.own import save

MOST_HELD = 10_000
"""Validation images that a floor is measured on, at most."""
Say = Callable[[str], None]


def check_knows(task: Task, name: str, *, asked: bool = True, labelled: bool = True) -> None:
    """ValueError where it is `asked` of a use that can tell nothing unknown, or without labels."""
    if not asked:
        return
    if not task.has("know"):
        able = " or ".join(one.name for one in with_part("know"))
        raise ValueError(f"unknown is to {able}, {name} is to {task.name}")
    if not labelled:
        raise ValueError("unknown needs labelled images: --data FOLDER")


def know_checkpoint(
    path: Path, task: Task, parts: tuple[Dataset, Dataset], say: Say, *, cpu: bool
) -> None:
    """Make the network in a checkpoint tell unknown images, and write it again."""
    model = load(path, say=lambda line: None)
    know(model, task, parts, say, cpu=cpu)
    save(model, path)


class KnownRows(NamedTuple):
    """Features and classes of images, by the model's numbers of these."""

    seen: tuple[Tensor, ...]
    """Of training images."""
    held: tuple[Tensor, ...]
    """Of validation images; () where none could be read."""


def know(
    model: nn.Module, task: Task, parts: tuple[Dataset, Dataset], say: Say, *, cpu: bool
) -> KnownRows:
    """Make `model` tell images of none of its classes: from training and validation images.

    And what it was made from. Their classes are the model's, or some of these. ValueError for a
    network that cannot, DataError for images that are too few.
    """
    task.know.check(model)
    train_set, val_set = parts
    most = task.probe.most(len(card_of(model).labels))
    seen = rows_of(model, task, train_set, most, cpu=cpu)
    if not seen:
        raise DataError(f"none of {count(len(train_set), 'image', 'images')} could be read")
    held = rows_of(model, task, val_set, MOST_HELD, cpu=cpu)
    say(task.know.tell_unknown(model, seen, held))
    there = set(seen[1].tolist())
    labels = card_of(model).labels
    absent = [label for i, label in enumerate(labels) if i not in there]
    if absent:
        what = count(len(absent), "class has", "classes have")
        say(f"{what} no images there, so all that is of them is unknown: {few(absent)}")
    return KnownRows(seen, held)


def rows_of(
    model: nn.Module, task: Task, dataset: Dataset, most: int, *, cpu: bool
) -> tuple[Tensor, ...]:
    """Features and classes of a data set's images, of many some; classes by the model's numbers.

    DataError where the data's classes are not the model's.
    """
    card = card_of(model)
    numbers = torch.tensor(match_classes(dataset.classes, card.labels))
    found = features(model, card, task, dataset, spread(len(dataset), most), cpu=cpu)
    model.to("cpu")
    return (found[0], numbers[found[1]]) if found else ()
