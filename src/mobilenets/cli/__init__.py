"""The command line: one file per command; each parses, makes one library call, and prints."""

import os
import sys
from importlib.metadata import version
from typing import Annotated, Any

import typer

from mobilenets.cli import bench, data, demo, evaluate, export, models, predict, profile, train
from mobilenets.cli import compile as compiling
from mobilenets.cli.console import fail, out
from mobilenets.errors import InputError

app = typer.Typer(
    name="mobilenets",
    help="Small, fast vision models: train, evaluate, predict, export, and know what they cost.",
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        out.print(f"mobilenets {version('mobilenets')}", highlight=False)
        raise typer.Exit


@app.callback()
def options(
    asked: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Small, fast vision models: train, evaluate, predict, export, and know what they cost."""


app.command("models")(models.run)
app.command("profile")(profile.run)
app.command("predict")(predict.run)
app.command("eval")(evaluate.run)
app.command("train")(train.run)
app.command("export")(export.run)
app.command("compile")(compiling.run)
app.command("bench")(bench.run)
app.command("demo")(demo.run)
app.add_typer(data.app, name="data")


RUNTIME = ("onnxruntime",)
"""What the extra of that name brings; all else comes with `train`."""
UsageError: Any = typer.BadParameter.__base__
"""What the parser raises: an option that does not exist, a value that is no number."""


def main() -> None:
    """Run a command: exit status 0, 2 for a wrong argument, 1 for the rest, in one line."""
    try:
        status = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        fail("stopped", 1)
    except BrokenPipeError:  # whoever read our answer has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except UsageError as error:
        fail(f"{error.format_message().rstrip('.')}; --help shows what there is", 2)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "out of memory" not in str(error):
            raise
        fail("out of memory; try a smaller batch size, or --set accumulate=2 in training", 1)
    except (InputError, OSError, ImportError, ValueError) as error:
        if os.environ.get("MOBILENETS_TRACEBACK"):
            raise
        fail(describe(error), 2 if isinstance(error, ValueError) else 1)
    sys.exit(status or 0)


def describe(error: Exception) -> str:
    """An error in one line."""
    if isinstance(error, ModuleNotFoundError):
        extra = "runtime" if error.name in RUNTIME else "train"
        return f"{error.name} is not installed; pip install 'mobilenets[{extra}]' brings it"
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}"
    return " ".join(str(error).split())
