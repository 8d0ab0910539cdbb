"""Train, evaluate, export, predict, for each use, and write a page of what happened."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image

from mobilenets.cost import profile
from mobilenets.data.dataset import Dataset
from mobilenets.demo.beside import beside
from mobilenets.demo.page import Chapter, DemoStep, write_page
from mobilenets.evaluation import evaluate
from mobilenets.export import export_onnx
from mobilenets.inference import open_model
from mobilenets.runtime.preprocess import preprocess
from mobilenets.runtime.session import Session
from mobilenets.tasks.registry import tasks, with_part
from mobilenets.tasks.task import Task
from mobilenets.tasks.values import Demo
from mobilenets.training.run import Plan, train
from mobilenets.training.state import NAME
from mobilenets.weights import load

PICTURES = 12


@dataclass(frozen=True)
class Reached:
    """What a use reached: the checkpoint, and its export."""

    task: str
    use: Demo
    value: float
    exported: float

    @property
    def passed(self) -> bool:
        """Whether the network learned, and its export agrees with it."""
        agrees = abs(self.value - self.exported) <= self.use.agreement
        return self.value >= self.use.threshold and agrees


@dataclass(frozen=True)
class Outcome:
    """How the demo ended."""

    page: Path
    measured: tuple[Reached, ...]

    @property
    def passed(self) -> bool:
        """Whether every use did."""
        return all(one.passed for one in self.measured)


def run_demo(output: Path, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Train small networks on the built-in shapes, and take them all the way to device files.

    A classifier first, then side by side those that start from its backbone. The runs of an
    earlier demo in `output` are replaced, nothing else. Writes `index.html`, one page with all
    pictures inside, beside the checkpoints and the exported models.
    """
    output.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    first, *others = (task.name for task in with_part("demo"))
    done = [run_use(first, output / first, None, say=say)]
    weights = done[0][1].run / "best.safetensors"
    calls = [(name, output / name, weights) for name in others]
    done += beside(run_use, calls, others, say)
    measured, chapters = zip(*done, strict=True)
    page = write_page(output / "index.html", chapters, time.monotonic() - began)
    return Outcome(page, measured)


def run_use(
    name: str, folder: Path, weights: Path | None, *, say: Callable[[str], None]
) -> tuple[Reached, Chapter]:
    """A use's network from the first step to its export, in `folder`; from `weights` if any."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "run" / NAME).exists():  # an earlier demo's, and nothing else
        shutil.rmtree(folder / "run")
    steps: list[DemoStep] = []

    def timed(title: str, began: float, text: str) -> None:
        steps.append(DemoStep(title, time.monotonic() - began, text))
        say(f"{title}: {text}")

    task = tasks()[name]
    use, metric = task.demo.DEMO, task.demo.DEMO.metric
    began = time.monotonic()
    with one_thread():
        result = train(
            Plan(use.model, weights, use.resolution, use.knobs),
            "shapes",
            recipe_name=use.recipe,
            changes=use.settings,
            output=folder / "run",
            say=say,
        )
    best = result.best
    timed("train", began, f"best epoch {best['epoch']}, {metric} {best[metric]:.3f}")

    began = time.monotonic()
    val_set = task.data.open_data("shapes", "val")
    value = evaluate(open_model(result.checkpoint), val_set, task).results[metric]
    timed("evaluate", began, f"{metric} {value:.3f} on {len(val_set)} images never trained on")

    began = time.monotonic()
    exported = export_onnx(load(result.checkpoint), folder / "model.onnx")
    timed(
        "export",
        began,
        f"{exported.bytes / 1e6:.1f} MB, outputs within {exported.difference:.0e} of the source",
    )

    began = time.monotonic()
    session = open_model(exported.path)
    again = evaluate(session, val_set, task).results[metric]
    timed("predict", began, f"{metric} {again:.3f} from model.onnx in the runtime, without torch")

    pictures = [picture(session, task, val_set, index) for index in range(PICTURES)]
    cost = profile(use.model, resolution=use.resolution, classes=len(val_set.classes), **use.knobs)
    run = folder / "run"
    chapter = Chapter(
        use.title, use.model, steps, pictures, use.mistake, run, task.measure.PICTURE, cost
    )
    return Reached(name, use, value, again), chapter


def picture(
    session: Session, task: Task, dataset: Dataset, index: int
) -> tuple[Image.Image, str, bool]:
    """What the network sees in an image, drawn; what is there; and whether they agree."""
    image, card = dataset.image(index), session.card
    seen = task.read.decode(
        session(preprocess(image, card.preprocessing)[None]),
        card,
        [image.size],
        top=task.demo.DEMO.top,
        threshold=task.defaults.threshold,
    )[0]
    there, found = task.demo.labels(seen, dataset.target(index), dataset.classes)
    return task.show.draw(image, seen), ", ".join(there), there == found


@contextmanager
def one_thread() -> Iterator[None]:
    """So small networks gain nothing from a second thread: the core is of use to the reader."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
