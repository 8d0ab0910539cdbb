"""Who hears what a run says: the terminal, unless a caller wants its lines elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Speak = Callable[[str], None]
HEARD: ContextVar[Speak | None] = ContextVar("HEARD", default=None)
"""Gets a run's lines in place of the terminal, which then has no bar either; None: nobody does."""


@contextmanager
def speaking(say: Speak | Literal["print"] | None) -> Iterator[Speak]:
    """While it lasts, runs say their lines to `say`; what it gives says lines to the same."""
    if say != "print" and say is not None and not callable(say):
        raise ValueError(f"say must be a function, None or 'print', got {say!r:.80}")
    listener: Speak | None = None if say == "print" else say or _nobody
    before = HEARD.set(listener)
    try:
        yield listener or _print
    finally:
        HEARD.reset(before)


def _print(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _nobody(line: str) -> None:
    """Nobody hears it."""


def quiet(line: str) -> None:
    """Say nothing: where another process speaks for all, or it was said before."""
