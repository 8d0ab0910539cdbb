"""What a run shows: a progress bar, TensorBoard, a CSV log, and pictures at the end."""

import csv
import io
import time
from functools import partial
from pathlib import Path
from textwrap import wrap
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from tensorboardX.event_file_writer import EventsWriter
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.summary import scalar

from mobilenets.files import replace_file
from mobilenets.tasks.base import Evaluator
from mobilenets.tasks.task import Task
from mobilenets.training.runs.curves import curves_figure
from mobilenets.training.runs.voice import HEARD

Row = dict[str, float]
ROOM = 60
"""Columns of a terminal that has room for a bar and the time so far; a narrower one has numbers."""


class Board:
    """A TensorBoard log, written in this thread: a full disk is an error here and now.

    tensorboardX's own SummaryWriter has a thread that dies of it, and a queue that then fills up.
    """

    def __init__(self, folder: Path, step: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.events = EventsWriter(str(folder / "events"))
        start = SessionLog(status=SessionLog.START)  # later steps of an earlier try are void
        self.write(Event(wall_time=time.time(), step=step + 1, session_log=start))

    def write(self, event: Any) -> None:
        """One record, on disk."""
        self.events.write_event(event)
        self.events.flush()

    def add(self, name: str, value: float, step: int) -> None:
        """A number at a step."""
        self.write(Event(wall_time=time.time(), step=step, summary=scalar(name, value)))


class Reporter:
    """Shows a run to whoever watches the terminal, and leaves it in `folder` for later.

    `shown` is False for every process but the first: they stay silent and write nothing.
    """

    def __init__(self, folder: Path, step: int, *, shown: bool) -> None:
        self.folder, self.shown = folder, shown
        self.heard = HEARD.get()
        self.console = Console(stderr=True, quiet=not shown, force_jupyter=False)
        columns = [TextColumn("{task.description}"), MofNCompleteColumn(), TimeRemainingColumn()]
        if self.console.width >= ROOM:
            columns[1:1] = [BarColumn()]
            columns[3:3] = [TimeElapsedColumn()]
        self.progress = Progress(
            *columns,
            console=self.console,
            disable=not (shown and self.heard is None and self.console.is_terminal),
        )
        self.bar = self.progress.add_task("training", total=None, completed=step)
        self.check = self.progress.add_task("validating", visible=False)
        self.board = Board(folder / "tensorboard", step) if shown else None

    def __enter__(self) -> "Reporter":
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.progress.stop()
        if self.board is not None:
            self.board.events.close()

    def say(self, text: str) -> None:
        """A line above the bar; on a terminal it is broken between words, and no word is."""
        if self.heard is not None:
            if self.shown:
                self.heard(text)
            return
        if self.console.is_terminal:
            width = self.console.width
            text = "\n".join(wrap(text, width, break_long_words=False, break_on_hyphens=False))
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def plan(self, steps: int) -> None:
        """The run will have so many steps in all."""
        self.progress.update(self.bar, total=steps)

    def step(self, step: int, epoch: int, loss: float, rate: float) -> None:
        """An optimizer step is done."""
        self.progress.update(
            self.bar, completed=step, description=f"epoch {epoch + 1}  loss {loss:.3f}"
        )
        if self.board is not None:
            self.board.add("train/loss", loss, step)
            self.board.add("train/learning_rate", rate, step)

    def validating(self, images: int) -> None:
        """So many images will be validated on now."""
        self.progress.reset(self.check, total=images, visible=True)

    def validated(self, images: int) -> None:
        """So many more are done."""
        self.progress.advance(self.check, images)

    def epoch(self, history: list[Row], metric: str, began: str) -> None:
        """An epoch is done: the last row of `history` is its; epoch 0 was what `began` says."""
        self.progress.update(self.check, visible=False)
        row = history[-1]
        names = {"loss": "loss", "val_loss": "val loss", metric: f"val {metric}"}
        figures = [f"{words} {row[name]:.4f}" for name, words in names.items() if name in row]
        number = int(row["epoch"])
        title = f"epoch {number}" if number else f"epoch 0, {began}"
        self.say(f"{title}: {', '.join(figures)}")
        if self.board is None:
            return
        for name, value in row.items():
            if name not in ("epoch", "step"):
                self.board.add(f"epoch/{name}", value, int(row["step"]))
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in history for name in row))
        writer = csv.DictWriter(text, fieldnames=columns)
        writer.writeheader()
        writer.writerows(history)
        replace_file(self.folder / "log.csv", lambda path: path.write_text(text.getvalue()))

    def pictures(self, history: list[Row], task: Task, evaluator: Evaluator) -> None:
        """The curves, and the task's own picture of the last evaluation."""
        if not self.shown:
            return
        for name, figure in (
            ("curves.png", curves_figure(history, task.measure.METRIC)),
            (f"{task.measure.PICTURE}.png", evaluator.figure()),
        ):
            replace_file(self.folder / name, partial(figure.savefig, format="png", dpi=110))
