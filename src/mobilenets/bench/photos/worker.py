"""One side in a process of its own: it answers all files whenever it is told to.

`python -m mobilenets.bench.photos.worker run SIDE FOLDER THREADS`. In FOLDER lie the model and
`photos.json`, the list of the files and how the model takes images. Loading and one pass over
the first files come first; `go N` on standard input is answered with the nanoseconds of a pass
over all files, N times, and the answer to each file.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from mobilenets.bench.convert import ONNX
from mobilenets.bench.worker import answering

LIST = "photos.json"
OURS, PLAIN = "mobilenets", "plain program"
WARM_FILES = 16
Answers = Callable[[Sequence[Path]], list[int]]
"""Files to each one's best output; -1 for a file that cannot be read."""


def open_ours(model: Path, threads: int, recipe: dict[str, Any], files: Sequence[Path]) -> Answers:
    """What `mobilenets predict MODEL FILES` does, without the printing."""
    from mobilenets.inference import open_session, predict
    from mobilenets.tasks.registry import task_of

    session = open_session(model, threads=threads, many=len(files) > 1)
    task = task_of(session.card)

    def run(files: Sequence[Path]) -> list[int]:
        seen = predict(session, files, task, top=1, threshold=0)
        return [-1 if one.error else one.decoded[0].index for one in seen]

    return run


def open_plain(model: Path, threads: int, recipe: dict[str, Any], files: Sequence[Path]) -> Answers:
    """`plain.py` with the number of images at a time that suits it."""
    from mobilenets.bench.photos.plain import PlainProgram

    program = PlainProgram(model, threads, recipe)
    program.run(files[:WARM_FILES])
    program.choose_batch(files)
    return program.run


SIDES = {OURS: open_ours, PLAIN: open_plain}


def serve(name: str, folder: Path, threads: int, orders: IO[str], answers: IO[str]) -> None:
    """Load, then do what `orders` say until they end."""
    given = json.loads((folder / LIST).read_text(encoding="utf-8"))
    files = [Path(file) for file in given["files"]]
    run = SIDES[name](folder / ONNX, threads, given["recipe"], files)
    run(files[:WARM_FILES])
    print("{}", file=answers, flush=True)
    for line in orders:
        taken, found = [], []
        for _ in range(int(line.split()[1])):
            start = time.perf_counter_ns()
            found = run(files)
            taken.append(time.perf_counter_ns() - start)
        print(json.dumps({"ns": taken, "found": found}), file=answers, flush=True)


if __name__ == "__main__":
    _, side, place, count = sys.argv[1:]
    sys.exit(answering(lambda answers: serve(side, Path(place), int(count), sys.stdin, answers)))
