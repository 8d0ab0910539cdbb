"""Files that are whole or not there at all."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

LONGEST = 200
"""Bytes of a file's name in its temporary one: systems take 255, which the end has to fit."""


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside `path`, then rename it to `path`.

    The path is no other writer's, be it a thread, or a process of another container that thinks it
    has the same number: of several that write one file, the last one's is there, and whole.
    Whatever `write` raises (a full disk, say), `path` stays as it was and nothing is left over.
    """
    start = os.fsencode(path.name)[:LONGEST].decode("utf-8", "ignore")
    temporary = path.with_name(f".{start}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        if isinstance(error, OSError) and str(error.filename) == str(temporary):
            error.filename = str(path)  # of which the caller knows
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
