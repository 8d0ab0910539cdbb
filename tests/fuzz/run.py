"""Damaged files by the thousand, each read in a process that may take so much time and memory.

    python -m tests.fuzz.run --files 100000 --state fuzz --workers 2
    python -m tests.fuzz.run --replay onnx.fields:1234 --state fuzz

File number i is made by random numbers from i alone, so a failure can be replayed by its name.
The state folder keeps the seeds, how far each worker has come, and in failures.txt what went
wrong: any error but those of `errors.py` and a ValueError of ours in one line, a word on the
terminal, more than 60 seconds or 4 GB, and, as a hint, more than 2 seconds or 500 MB. The same
command goes on where it was stopped.
"""

import argparse
import contextlib
import json
import logging
import os
import random
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS, BYTES = 60, 4 << 30
"""What a file may take: seconds of a processor, and memory."""
ASLEEP = 10
"""Times `SECONDS` by the clock, for one that waits for something and for a busy machine."""
SLOW, LARGE = 2.0, 500 << 20
"""What is told though it is no failure: seconds, and bytes more than before."""
BLOCK = 250
"""Files that one forked process reads."""


def prepare(state: Path, *, heavy: bool) -> dict[str, tuple[Any, Path]]:
    """Subjects with their seeds, which are written where they are missing."""
    from tests.fuzz.table import subjects

    found = {}
    for name, subject in subjects().items():
        if subject.heavy and not heavy:
            continue
        folder = state / "seeds" / name
        note = folder / "where"
        if not note.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            note.write_text(str(subject.write(folder).relative_to(folder)))
        found[name] = subject, folder / note.read_text()
    return found


def warm(found: dict[str, tuple[Any, Path]]) -> None:
    """Read every seed once, so that what is imported late is there in every forked process."""
    import torch

    torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for subject, seed in found.values():
            with contextlib.suppress(Exception), tempfile.TemporaryDirectory() as folder:
                subject.read(subject.damage(random.Random(0), seed, Path(folder)))


def chosen(index: int, found: dict[str, tuple[Any, Path]]) -> str:
    """The subject of file number `index`."""
    names = sorted(found)
    return random.Random(f"which {index}").choices(names, [found[n][0].weight for n in names])[0]


