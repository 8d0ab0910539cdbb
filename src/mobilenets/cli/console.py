"""What the commands share: where they print, and how they end in an error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from rich.console import Console


class Printer:
    """A console of rich's that is made, and imported, when something is printed.

    A name such as `:smile:` is printed as it is.
    """

    def __init__(self, **options: Any) -> None:
        self._options = options

    @cached_property
    def console(self) -> "Console":
        """The console itself, made now if it was not."""
        from rich.console import Console

        return Console(emoji=False, **self._options)

    def print(self, *things: Any, **options: Any) -> None:
        """Print things as rich does, with its options."""
        self.console.print(*things, **options)

    @property
    def is_terminal(self) -> bool:
        """Whether a person is likely to read along."""
        return (sys.stderr if self._options.get("stderr") else sys.stdout).isatty()

    def status(self, text: str) -> Any:
        """Show `text` while something is done: a context."""
        return self.console.status(text)


out = Printer()
"""Answers: tables and pictures' names."""
err = Printer(stderr=True)
"""Progress, notes and errors; an answer that is piped stays clean."""


def fail(message: str, status: int) -> NoReturn:
    """Print one line and end the process."""
    from rich.markup import escape

    err.print(f"[bold red]error:[/] {escape(message)}", highlight=False, soft_wrap=True)
    sys.exit(status)


def say(line: str) -> None:
    """A line on standard error, just as it is."""
    if err.is_terminal:
        err.print(line, highlight=False, markup=False, soft_wrap=True)
    else:
        print(line, file=sys.stderr)  # noqa: T201


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
    the bar is better not `shown`. One thing has no bar.
    """
    if total == 1 or not shown:
        yield lambda done: None
        return
    from rich.progress import Progress

    with Progress(console=err.console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
