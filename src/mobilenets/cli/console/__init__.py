"""What the commands share: where they print, and how they end in an error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

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
    def stream(self) -> TextIO:
        """Where it all goes."""
        return sys.stderr if self._options.get("stderr") else sys.stdout

    @property
    def is_terminal(self) -> bool:
        """Whether a person is likely to read along."""
        return self.stream.isatty()

    def line(self, text: str, *, lead: str = "", style: str = "") -> None:
        """Print text as it is: broken between words on a terminal, in one piece elsewhere.

        A word that is longer than the terminal is wide is left whole, so that it can be copied.
        `lead`, in its `style`, stands in front; without one all is in this style.
        """
        if not self.is_terminal:
            self.write(lead + text)
            return
        from textwrap import wrap

        from rich.text import Text

        width = self.console.width
        lines = wrap(lead + text, width, break_long_words=False, break_on_hyphens=False)
        shown = Text("\n".join(lines))
        shown.stylize(style, 0, len(lead) or None)
        self.print(shown, soft_wrap=True)

    def write(self, text: str) -> None:
        """Print a line for programs: no colour, no width; what the encoding lacks is escaped."""
        encoding = self.stream.encoding or "utf-8"
        self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")

    def status(self, text: str) -> AbstractContextManager[Any]:
        """Show `text` on a terminal while something is done: a context."""
        return self.console.status(text) if self.is_terminal else nullcontext()


out = Printer()
"""Answers: tables and pictures' names."""
err = Printer(stderr=True)
"""Progress, notes and errors; an answer that is piped stays clean."""


def fail(message: str, status: int) -> NoReturn:
    """Print one line and end the process."""
    err.line(message, lead="error: ", style="bold red")
    sys.exit(status)


def say(line: str) -> None:
    """A line on standard error, just as it is."""
    err.line(line)


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
    the bar is better not `shown`. One thing has no bar, and neither has what no person sees.
    """
    if total == 1 or not shown or not err.is_terminal:
        yield lambda done: None
        return
    from rich.progress import Progress

    with Progress(console=err.console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.advance(task, done)
