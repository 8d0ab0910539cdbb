"""Help pages that a narrow terminal has room for."""

from typing import Any

from typer.core import TyperCommand, TyperGroup

CONTEXT: Any = TyperCommand.context_class
FORMATTER: Any = CONTEXT.formatter_class


class Formatter(FORMATTER):  # type: ignore[misc]
    """Lays out options: on a narrow terminal what they do stands below them, little indented."""

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        """Two columns; the first is at most a fifth of a terminal under 60 columns."""
        narrow = self.width < 60
        super().write_dl(rows, self.width // 5 if narrow else col_max, col_spacing)


class Context(CONTEXT):  # type: ignore[misc]
    """What a command is called in; its help is laid out by `Formatter`."""

    formatter_class = Formatter


class Command(TyperCommand):
    """A command with such a help page."""

    context_class = Context


class Group(TyperGroup):
    """Commands under a name, with such a help page."""

    context_class = Context
