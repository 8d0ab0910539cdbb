"""What the commands share: where they print, and how they end in an error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

out = Console()
"""Answers: tables and pictures' names."""
err = Console(stderr=True)
"""Progress, notes and errors; an answer that is piped stays clean."""


def fail(message: str, status: int) -> NoReturn:
    """Print one line and end the process."""
    err.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(status)


def say(line: str) -> None:
    """A line on standard error, just as it is."""
    err.print(line, highlight=False, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """An answer for programs: JSON and nothing else on standard output."""
    print(json.dumps(value, indent=2))  # noqa: T201


class JsonList:
    """A list for programs that is printed item by item, as `print_json` would print the whole.

    So that an answer on many images is not kept. An error in between leaves a list without an end.
    """

    def __init__(self) -> None:
        self.lead = "["

    def add(self, value: Any) -> None:
        """Print the next item, a comma before it where it is not the first."""
        text = json.dumps(value, indent=2).replace("\n", "\n  ")
        sys.stdout.write(f"{self.lead}\n  {text}")
        self.lead = ","

    def end(self) -> None:
        """Close the list: nothing comes after this."""
        print("[]" if self.lead == "[" else "\n]")  # noqa: T201


@contextmanager
def progress(title: str, total: int, *, shown: bool = True) -> Iterator[Callable[[int], None]]:
    """A bar on standard error; call what it gives with the number of things just done.

    What is printed meanwhile goes where it belongs: where that is the same terminal, and much,
    the bar is better not `shown`.
    """
    with Progress(console=err, transient=True, redirect_stdout=False, disable=not shown) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
