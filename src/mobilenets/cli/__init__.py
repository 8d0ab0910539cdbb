"""The command line: one file per command; each parses, makes one library call, and prints."""

import os
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

from mobilenets.cli.additions import first_paragraph
from mobilenets.cli.console import fail, out
from mobilenets.cli.console.help import Command, Group
from mobilenets.errors import InputError

COMMANDS = {
    "models": "costs.models",
    "profile": "costs.profile",
    "info": "info",
    "predict": "predict",
    "eval": "evaluate",
    "train": "train",
    "learn": "classes.learn",
    "export": "export",
    "compile": "compile",
    "bench": "bench",
    "embed": "vectors.write",
    "search": "vectors.find",
    "duplicates": "vectors.alike",
    "verify": "vectors.verify",
    "demo": "demo",
    "data": "data",
}
"""In the order of the help: a command's name -> its module here."""


FRAMED = 80
"""Columns of a terminal whose help has frames."""


def show_version(asked: bool) -> None:
    """Print the version and end."""
    if asked:
        from importlib.metadata import version

        out.print(f"mobilenets {version('mobilenets')}", highlight=False)
        raise typer.Exit


def common(
    asked: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Small, fast vision models: train, evaluate, predict, export, and know what they cost."""


def build_app(*commands: str) -> typer.Typer:
    """The command line with these commands alone: the modules of others are not imported."""
    settings: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
    framed = out.is_terminal and out.console.width >= FRAMED
    if out.is_terminal and not framed:
        settings["terminal_width"] = out.console.width  # the parser's own is never under 50
    made = typer.Typer(
        name="mobilenets",
        cls=Group,
        help=common.__doc__,
        pretty_exceptions_enable=False,
        # Help that is piped is plain text: what lays it out takes as long as all else. So is that
        # of a narrow terminal: frames would leave no room for the names of the options.
        rich_markup_mode="markdown" if framed else None,
        context_settings=settings,
    )
    made.callback()(common)
    for name in commands:
        module: Any = import_module(f"mobilenets.cli.{COMMANDS[name]}")
        if hasattr(module, "app"):
            made.add_typer(module.app, name=name)
        else:
            kind = getattr(module, "KIND", Command)
            made.command(name, cls=kind, short_help=first_paragraph(module.run))(module.run)
    return made


def __getattr__(name: str) -> Any:
    """`app`: the whole command line, made when it is asked for."""
    if name == "app":
        globals()[name] = build_app(*COMMANDS)
        return globals()[name]
    raise AttributeError(f"module {__name__} has no attribute {name}")


UsageError: Any = typer.BadParameter.__base__
"""What the parser raises: an option that does not exist, a value that is no number."""


def main() -> None:
    """Run a command: exit status 0, 2 for a wrong argument, 1 for the rest, in one line."""
    words = sys.argv[1:] or ["--help"]
    # A notebook names a backend here that the Python of this command may not have.
    os.environ["MPLBACKEND"] = "agg"
    try:
        app = build_app(*(words[:1] if words[0] in COMMANDS else COMMANDS))
        status = app(words, standalone_mode=False)
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
        from mobilenets.extras import missing

        return missing(error.name or str(error))
    if isinstance(error, OSError) and error.strerror:
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}"
    return " ".join(str(error).split())
