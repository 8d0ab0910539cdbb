"""Two processes of which one fails, each in its way; torch's launcher starts them."""

import os
import signal
import sys
import time
from pathlib import Path

from mobilenets.cli import main
from mobilenets.errors import TrainingError
from mobilenets.training import run
from mobilenets.training.loop import Trainer

SLOW = 120.0
"""Seconds that the other process would go on."""


def raises() -> None:
    raise TrainingError("the disk of this machine is full")


def is_killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAILURES = {"raises": raises, "is killed": is_killed}


def failing(folder: Path, how: str) -> None:
    """At its second step, one process fails; the other waits for it, or works on by itself."""
    plain = Trainer.train_step
    rank = os.environ["RANK"]

    def step(self, *given):
        if self.step == 1 and rank == "1":
            (folder / "failed").write_text(str(time.time()))
            FAILURES[how.removesuffix(" late")]()
        if self.step == 1 and how.endswith("late"):
            time.sleep(SLOW)  # it does not notice by itself
        return plain(self, *given)

    Trainer.train_step = step


def opening(folder: Path) -> None:
    """Before training one process does not find its data."""
    if os.environ["RANK"] == "1":
        (folder / "failed").write_text(str(time.time()))
        run.choose_folder = lambda *given, **more: raises()


if __name__ == "__main__":
    place, way = Path(sys.argv[1]), sys.argv[2]
    if way == "opens nothing":
        opening(place)
    else:
        failing(place, way)
    settings = ["--epochs", "1", "--batch-size", "64", "--workers", "0"]
    shape = ["--width", "0.25", "--resolution", "32", "--data", "shapes"]
    sys.argv = [
        "mobilenets",
        "train",
        "mobilenet_v1",
        *shape,
        *settings,
        "--output",
        str(place / "run"),
    ]
    main()
