"""The list of all uses, and of all networks by name: the one file that names them.

Other packages add a use by an entry point of the group `mobilenets.tasks`: its name is the use's,
its value the package that has the parts (`tasks.base`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobilenets.card import ModelCard
from mobilenets.errors import InputError, WeightsError
from mobilenets.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.models.network import Network

GROUP = "mobilenets.tasks"
_OURS = ("classify", "detect", "segment", "attributes", "embed", "geolocate")
"""Folders beside this file, in the order in which uses are listed and asked."""


@lru_cache
def tasks() -> dict[str, Task]:
    """Every use by its name: ours, then those of other packages; InputError for a name taken."""
    found = {name: Task(name, f"mobilenets.tasks.{name}") for name in _OURS}
    if not _somebody_adds():
        return found
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        if entry.name in found:
            raise InputError(f"{entry.value}: a use called {entry.name} is there already")
        found[entry.name] = Task(entry.name, entry.value)
    return found


def _somebody_adds() -> bool:
    """Whether any distribution names our group: a look that costs a tenth of reading them all."""
    return any(GROUP.encode() in text for place in sys.path for text in _entry_points(place or "."))


def _entry_points(place: str) -> Iterator[bytes]:
    """What each distribution in a folder enters; nothing of what is no folder."""
    try:
        names = os.listdir(place)  # noqa: PTH208 - half the time of a glob, at every start
    except OSError:
        return
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            with suppress(OSError):
                yield Path(place, name, "entry_points.txt").read_bytes()


@lru_cache
def networks() -> dict[str, tuple[Task, Network]]:
    """Every network of every use by its name, with the use."""
    return {
        name: (task, network)
        for task in tasks().values()
        if task.has("architecture")
        for name, network in task.architecture.NETWORKS.items()
    }


def network_of(name: str) -> Network:
    """A network by name; ValueError for a name that is none."""
    return _entry(name)[1]


def task_for(name: str) -> Task:
    """The use of a network by its name; ValueError for a name that is none."""
    return _entry(name)[0]


def task_of(card: ModelCard) -> Task:
    """The task a model was made for; WeightsError for one that this version does not know."""
    if not card.task:  # the first use's, as a card without a task always was
        task, _ = networks().get(card.architecture, (next(iter(tasks().values())), None))
        return task
    if card.task not in tasks():
        known = ", ".join(tasks())
        raise WeightsError(f"the model's task must be one of {known}, got {card.task!r}")
    return tasks()[card.task]


def build(name: str, **arguments: Any) -> nn.Module:
    """The network called `name`, with random weights; ValueError for a bad name or argument."""
    if name not in networks():
        from mobilenets.models.geometry import unknown_name

        able = [one for one, (_, network) in networks().items() if network.constructor]
        raise ValueError(unknown_name(name, able))
    return network_of(name).build(**arguments)


def with_part(part: str) -> Iterator[Task]:
    """The uses that have a part."""
    return (task for task in tasks().values() if task.has(part))


def _entry(name: str) -> tuple[Task, Network]:
    if name not in networks():
        from mobilenets.models.geometry import unknown_name

        raise ValueError(unknown_name(name, networks()))
    return networks()[name]
