"""What a comparison found, and the figures that follow from it."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
REFERENCES = ("onnxruntime", "torch", "litert")
"""Whose outputs the others are compared with: the first of these that took part."""


class Ratio(NamedTuple):
    """A side's time over ours, round by round: the middle and the quartiles."""

    median: float
    low: float
    high: float


@dataclass
class Measured:
    """One side at one number of threads."""

    rounds: list[list[int]] = field(default_factory=list)
    """The nanoseconds of every run, by round."""
    outputs: list[Array] = field(default_factory=list)
    memory: int = 0
    """Resident bytes after the runs, less those after the imports."""
    peak: int = 0
    """The same at their most, conversion at loading included."""
    version: str = ""
    agreement: float | None = None
    """Largest difference from the reference over its largest output; None without one."""

    @property
    def median_ms(self) -> float:
        """The median over all rounds, in milliseconds."""
        return statistics.median(value for turn in self.rounds for value in turn) / 1e6

    @property
    def best_ms(self) -> float:
        """The shortest of all rounds, in milliseconds."""
        return min(value for turn in self.rounds for value in turn) / 1e6

    def to_dict(self) -> dict[str, Any]:
        """JSON values; memory in millions of bytes."""
        return {
            "median_ms": self.median_ms,
            "best_ms": self.best_ms,
            "memory_mb": self.memory / 1e6,
            "peak_mb": self.peak / 1e6,
            "agreement": self.agreement,
            "version": self.version,
        }


def ratio(theirs: Measured, ours: Measured) -> Ratio:
    """Their median over ours in each round, and how that spreads over the rounds.

    The two took turns, so that what slows the machine down for a while slows both.
    """
    medians = [
        statistics.median(a) / statistics.median(b)
        for a, b in zip(theirs.rounds, ours.rounds, strict=True)
    ]
    return spread(medians)


def spread(ratios: Sequence[float]) -> Ratio:
    """The middle of one ratio for each round, and the quartiles."""
    if len(ratios) == 1:
        return Ratio(ratios[0], ratios[0], ratios[0])
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return Ratio(middle, low, high)


def agreement(found: Sequence[Array], reference: Sequence[Array]) -> float | None:
    """The largest difference over the largest value of the reference, over all outputs.

    Of whole numbers (classes): the share that differ. Shapes may differ by sizes of one, and maps
    may have their channels last. None where outputs are not comparable or not finite.
    """
    if [a.size for a in found] != [b.size for b in reference]:
        return None
    worst = 0.0
    for a, b in zip(found, reference, strict=True):
        if b.dtype.kind in "iu":
            worst = max(worst, float((a.ravel() != b.ravel()).mean()))
            continue
        if a.ndim == 4 and a.shape == (len(b), *b.shape[2:], *b.shape[1:2]) != b.shape:
            a = a.transpose(0, 3, 1, 2)
        scale = max(float(np.abs(b).max(initial=0)), 1e-12)
        worst = max(worst, float(np.abs(a.ravel() - b.ravel()).max(initial=0)) / scale)
        if not np.isfinite(a).all():
            return None
    return worst


class Skipped(NamedTuple):
    """A side that did not take part, and why."""

    side: str
    threads: int | None
    """None for all numbers of threads."""
    reason: str


@dataclass
class Comparison:
    """Every side at every number of threads."""

    ours: str
    rounds: int
    sides: dict[str, dict[int, Measured]] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)
    machine: dict[str, Any] = field(default_factory=dict)

    def add(self, threads: int, found: dict[str, Measured]) -> None:
        """Take in what was measured at a number of threads, and see who agrees with whom."""
        reference = next((found[name] for name in REFERENCES if name in found), None)
        for name, measured in found.items():
            if reference is not None:
                measured.agreement = agreement(measured.outputs, reference.outputs)
            self.sides.setdefault(name, {})[threads] = measured

    def threads(self) -> list[int]:
        """The numbers of threads at which anything ran."""
        return sorted({count for found in self.sides.values() for count in found})

    def best_peer(self, threads: int) -> str | None:
        """The fastest of the others by its median."""
        peers = {
            name: found[threads].median_ms
            for name, found in self.sides.items()
            if name != self.ours and threads in found
        }
        return min(peers, key=peers.__getitem__, default=None)

    def ratio_to_best_peer(self, threads: int) -> float | None:
        """The best peer's time over ours, the middle of the rounds; above 1 we are faster.

        None without both.
        """
        best = self.best_peer(threads)
        found = self.ratios().get(best, {}).get(threads) if best is not None else None
        return None if found is None else found.median

    def ratios(self) -> dict[str, dict[int, Ratio]]:
        """Every peer's ratio to ours, by number of threads."""
        ours = self.sides.get(self.ours, {})
        return {
            name: {n: ratio(one, ours[n]) for n, one in found.items() if n in ours}
            for name, found in self.sides.items()
            if name != self.ours
        }

    def to_dict(self) -> dict[str, Any]:
        """JSON values, numbers of threads as text."""
        return {
            "ratio_to_best_peer": {str(n): self.ratio_to_best_peer(n) for n in self.threads()},
            "best_peer": {str(n): self.best_peer(n) for n in self.threads()},
            "sides": {
                name: {str(n): one.to_dict() for n, one in found.items()}
                for name, found in self.sides.items()
            },
            "ratios": {
                name: {str(n): one._asdict() for n, one in found.items()}
                for name, found in self.ratios().items()
            },
            "skipped": [one._asdict() for one in self.skipped],
            "rounds": self.rounds,
            "machine": self.machine,
        }
