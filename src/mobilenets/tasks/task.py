"""A use of a network: a name, and parts that are loaded when they are asked for."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

from mobilenets.errors import InputError
from mobilenets.tasks.base import (
    Answering,
    Architecture,
    Building,
    Checking,
    Commands,
    Data,
    Demonstration,
    Knowing,
    Learning,
    Measuring,
    Outputs,
    Probing,
    Reading,
    Recipes,
    Showing,
    Teaching,
    Weights,
)
from mobilenets.tasks.values import Defaults

if TYPE_CHECKING:
    from mobilenets.runtime.inputs import Given
    from mobilenets.tasks.answer import Answer


class Task:
    """A use of a network, by its name and the package that has its parts.

    A part is imported when it is first asked for; InputError for one that this use does not have.
    """

    def __init__(self, name: str, home: str) -> None:
        self.name, self.home = name, home

    def has(self, part: str) -> bool:
        """Whether the use has a part of that name; nothing is imported but its package."""
        return find_spec(f"{self.home}.{part}") is not None

    def part(self, name: str) -> Any:
        """The module of a part."""
        if not self.has(name):
            raise InputError(f"the use {self.name} has no part {name!r}, which this needs")
        return import_module(f"{self.home}.{name}")

    @property
    def architecture(self) -> Architecture:
        """The networks, described without torch."""
        return cast(Architecture, self.part("architecture"))

    @property
    def data(self) -> Data:
        """Where images and what is known of them come from."""
        return cast(Data, self.part("data"))

    @property
    def network(self) -> Building:
        """The networks as torch modules."""
        return cast(Building, self.part("network"))

    @property
    def recipes(self) -> Recipes:
        """The recipes by name, and which are the defaults."""
        return cast(Recipes, self.part("recipes"))

    @property
    def learn(self) -> Learning:
        """Transforms and the loss."""
        return cast(Learning, self.part("learn"))

    @property
    def probe(self) -> Probing:
        """How a new head starts."""
        return cast(Probing, self.part("probe"))

    @property
    def know(self) -> Knowing:
        """What is none of its classes, and new classes without training."""
        return cast(Knowing, self.part("know"))

    @property
    def teach(self) -> Teaching:
        """Learning from another network."""
        return cast(Teaching, self.part("teach"))

    @property
    def read(self) -> Reading:
        """From outputs to answers."""
        return cast(Reading, self.part("read"))

    @property
    def measure(self) -> Measuring:
        """How good a network is."""
        return cast(Measuring, self.part("measure"))

    @property
    def show(self) -> Showing:
        """Answers for people and for programs."""
        return cast(Showing, self.part("show"))

    @property
    def answer(self) -> Answering:
        """The fields of its answers."""
        return cast(Answering, self.part("answer"))

    def answer_of(self, decoded: Any, given: Given, error: str = "") -> Answer:
        """The answer about an image as it was given: `decoded`, or the `error` of reading it."""
        from mobilenets.tasks.answer import Answer

        kind = self.answer.ANSWER if self.has("answer") else Answer
        return kind(decoded, given, self.part("show"), error)

    @property
    def outputs(self) -> Outputs:
        """Forms of a deployed file."""
        return cast(Outputs, self.part("outputs"))

    @property
    def check(self) -> Checking:
        """What `data check` says of data of this use."""
        return cast(Checking, self.part("check"))

    @property
    def commands(self) -> Commands:
        """Options and help of commands."""
        return cast(Commands, self.part("commands"))

    @property
    def defaults(self) -> Defaults:
        """What is done unless someone says otherwise."""
        return self.commands.DEFAULTS if self.has("commands") else Defaults()

    @property
    def weights(self) -> Weights:
        """How other people's weights are recognised."""
        return cast(Weights, self.part("weights"))

    @property
    def demo(self) -> Demonstration:
        """The entry in the demo."""
        return cast(Demonstration, self.part("demo"))
