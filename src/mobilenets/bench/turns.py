"""Sides at one number of threads, taking turns: one runs while the others sleep."""

import statistics
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from mobilenets.bench.figures import Measured, Skipped
from mobilenets.bench.processes import Process, SideError, wait_for_rest
from mobilenets.bench.sides import find

MOST_RUNS = 2000
"""In one turn, however fast they are."""


class Turns:
    """Processes that are loaded once and then run in rounds; closed as a context.

    A side that fails is left out from there on: it moves from `found` to `skipped`.
    """

    def __init__(self, threads: int, folder: Path) -> None:
        self.threads = threads
        self.folder = folder
        self.found: dict[str, Measured] = {}
        """What was measured, by side."""
        self.skipped: list[Skipped] = []
        self._processes: dict[str, Process] = {}
        self._runs: dict[str, int] = {}
        self._stack = ExitStack()

    def __enter__(self) -> "Turns":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self, name: str, python: str, seconds: float) -> None:
        """Start a side under the interpreter `python`; each of its turns takes about `seconds`."""

        def work(name: str) -> None:
            process = Process("run", name, self.folder, [self.threads], python)
            self._processes[name] = self._stack.enter_context(process)
            answer = process.answer()
            outputs = [np.load(self.folder / file) for file in answer["outputs"]]
            self.found[name] = Measured(outputs=outputs, version=answer["version"])
            wanted = round(seconds * 1e9 / max(statistics.median(answer["ns"]), 1))
            self._runs[name] = min(max(wanted, 1), MOST_RUNS)

        self._attempt(name, work)

    def round(self, number: int) -> None:
        """One turn each; who begins moves on by one with `number`."""
        names = list(self.found)
        first = number % max(len(names), 1)
        for name in names[first:] + names[:first]:
            wait_for_rest(self._processes.values())
            self._attempt(name, self._turn)

    def end(self) -> None:
        """Ask each for the memory it took, and let it go."""
        for name in list(self.found):
            self._attempt(name, self._last)

    def _turn(self, name: str) -> None:
        answer = self._processes[name].tell(f"go {self._runs[name]}")
        self.found[name].rounds.append(answer["ns"])

    def _last(self, name: str) -> None:
        answer = self._processes[name].tell("end")
        self.found[name].memory, self.found[name].peak = answer["memory"], answer["peak"]

    def _attempt(self, name: str, work: Callable[[str], None]) -> None:
        try:
            work(name)
        except SideError as error:
            self.found.pop(name, None)
            self.skipped.append(Skipped(name, self.threads, why(name, error)))


def why(name: str, error: SideError) -> str:
    """Why a side is not there, and what would bring it."""
    if error.missing is None:
        return str(error)
    install = find(name).install
    return f"{error.missing} is not installed" + (f"; pip install {install}" if install else "")
