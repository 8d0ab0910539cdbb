"""Ctrl-C and SIGTERM, which end a run after the step at hand."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from mobilenets.errors import TrainingError


class InterruptedRunError(TrainingError):
    """Someone stopped the run; its state is in `folder`."""

    def __init__(self, message: str, folder: Path | None = None) -> None:
        super().__init__(message)
        self.folder = folder


class Stoppable(Protocol):
    """What looks at `stop` after each step."""

    stop: bool


@contextmanager
def asked_to_stop(run: Stoppable) -> Iterator[None]:
    """Set `run.stop` when somebody presses Ctrl-C or sends SIGTERM; asked twice, the program ends.

    Threads beside the main one are told of no signals.
    """

    def ask(number: int, _: object) -> None:
        run.stop = True
        signal.signal(number, before[signal.Signals(number)])

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
