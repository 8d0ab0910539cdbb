"""What commands that write files do where one is there already: ask, or refuse."""

import sys
from collections.abc import Iterable
from pathlib import Path

import typer

from mobilenets.cli.console import err


def check_overwriting(paths: Iterable[Path], *, force: bool, json: bool, option: str) -> None:
    """Return where `paths` may be written: none is there, `force`, or a person said yes.

    A person is asked in a terminal, and never with `json`. ValueError, naming the `option` that
    gave the paths, where nobody can be asked; typer.Abort where the answer is no. A folder in the
    place of a file is refused in any case.
    """
    there = [path for path in paths if path.exists() or path.is_symlink()]
    folders = [path for path in there if path.is_dir()]
    if folders:
        raise ValueError(f"{option} must be a file, {folders[0]} is a folder")
    if force or not there:
        return
    first, more = there[0], len(there) - 1
    what = f"{first} and {more} more are there already" if more else f"{first} is there already"
    if json or not (sys.stdin.isatty() and err.is_terminal):
        raise ValueError(f"{option}: {what}; --force overwrites, another {option} keeps it")
    typer.confirm(f"{what}. Overwrite?", abort=True, err=True)


def check_pictures(targets: Iterable[Path], writer: str, *, force: bool, json: bool) -> None:
    """Return where the pictures of `--save-dir` may be written: over those of `writer`, freely.

    Over other files as `check_overwriting` says.
    """
    from mobilenets.saved import written_by_others

    others = written_by_others(targets, writer)
    check_overwriting(others, force=force, json=json, option="--save-dir")