def one(name: str, index: int, found: dict[str, tuple[Any, Path]], folder: Path) -> str:
    """What came of one file: `read`, `refused`, or what went wrong, in several lines."""
    from mobilenets.errors import InputError

    subject, seed = found[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        path = subject.damage(random.Random(f"{name} {index}"), seed, folder)
    except Exception as error:  # the fuzzer's own
        return f"not made: {error!r}\n{traceback.format_exc()}"
    told = 2
    start = os.lseek(told, 0, os.SEEK_END) if stat.S_ISREG(os.fstat(told).st_mode) else None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            subject.read(path)
        answer = "read"
    except (InputError, FileNotFoundError, ValueError) as error:
        message = str(error)
        answer = "refused"
        last = traceback.extract_tb(error.__traceback__)[-1].filename
        if isinstance(error, ValueError) and "mobilenets" not in last:  # none that we raise
            answer = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        if "\n" in message or len(message) > 5000:
            answer = f"not one short line: {message[:1500]}"
    except BaseException as error:
        answer = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
    if start is not None and os.lseek(told, 0, os.SEEK_END) > start:
        os.lseek(told, start, os.SEEK_SET)
        if answer in ("read", "refused"):
            answer = f"said: {os.read(told, 300)!r}"
        os.lseek(told, 0, os.SEEK_END)
    return answer


class Told(logging.Handler):
    """Takes what the package tells a program that loads weights; each is one line."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if "\n" in message or len(message) > 5000:
            os.write(2, f"not one short line: {message[:200]}\n".encode())


def child(indices: list[int], found: Any, pipe: int, seconds: int) -> None:
    """Read these files one by one, and say what came of each."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as temporary, tempfile.TemporaryFile() as told:
        os.dup2(told.fileno(), 2)
        os.environ["MOBILENETS_CACHE"] = f"{temporary}/cache"
        logging.getLogger("mobilenets").addHandler(Told())
        for index in indices:
            os.write(pipe, f"{json.dumps([index, 'began'])}\n".encode())
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            start = time.process_time()
            name = chosen(index, found)
            answer = one(name, index, found, Path(temporary) / "file")
            spent = time.process_time() - start
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
            if answer in ("read", "refused") and (spent > SLOW or grown > LARGE):
                answer = f"{answer}, but {spent:.1f} s, {grown >> 20} MB"
            line = json.dumps([index, answer[-3000:] if len(answer) > 3000 else answer])
            os.write(pipe, f"{line}\n".encode())
            if os.fstat(2).st_size > 1 << 20:
                os.ftruncate(2, 0)


def spent_by(process: int) -> float:
    """Seconds of a processor that a process has taken; where nobody says, so many that it ends."""
    try:
        return time.clock_gettime(~process << 3 | 2)  # Linux's clock of a process
    except OSError:
        return float("inf")


def block(indices: list[int], found: Any, seconds: int) -> Iterator[tuple[int, str]]:
    """The same in a forked process; what kills it is what came of that file."""
    while indices:
        ours, theirs = os.pipe()
        process = os.fork()
        if not process:
            os.close(ours)
            with contextlib.suppress(BaseException):
                child(indices, found, theirs, seconds)
            os._exit(0)
        os.close(theirs)
        began, held, late = indices[0], b"", False
        waited, before = 0, 0.0
        while True:
            ready, _, _ = select.select([ours], [], [], seconds)
            if not ready:
                waited += 1
                if waited < ASLEEP and spent_by(process) - before < seconds:
                    continue
                late = True
                os.kill(process, signal.SIGKILL)
                break
            data = os.read(ours, 1 << 16)
            if not data:
                break
            waited, before = 0, spent_by(process)
            held += data
            *lines, held = held.split(b"\n")
            for line in lines:
                index, answer = json.loads(line)
                began = index
                if answer != "began":
                    yield index, answer
                    indices = [i for i in indices if i > index]
        os.close(ours)
        _, status = os.waitpid(process, 0)
        if indices:
            yield began, f"late: more than {seconds} s" if late else f"died: status {status}"
            indices = [i for i in indices if i > began]


def work(state: Path, first: int, last: int, step: int, *, heavy: bool, seconds: float) -> Counter:
    """Every `step`-th file from `first` to `last`; what came of them, in the state folder too."""
    found = prepare(state, heavy=heavy)
    warm(found)
    place = state / f"worker-{first}-of-{step}.json"
    kept = json.loads(place.read_text()) if place.is_file() else {"next": first, "counts": {}}
    counts = Counter(kept["counts"])
    until = time.monotonic() + seconds
    index = kept["next"]
    while index < last and time.monotonic() < until:
        indices = list(range(index, min(last, index + BLOCK * step), step))
        for number, answer in block(indices, found, SECONDS):
            name = chosen(number, found)
            fine = answer in ("read", "refused")
            counts[f"{name} {answer}" if fine else f"{name} FAILED"] += 1
            if not fine:
                with (state / "failures.txt").open("a") as file:
                    file.write(f"=== {name}:{number}\n{answer}\n")
            index = number + step
            if time.monotonic() > until and (number // step) % 20 == 0:
                break
        place.write_text(json.dumps({"next": index, "counts": counts}))
    return counts


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def beside(state: Path, workers: int, *, heavy: bool) -> None:
    """The same command once for each worker, when the seeds are there."""
    prepare(state, heavy=heavy)
    command = [sys.executable, "-m", "tests.fuzz.run", *sys.argv[1:]]
    running = [subprocess.Popen([*command, "--only", str(i)]) for i in range(workers)]
    for process in running:
        process.wait()


def summary(state: Path) -> None:
    """What came of the files of each subject, and of all."""
    total: Counter = Counter()
    for path in state.glob("worker-*.json"):
        total += Counter(json.loads(path.read_text())["counts"])
    for key, number in sorted(total.items()):
        say(f"{number:7} {key}")
    say(f"{sum(total.values()):7} files; failures are in {state / 'failures.txt'}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e9, help="Stop after so long.")
    parser.add_argument("--light", action="store_true", help="Only seeds that are quickly made.")
    parser.add_argument("--replay", help="SUBJECT:NUMBER of a failure; the file is kept.")
    parser.add_argument("--only", type=int, help="One of the workers, in this process.")
    asked = parser.parse_args()
    asked.state.mkdir(parents=True, exist_ok=True)
    heavy = not asked.light
    if asked.replay:
        name, _, number = asked.replay.rpartition(":")
        found = prepare(asked.state, heavy=heavy)
        say(one(name, int(number), found, asked.state / "replayed"))
        return
    if asked.only is None and asked.workers > 1:
        beside(asked.state, asked.workers, heavy=heavy)
    else:
        first, last = asked.first + (asked.only or 0), asked.first + asked.files
        work(asked.state, first, last, asked.workers, heavy=heavy, seconds=asked.seconds)
    if asked.only is None:
        summary(asked.state)


if __name__ == "__main__":
    main()
