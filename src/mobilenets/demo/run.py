"""Train, evaluate, export, predict, and write a page of what happened."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from mobilenets.card import card_of
from mobilenets.cost import profile
from mobilenets.demo.page import Step, write_page
from mobilenets.evaluation import evaluate
from mobilenets.export import export_onnx
from mobilenets.inference import TorchSession, open_model
from mobilenets.runtime.preprocess import preprocess
from mobilenets.tasks import TASKS
from mobilenets.training.run import Plan, train
from mobilenets.training.state import NAME
from mobilenets.weights import load

THRESHOLD = 0.75
"""Top-1 that the demo must reach; guessing gives 0.125."""
AGREEMENT = 0.002
"""Largest difference in top-1 between the checkpoint and its export."""
SIZE = 64
SETTINGS = {
    "epochs": 6,
    "batch_size": 32,
    "learning_rate": 0.02,
    "warmup_epochs": 1.0,
    "weight_decay": 1e-4,
    "label_smoothing": 0.0,
    "dropout": 0.0,
    "policy": "flip",
    "crop_scale": 0.6,
    "erasing": 0.0,
    "mixup": 0.0,
    "cutmix": 0.0,
    "train_scale": 1.0,
    "ema_decay": 0.99,
}


@dataclass(frozen=True)
class Outcome:
    """How the demo ended."""

    page: Path
    top1: float
    exported_top1: float

    @property
    def passed(self) -> bool:
        """Whether the network learned, and its export agrees with it."""
        agrees = abs(self.top1 - self.exported_top1) <= AGREEMENT
        return self.top1 >= THRESHOLD and agrees


def run_demo(output: Path, say: Callable[[str], None] = lambda line: None) -> Outcome:
    """Train a small MobileNetV2 on the built-in shapes, and take it all the way to a device file.

    The run of an earlier demo in `output` is replaced, nothing else. Writes `index.html`, one page
    with all pictures inside, beside the checkpoint and the exported model.
    """
    if (output / "run" / NAME).exists():  # an earlier demo's, and nothing else
        shutil.rmtree(output / "run")
    output.mkdir(parents=True, exist_ok=True)
    steps: list[Step] = []

    def timed(title: str, began: float, text: str) -> None:
        steps.append(Step(title, time.monotonic() - began, text))
        say(f"{title}: {text}")

    began = time.monotonic()
    # So small a network gains nothing from a second thread: the core is better used by the reader.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    plan = Plan("mobilenet_v2", resolution=SIZE, knobs={"width": 0.35})
    try:
        result = train(
            plan, "shapes", recipe_name="modern", changes=SETTINGS, output=output / "run", say=say
        )
    finally:
        torch.set_num_threads(threads)
    timed("train", began, f"best epoch {result.best['epoch']}, top-1 {result.best['top1']:.3f}")

    began = time.monotonic()
    task = TASKS["classify"]
    val_set = task.open_data("shapes", "val")
    model = load(result.checkpoint)
    measured = evaluate(TorchSession(model, card_of(model)), val_set, task)
    top1 = measured.results["top1"]
    timed("evaluate", began, f"top-1 {top1:.3f} on {len(val_set)} images never trained on")

    began = time.monotonic()
    exported = export_onnx(model, output / "model.onnx", softmax=True)
    timed(
        "export",
        began,
        f"{exported.bytes / 1e6:.1f} MB, outputs within {exported.difference:.0e} of the source",
    )

    began = time.monotonic()
    session = open_model(exported.path)
    again = evaluate(session, val_set, task).results["top1"]
    pictures = []
    for index in range(12):
        image = val_set.image(index)
        batch = preprocess(image, session.card.preprocessing)[None]
        seen = task.decode(session(batch), session.card, 3)[0]
        truth = val_set.classes[val_set.target(index)]
        right = task.describe(seen)[0][0] == truth
        pictures.append((task.draw(image.resize((192, 192)), seen), truth, right))
    timed("predict", began, f"top-1 {again:.3f} from model.onnx in the runtime, without torch")

    cost = profile("mobilenet_v2", width=0.35, resolution=SIZE, classes=len(val_set.classes))
    page = write_page(
        output / "index.html", steps, pictures, result.checkpoint.parent, cost, result.history
    )
    return Outcome(page, top1, again)
