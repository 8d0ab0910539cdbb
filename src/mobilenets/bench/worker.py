"""One side in a process of its own: converted, or run when it is told to.

`python -m mobilenets.bench.worker run SIDE FOLDER THREADS` loads, warms up, writes its outputs
and says so; each line `go N` on standard input is answered with the nanoseconds of N runs, and
`end` with the memory that was taken. Between answers it sleeps, reading. `... worker convert SIDE
FOLDER THREADS...` makes the file that SIDE reads. Answers are lines of JSON on standard output;
what a library prints goes to standard error.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import IO, Any

import numpy as np

from mobilenets.bench.convert import IMAGE
from mobilenets.bench.sides import Run, find

WARM_RUNS, WARM_SECONDS = 5, 0.3
"""At least so many runs before anything is timed, and at least so long."""
WAKE_RUNS = 3
"""Before the timed runs of a turn: caches are another process's, and threads asleep."""


def own_output() -> IO[str]:
    """Where answers go; whatever a library prints goes to standard error from here on."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    return answers


def failure(error: Exception) -> dict[str, Any]:
    """An exception as an answer, in one line; `missing` is the library that is not there."""
    text = " ".join(str(error).split()) or type(error).__name__
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and missing.partition(".")[0] == "mobilenets":
        missing = None  # an error of ours, that nothing to install would mend
    return {"error": text if len(text) <= 300 else f"{text[:300]} ...", "missing": missing}


def memory() -> tuple[int, int]:
    """Resident bytes of this process, now and at most so far.

    Where the system has no /proc the first is the second; (0, 0) where it does not say at all.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        found = dict(line.split(":", 1) for line in lines)
        return (int(found["VmRSS"].split()[0]) * 1024, int(found["VmHWM"].split()[0]) * 1024)
    except OSError:
        pass
    try:
        resource: Any = import_module("resource")
    except ModuleNotFoundError:
        return 0, 0
    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    most *= 1 if sys.platform == "darwin" else 1024
    return most, most


def warm(run: Run) -> list[int]:
    """Runs before anything counts: their nanoseconds."""
    taken = timed(run, WARM_RUNS)
    while sum(taken) < WARM_SECONDS * 1e9:
        taken += timed(run, 1)
    return taken


def timed(run: Run, count: int) -> list[int]:
    """The nanoseconds of each of `count` runs."""
    taken = []
    for _ in range(count):
        start = time.perf_counter_ns()
        run()
        taken.append(time.perf_counter_ns() - start)
    return taken


def save_outputs(run: Run, folder: Path, stem: str) -> list[str]:
    """Runs once and writes what comes out; the names of the files."""
    names = []
    for index, values in enumerate(run()):
        names.append(f"{stem}-{index}.npy")
        np.save(folder / names[-1], values)
    return names


def serve(name: str, folder: Path, threads: int, orders: IO[str], answers: IO[str]) -> None:
    """Load, then do what `orders` say until they end."""

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    side = find(name)
    image = np.load(folder / IMAGE)
    for module in side.modules:
        import_module(module)
    version = side.version  # the machinery behind it takes memory too, so before the first look
    before, _ = memory()
    run = side.open(side.reads(folder) or folder / side.files[0], threads, image)
    taken = warm(run)
    outputs = save_outputs(run, folder, f"{name.replace(':', '-')}-{threads}")
    answer(ns=taken[-WARM_RUNS:], outputs=outputs, version=version)
    for line in orders:
        word, *count = line.split()
        if word != "go":
            break
        timed(run, WAKE_RUNS)
        answer(ns=timed(run, int(count[0])))
    after, most = memory()
    answer(memory=after - before, peak=most - before)


def answering(work: Callable[[IO[str]], None]) -> int:
    """Do `work`, which is given where answers go; an exception is the last answer.

    The exit status of the process.
    """
    answers = own_output()
    try:
        work(answers)
    except Exception as error:  # a runtime's can be of any class
        print(json.dumps(failure(error)), file=answers, flush=True)
        return 1
    return 0


def main(work: str, name: str, folder: str, *threads: str) -> int:
    """Do as the arguments of the command line say."""

    def do(answers: IO[str]) -> None:
        if work == "run":
            serve(name, Path(folder), int(threads[0]), sys.stdin, answers)
            return
        make = find(name).convert
        if make is not None:
            make(Path(folder), [int(count) for count in threads])
        print("{}", file=answers, flush=True)

    return answering(do)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
