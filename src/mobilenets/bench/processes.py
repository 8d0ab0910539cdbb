"""A worker's process, seen from outside: asked in lines, and never waited for without end."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from mobilenets.bench import worker

PATIENCE = 900.0
"""Seconds that a worker may take for one answer."""
PAUSE, LONGEST_PAUSE = 0.03, 1.0
"""Seconds between turns: looks at whether everybody sleeps are so far apart, and go on so long.

Threads of some libraries spin for a good part of a second after a run, on the cores that the next
side needs: it would be measured at half its speed.
"""


class SideError(Exception):
    """One side cannot take part; the others go on. The message is one line."""

    def __init__(self, message: str, missing: str | None = None) -> None:
        super().__init__(message)
        self.missing = missing
        """The module that is not installed, where that is why."""


class Process:
    """`worker.py` at work under some interpreter; close it, or use it as a context."""

    def __init__(
        self,
        work: str,
        side: str,
        folder: Path,
        threads: list[int],
        python: str = sys.executable,
        module: str = worker.__name__,
    ) -> None:
        """Start it; `work` is `run` or `convert`. SideError where `python` cannot be started."""
        label = "-".join([work, side.replace(":", "-"), *map(str, threads)])
        self._log = folder / f"{label}.log"
        command = [python, "-m", module, work, side, str(folder), *map(str, threads)]
        try:
            with self._log.open("wb") as log:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    env=environment(folder, python),
                )
        except OSError as error:
            raise SideError(f"{python}: {error.strerror}") from error

    def __enter__(self) -> "Process":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def tell(self, line: str) -> dict[str, Any]:
        """Send an order, and its answer."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it is gone; its last answer or its end says why
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """The next answer; SideError for an error, an end without a word, and for silence."""
        assert self._process.stdout is not None
        guard = threading.Timer(PATIENCE, self._process.kill)
        guard.start()
        try:
            line = self._process.stdout.readline()
        finally:
            late = not guard.is_alive()
            guard.cancel()
        try:
            found = json.loads(line)
        except ValueError:
            raise SideError(self._why(late)) from None
        if "error" in found:
            raise SideError(found["error"], found["missing"])
        return dict(found)

    def used(self) -> float:
        """Processor time that it has used, in seconds; where that is not told, the time of day."""
        try:
            stat = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return time.monotonic()
        user, system = stat.rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(OSError):  # an order that was never read
                pipe.close()

    def _why(self, late: bool) -> str:
        if late:
            return f"no answer in {PATIENCE:.0f} seconds"
        status = self._process.wait()
        said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = f": {said[-1].strip()[:200]}" if said else ""
        return f"its process ended with status {status}{last}"


def wait_for_rest(processes: Collection[Process]) -> None:
    """Until none of them uses a processor, or a second has gone."""
    end = time.monotonic() + LONGEST_PAUSE
    before = -1.0
    while (now := sum(one.used() for one in processes)) != before and time.monotonic() < end:
        before = now
        time.sleep(PAUSE)


def environment(folder: Path, python: str) -> dict[str, str]:
    """Our own; where the interpreter is another, this package is put in its reach.

    The package alone, by a link: our other libraries are not for that interpreter.
    """
    if python == sys.executable:
        return dict(os.environ)
    reach = folder / "reach"
    reach.mkdir(exist_ok=True)
    link = reach / "mobilenets"
    if not link.exists():
        link.symlink_to(Path(__file__).parents[1], target_is_directory=True)
    paths = [str(reach), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
