"""Files that are whole or not there at all, and what stands in place of one."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONGEST = 200
"""Bytes of a file's name in its temporary one: systems take 255, which the end has to fit."""

POINTER = b"version https://git-lfs"
"""How a text begins that Git LFS puts in place of a large file, until that is fetched."""


def absent(head: bytes) -> str:
    """In words, that the file beginning so is only a pointer to one that is elsewhere; else ''."""
    is_pointer = head.startswith(POINTER)
    return "a Git LFS pointer in place of the file: `git lfs pull` fetches it" if is_pointer else ""


def replace_file(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` with a temporary path beside `path`, then rename it to `path`.

    The path is no other writer's, be it a thread, or a process of another container that thinks it
    has the same number: of several that write one file, the last one's is there, and whole.
    Whatever `write` raises (a full disk, say), `path` stays as it was and nothing is left over.
    """
    start = os.fsencode(path.name)[:LONGEST].decode("utf-8", "ignore")
    temporary = path.with_name(f".{start}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
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


@contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make `folder` and those above it where they are not there; if what is inside fails, not.

    Folders that were there stay, and so does one in which somebody put something meanwhile.
    """
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for one in new:
            with suppress(OSError):
                one.rmdir()
        raise
