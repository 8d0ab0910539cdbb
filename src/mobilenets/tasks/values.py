"""What the parts of a use say of themselves, as frozen data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias, cast

from mobilenets.card import ModelCard

if TYPE_CHECKING:  # commands without arrays, their help among them, start without numpy
    import numpy as np
    from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) of an image in pixels, as Pillow has it."""
Arrays: TypeAlias = "Mapping[str, NDArray[Any]]"
"""A session's outputs by name, the batch first."""


@dataclass(frozen=True)
class Metric:
    """A result that tells which of two networks is better."""

    name: str
    """What results call it."""
    higher_is_better: bool = True
    """False for an error."""
    low: float = 0.0
    """The least value that there can be."""
    high: float = 1.0
    """The largest; infinite for an error that has no bound."""

    def better(self, value: float, than: float | None) -> bool:
        """Whether `value` is better than another: anything is than None, any number than NaN."""
        if than is None:
            return True
        if math.isnan(value) or math.isnan(than):
            return math.isnan(than) and not math.isnan(value)
        return value > than if self.higher_is_better else value < than

    def best(self, rows: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
        """The first of the best rows; a row has the metric's value under its name."""
        found = rows[0]
        for row in rows[1:]:
            if self.better(row[self.name], found[self.name]):
                found = row
        return found


@dataclass(frozen=True)
class Option:
    """An option that a task adds to a command, and to the function behind it."""

    name: str
    """Of the argument in Python; on the command line with `--` and hyphens."""
    kind: type
    """bool for a switch, else int, float or str."""
    help: str
    """A short sentence."""
    metavar: str | None = None
    """What help calls its value; None for the kind's own name."""
    least: float | None = None
    """The least value that is taken; None for any."""
    reading: bool = False
    """Whether it is how outputs are read, of any file; else it is how weights are run."""


@dataclass(frozen=True)
class Defaults:
    """What is done unless someone says otherwise."""

    top: int = 5
    """Things that are reported in an image."""
    threshold: float = 0.0
    """The score from which they are."""
    batch: int = 32
    """Images that are run at once."""


@dataclass(frozen=True)
class Addition:
    """What a task adds to a command."""

    options: tuple[Option, ...] = ()
    """In the order of the help."""
    text: str = ""
    """One or two sentences for the command's help, on what it does with this use."""


@dataclass(frozen=True)
class Demo:
    """A network small enough to learn the built-in shapes while one waits."""

    title: str
    """Of the chapter."""
    model: str
    """The network's name."""
    settings: dict[str, Any]
    """Of the use's recipe to start from weights, changed: `--epochs`, `--set` and the like."""
    metric: str
    """The name of the result that counts."""
    threshold: float
    """What `metric` must reach on images never trained on: worse than with every seed that was
    tried, and far better than what a broken build gives."""
    guessing: str
    """What one gets without learning, in words."""
    weights: str | None = "mobilenet_v2_0.35_64.shapes"
    """WEIGHTS to start from, by default small ones in the package; None for random ones."""
    resolution: int | None = None
    """Pixels; None as `train` has it."""
    top: int = 100
    """Answers drawn on a picture."""
    agreement: float = 0.002
    """Largest difference of `metric` between the checkpoint and its export."""
    knobs: dict[str, Any] = field(default_factory=dict)
    """Arguments of the network's constructor."""
    data: str = "shapes"
    """The built-in data set."""


class Judged(NamedTuple):
    """An answer of a network in the demo, beside the truth."""

    truth: Any
    """What would be right, as the use's `decode` gives answers."""
    right: bool
    """Whether the answer is."""
    order: float
    """Pictures are shown by it, the highest first."""
    said: str
    """What there is to say of it, in a few words."""


class Verdict(NamedTuple):
    """What an evaluator says of one image."""

    truth: str
    """What is there, in words."""
    answer: str
    """What the model sees, in words."""
    right: bool
    """Whether the answer is, for the metric."""
    score: float | None
    """The model's score of its answer; None where it has none."""
    order: float
    """The lowest is the worst."""
    figures: Mapping[str, float]
    """By name: the loss, an overlap, how many objects were missed; the same of every image."""


class Confused(NamedTuple):
    """Something that was taken for something else."""

    truth: str
    """What it is, in words."""
    answer: str
    """What it was taken for."""
    times: int
    """How often, in the evaluator's `UNIT`."""
    share: float
    """Of all that is there of the truth; of what is not there, of all such answers."""


def first_output(outputs: Arrays, card: ModelCard) -> NDArray[np.float32]:
    """The output that the card names first."""
    return cast("NDArray[np.float32]", outputs[card.output.name])
