"""The list of all uses, and of all networks by name: the one file that names them.

Other packages add a use by an entry point of the group `mobilenets.tasks`: its name is the use's,
its value the package that has the parts (`tasks.base`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any

from mobilenets.card import ModelCard
from mobilenets.errors import InputError, WeightsError
from mobilenets.models.geometry import unknown_name
from mobilenets.models.network import Network
from mobilenets.tasks.task import Task

if TYPE_CHECKING:
    from torch import nn

    from mobilenets.tasks import base
    from mobilenets.tasks.classify import (
        architecture as classify_architecture,
    )
    from mobilenets.tasks.classify import (
        commands as classify_commands,
    )
    from mobilenets.tasks.classify import (
        data as classify_data,
    )
    from mobilenets.tasks.classify import (
        demo as classify_demo,
    )
    from mobilenets.tasks.classify import (
        learn as classify_learn,
    )
    from mobilenets.tasks.classify import (
        measure as classify_measure,
    )
    from mobilenets.tasks.classify import (
        network as classify_network,
    )
    from mobilenets.tasks.classify import (
        outputs as classify_outputs,
    )
    from mobilenets.tasks.classify import (
        read as classify_read,
    )
    from mobilenets.tasks.classify import (
        recipes as classify_recipes,
    )
    from mobilenets.tasks.classify import (
        show as classify_show,
    )
    from mobilenets.tasks.classify import (
        teach as classify_teach,
    )
    from mobilenets.tasks.detect import (
        architecture as detect_architecture,
    )
    from mobilenets.tasks.detect import (
        check as detect_check,
    )
    from mobilenets.tasks.detect import (
        commands as detect_commands,
    )
    from mobilenets.tasks.detect import (
        data as detect_data,
    )
    from mobilenets.tasks.detect import (
        demo as detect_demo,
    )
    from mobilenets.tasks.detect import (
        learn as detect_learn,
    )
    from mobilenets.tasks.detect import (
        measure as detect_measure,
    )
    from mobilenets.tasks.detect import (
        network as detect_network,
    )
    from mobilenets.tasks.detect import (
        outputs as detect_outputs,
    )
    from mobilenets.tasks.detect import (
        read as detect_read,
    )
    from mobilenets.tasks.detect import (
        recipes as detect_recipes,
    )
    from mobilenets.tasks.detect import (
        show as detect_show,
    )
    from mobilenets.tasks.segment import (
        architecture as segment_architecture,
    )
    from mobilenets.tasks.segment import (
        check as segment_check,
    )
    from mobilenets.tasks.segment import (
        commands as segment_commands,
    )
    from mobilenets.tasks.segment import (
        data as segment_data,
    )
    from mobilenets.tasks.segment import (
        demo as segment_demo,
    )
    from mobilenets.tasks.segment import (
        learn as segment_learn,
    )
    from mobilenets.tasks.segment import (
        measure as segment_measure,
    )
    from mobilenets.tasks.segment import (
        network as segment_network,
    )
    from mobilenets.tasks.segment import (
        outputs as segment_outputs,
    )
    from mobilenets.tasks.segment import (
        read as segment_read,
    )
    from mobilenets.tasks.segment import (
        recipes as segment_recipes,
    )
    from mobilenets.tasks.segment import (
        show as segment_show,
    )

    # Where a type checker holds each part to its protocol.
    _architecture: tuple[base.Architecture, ...] = (
        classify_architecture,
        detect_architecture,
        segment_architecture,
    )
    _data: tuple[base.Data, ...] = (
        classify_data,
        detect_data,
        segment_data,
    )
    _network: tuple[base.Building, ...] = (
        classify_network,
        detect_network,
        segment_network,
    )
    _learn: tuple[base.Learning, ...] = (
        classify_learn,
        detect_learn,
        segment_learn,
    )
    _recipes: tuple[base.Recipes, ...] = (
        classify_recipes,
        detect_recipes,
        segment_recipes,
    )
    _teach: tuple[base.Teaching, ...] = (classify_teach,)
    _read: tuple[base.Reading, ...] = (
        classify_read,
        detect_read,
        segment_read,
    )
    _measure: tuple[base.Measuring, ...] = (
        classify_measure,
        detect_measure,
        segment_measure,
    )
    _show: tuple[base.Showing, ...] = (
        classify_show,
        detect_show,
        segment_show,
    )
    _outputs: tuple[base.Outputs, ...] = (
        classify_outputs,
        detect_outputs,
        segment_outputs,
    )
    _check: tuple[base.Checking, ...] = (
        detect_check,
        segment_check,
    )
    _commands: tuple[base.Commands, ...] = (
        classify_commands,
        detect_commands,
        segment_commands,
    )
    _demo: tuple[base.Demonstration, ...] = (
        classify_demo,
        detect_demo,
        segment_demo,
    )

GROUP = "mobilenets.tasks"
_OURS = ("classify", "detect", "segment")


@lru_cache
def tasks() -> dict[str, Task]:
    """Every use by its name: ours, then those of other packages; InputError for a name taken."""
    found = {name: Task(name, f"mobilenets.tasks.{name}") for name in _OURS}
    for entry in entry_points(group=GROUP):
        if entry.name in found:
            raise InputError(f"{entry.value}: a use called {entry.name} is there already")
        found[entry.name] = Task(entry.name, entry.value)
    return found


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
        able = [one for one, (_, network) in networks().items() if network.constructor]
        raise ValueError(unknown_name(name, able))
    return network_of(name).build(**arguments)


def with_part(part: str) -> Iterator[Task]:
    """The uses that have a part."""
    return (task for task in tasks().values() if task.has(part))


def _entry(name: str) -> tuple[Task, Network]:
    if name not in networks():
        raise ValueError(unknown_name(name, networks()))
    return networks()[name]
