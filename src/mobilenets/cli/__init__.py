"""The command line: one file per command; each parses, makes one library call, and prints."""

import os

import typer

from mobilenets.cli import demo, evaluate, export, models, predict, profile, train
from mobilenets.cli.console import fail
from mobilenets.errors import InputError

app = typer.Typer(
    name="mobilenets",
    help="Small, fast vision models: train, evaluate, predict, export, and know what they cost.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command("models")(models.run)
app.command("profile")(profile.run)
app.command("predict")(predict.run)
app.command("eval")(evaluate.run)
app.command("train")(train.run)
app.command("export")(export.run)
app.command("demo")(demo.run)


def main() -> None:
    """Run a command: exit status 0, 2 for a wrong argument, 1 for the rest, in one line."""
    try:
        app()
    except KeyboardInterrupt:
        fail("stopped", 1)
    except (InputError, OSError, ImportError, ValueError) as error:
        if os.environ.get("MOBILENETS_TRACEBACK"):
            raise
        fail(describe(error), 2 if isinstance(error, ValueError) else 1)


def describe(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, ModuleNotFoundError):
        return f"{error.name} is not installed; pip install 'mobilenets[train]' brings it"
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}"
    return " ".join(str(error).split())
