"""Train, evaluate, export, predict, for each use, and write a page of what happened."""

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from mobilenets.cost import profile
from mobilenets.data.dataset import Dataset
from mobilenets.demo.beside import beside
from mobilenets.demo.page import Chapter, Step, write_page
from mobilenets.demo.uses import USES, Use
from mobilenets.evaluation import evaluate
from mobilenets.export import export_onnx
from mobilenets.inference import open_model
from mobilenets.runtime.preprocess import preprocess
from mobilenets.runtime.session import Session
from mobilenets.tasks import TASKS, Task
from mobilenets.training.run import Plan, train
from mobilenets.training.state import NAME
from mobilenets.weights import load

PICTURES = 12
SPECK = 0.005
"""Share of a picture: what is seen of a class in fewer pixels is not told as seen."""


@dataclass(frozen=True)
class Measured:
    """What a use reached: the checkpoint, and its export."""

    use: Use
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
    measured: tuple[Measured, ...]

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
    first, *others = USES
    done = [run_use(first, output / first.task, None, say=say)]
    weights = done[0][1].run / "best.safetensors"
    calls = [(use, output / use.task, weights) for use in others]
    done += beside(run_use, calls, [use.task for use in others], say)
    measured, chapters = zip(*done, strict=True)
    page = write_page(output / "index.html", chapters, time.monotonic() - began)
    return Outcome(page, measured)


def run_use(
    use: Use, folder: Path, weights: Path | None, *, say: Callable[[str], None]
) -> tuple[Measured, Chapter]:
    """One network from the first step to its export, in `folder`; from `weights` if there are."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "run" / NAME).exists():  # an earlier demo's, and nothing else
        shutil.rmtree(folder / "run")
    steps: list[Step] = []

    def timed(title: str, began: float, text: str) -> None:
        steps.append(Step(title, time.monotonic() - began, text))
        say(f"{title}: {text}")

    task, metric = TASKS[use.task], use.metric
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
    val_set = task.open_data("shapes", "val")
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
    chapter = Chapter(use.title, use.model, steps, pictures, use.mistake, run, task.picture, cost)
    return Measured(use, value, again), chapter


def picture(
    session: Session, task: Task, dataset: Dataset, index: int
) -> tuple[Image.Image, str, bool]:
    """What the network sees in an image, drawn; what is there; and whether they agree."""
    image, card = dataset.image(index), session.card
    seen = task.decode(
        session(preprocess(image, card.preprocessing)[None]),
        card,
        [image.size],
        top=3 if task.name == "classify" else task.top,
        threshold=task.threshold,
    )[0]
    found = [one["label"] for one in task.to_json(seen)]
    target: Any = dataset.target(index)
    if task.name == "classify":
        there, found = [dataset.classes[target]], found[:1]
    elif task.name == "segment":
        there = [dataset.classes[label] for label in np.unique(target)]
        found = [one["label"] for one in task.to_json(seen) if one["score"] >= SPECK]
    else:
        there = [dataset.classes[label] for label in target.labels]
    return task.draw(image, seen), ", ".join(sorted(there)), sorted(there) == sorted(found)


@contextmanager
def one_thread() -> Iterator[None]:
    """So small networks gain nothing from a second thread: the core is of use to the reader."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
