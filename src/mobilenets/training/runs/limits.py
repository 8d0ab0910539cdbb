"""What ends a run before its recipe does: time, no progress, or a person."""

import math
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from mobilenets.data.listing import count
from mobilenets.tasks.checks import check_number
from mobilenets.tasks.values import Metric

MARGIN = 0.05
"""Share of the time that is left over: steps and evaluations are never equally long."""
TRIED = 4
"""Steps that are timed, after one that is not: the first takes longer."""


@dataclass(frozen=True)
class Limits:
    """How long a run may take; None for no limit."""

    minutes: float | None = None
    """Wall-clock minutes of the whole run, all its tries together. They decide the epochs."""
    patience: int | None = None
    """Epochs in a row without a better result, after which it ends."""
    epochs: int | None = None
    """With `minutes`: the most epochs, though more would fit."""

    def __post_init__(self) -> None:
        if self.minutes is not None:
            check_number("minutes", self.minutes, above=0, most=1e6)
        if self.patience is not None and (type(self.patience) is not int or self.patience < 1):
            raise ValueError(f"patience must be a positive integer, got {self.patience!r}")

    def fitting(self, seconds: float, epoch: float) -> int:
        """Epochs of `epoch` seconds each for which `seconds` are enough; one at least."""
        found = max(math.floor(seconds * (1 - MARGIN) / epoch), 1)
        return found if self.epochs is None else min(found, self.epochs)

    def reason(self, history: Sequence[Mapping[str, Any]], metric: Metric, since: int = 0) -> str:
        """Why a run with this `history` has no more patience, in words; empty while it has.

        Epochs count from `since` at the earliest.
        """
        waited = int(history[-1]["epoch"] - max(metric.best(history)["epoch"], since))
        if self.patience is None or waited < self.patience:
            return ""
        return f"{count(waited, 'epoch', 'epochs')} without a better result: the run ends here"


def seconds_each(steps: Iterable[object]) -> float:
    """The median time of the first few steps, which happen as they are asked for.

    The very first is left out: it takes longer.
    """
    times, last = [], time.monotonic()
    for _ in islice(steps, 1 + TRIED):
        times.append(time.monotonic() - last)
        last = time.monotonic()
    return statistics.median(times[1:] or times)


class Clock:
    """The time of a run, from when this is made, and what its limits leave of it."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.started = time.monotonic()
        self.before = 0.0
        """Seconds that earlier tries of the run took."""

    @property
    def seconds(self) -> float:
        """What the run took until now."""
        return self.before + time.monotonic() - self.started

    @property
    def left(self) -> float:
        """Seconds until its time is over; infinite without a limit."""
        minutes = self.limits.minutes
        return math.inf if minutes is None else 60 * minutes - self.seconds

    def restart(self) -> None:
        """All of its time again, from now on."""
        self.started, self.before = time.monotonic(), 0.0
