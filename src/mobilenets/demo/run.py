"""Train, evaluate, export, predict, for each use, and write a page of what happened."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from mobilenets.cost import profile
from mobilenets.data.listing import count
from mobilenets.demo.beside import beside
from mobilenets.demo.commands import eval_command, export_command, train_command
from mobilenets.demo.page import Chapter, DemoStep, write_page
from mobilenets.demo.pictures import show
from mobilenets.evaluation import evaluate
from mobilenets.export import export_onnx
from mobilenets.inference import open_model
from mobilenets.tasks.registry import tasks, with_part
from mobilenets.tasks.values import Demo
from mobilenets.training.run import Plan, train
from mobilenets.training.state import NAME
from mobilenets.weights import load

PART = "test"
"""The part of the data on which all is measured: no training sees it, and no epoch is picked by
it."""


@dataclass(frozen=True)
class Reached:
    """What a use reached on images never trained on: the checkpoint, and its export."""

    task: str
    use: Demo
    value: float
    exported: float
    seconds: float = 0.0
    """Of training, evaluations after each epoch included."""

    @property
    def passed(self) -> bool:
        """Whether the network learned, and its export agrees with it."""
        agrees = abs(self.value - self.exported) <= self.use.agreement
        metric = tasks()[self.task].measure.METRIC
        return agrees and not metric.better(self.use.threshold, self.value)


@dataclass(frozen=True)
class Outcome:
    """How the demo ended."""

    page: Path
    measured: tuple[Reached, ...]

    @property
    def passed(self) -> bool:
        """Whether every use did."""
        return all(one.passed for one in self.measured)


def run_demo(
    output: Path, say: Callable[[str], None] = lambda line: None, *, seed: int = 0
) -> Outcome:
    """Train small networks on the built-in pictures, and take them all the way to device files.

    All uses side by side, from small weights in the package. `seed` decides the order of the
    images and the new heads. The runs of an earlier demo in `output` are replaced, nothing else.
    Writes `index.html`, one page with all pictures inside, beside the checkpoints and the
    exported models.
    """
    output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    names = [task.name for task in with_part("demo")]
    calls = [(name, output / name, seed) for name in names]
    measured, chapters = zip(*beside(run_use, calls, names, say), strict=True)
    page = write_page(output / "index.html", chapters, time.monotonic() - began)
    return Outcome(page, measured)


def would_overwrite(output: Path) -> list[Path]:
    """The files in `output` that a demo would replace although no earlier demo left them."""
    names = [task.name for task in with_part("demo")]
    if any((output / name / "run" / NAME).exists() for name in names):
        return []
    written = [output / "index.html", *(output / name / "model.onnx" for name in names)]
    return [path for path in written if path.exists()]


def run_use(
    name: str, folder: Path, seed: int, *, say: Callable[[str], None]
) -> tuple[Reached, Chapter]:
    """A use's network from the first step to its export, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    run, file = folder / "run", folder / "model.onnx"
    if (run / NAME).exists():  # an earlier demo's, and nothing else
        shutil.rmtree(run)
    steps: list[DemoStep] = []

    def done(title: str, began: float, text: str, command: str) -> float:
        seconds = time.monotonic() - began
        steps.append(DemoStep(title, seconds, text, command))
        say(f"{title}: {text}")
        return seconds

    task = tasks()[name]
    use, metric, data = task.demo.DEMO, task.demo.DEMO.metric, task.demo.DEMO.data
    plan = Plan(use.model, use.weights, use.resolution, use.knobs)
    changes = {**use.settings, **({"seed": seed} if seed else {})}
    began = time.monotonic()
    with one_thread():
        result = train(plan, data, changes=changes, output=run, say=say)
    best, checkpoint = result.best, result.checkpoint
    text = f"best epoch {best['epoch']}, {metric} {best[metric]:.3f} in validation"
    seconds = done("train", began, text, train_command(plan, data, changes, run))

    began = time.monotonic()
    test_set = task.data.open_data(data, PART)
    value = evaluate(open_model(checkpoint), test_set, task).results[metric]
    text = f"{metric} {value:.3f} on {count(len(test_set), 'image', 'images')} never trained on"
    done("evaluate", began, text, eval_command(checkpoint, data, PART))

    began = time.monotonic()
    exported = export_onnx(load(checkpoint), file)
    text = f"{exported.bytes / 1e6:.1f} MB, outputs within {exported.difference:.0e} of the source"
    done("export", began, text, export_command(checkpoint, file))

    began = time.monotonic()
    session = open_model(file)
    measured = evaluate(session, test_set, task)
    again = measured.results[metric]
    text = f"{metric} {again:.3f} from {file.name} on the engine, without torch"
    done("predict", began, text, eval_command(file, data, PART))

    card = session.card
    shown = show(session, task, test_set, measured)
    cost = profile(use.model, resolution=card.preprocessing.size[0], **card.arguments)
    chapter = Chapter(use.title, use.model, steps, shown, run, task.measure.PICTURE, cost)
    return Reached(name, use, value, again, seconds), chapter


@contextmanager
def one_thread() -> Iterator[None]:
    """So small networks gain nothing from a second thread: the core is of use to the reader."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
