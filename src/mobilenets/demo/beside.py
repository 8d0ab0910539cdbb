"""Jobs side by side, each in a process of its own, whose lines arrive one by one."""

import io
import multiprocessing
import queue
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import redirect_stderr
from typing import Any

Say = Callable[[str], None]
POLL_SECONDS = 0.2
"""How long a job's end may go unnoticed."""


def beside(
    job: Callable[..., Any], calls: Sequence[tuple[Any, ...]], names: Sequence[str], say: Say
) -> list[Any]:
    """`job(*call, say=...)` for each of `calls`, all at once; what each gives, in order.

    `job` is a function of a module, since it is sent by name.
    What a job says or prints on standard error comes to `say` a line at a time, after its name.
    The first error of a job is raised when all have ended.
    """
    # Not a fork: torch's threads would not come along, and their locks would.
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(len(calls), context) as pool:
        lines = manager.Queue()
        jobs: list[Future[Any]] = [
            pool.submit(_run, job, call, name, lines)
            for call, name in zip(calls, names, strict=True)
        ]
        ended = False
        while not ended:
            ended = all(one.done() for one in jobs)  # before the queue is found empty, for good
            try:
                while True:
                    say(lines.get(timeout=0 if ended else POLL_SECONDS))
            except queue.Empty:
                pass
        return [one.result() for one in jobs]


def _run(job: Callable[..., Any], call: tuple[Any, ...], name: str, lines: Any) -> Any:
    def send(line: str) -> None:
        lines.put(f"{name}: {line}")

    with redirect_stderr(_Lines(send)) as printed:
        found = job(*call, say=send)
    printed.write("\n")
    return found


class _Lines(io.TextIOBase):
    """A text file that gives away each line: no terminal, so bars do not draw themselves."""

    def __init__(self, send: Say) -> None:
        self.send, self.rest = send, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *whole, self.rest = (self.rest + text).split("\n")
        for line in whole:
            if line.strip():
                self.send(line)
        return len(text)
