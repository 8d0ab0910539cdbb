"""Ours against torchvision's SSDLite, from scratch, in the same loop on the same images.

    python bench/detection_peer.py bccd --output runs/detection-peer

`ssdlite_mobilenet_v2` and torchvision's `ssdlite320_mobilenet_v3_large` (with its own anchors),
both with random weights, softmax scores, the same recipe, transforms, order of images and number
of steps; prints average precision on the test part after the last epoch, and writes it as JSON.
"""

import time
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from peers import arguments, compare
from torch import Tensor, nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.evaluation import evaluate
from mobilenets.inference import TorchSession
from mobilenets.tasks.detect.data import open_detection
from mobilenets.tasks.registry import build, tasks
from mobilenets.tasks.task import Task
from mobilenets.training.loop import Trainer
from mobilenets.training.recipes import recipe

SIZE = 320
SIDES = {
    "mobilenets": "ssdlite_mobilenet_v2",
    "torchvision": "ssdlite320_mobilenet_v3_large",
}
"""And the network of each."""


class Theirs(nn.Module):
    """torchvision's detector with the outputs of ours: (N, anchors, 4 + 1 + classes)."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = ssdlite320_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=1 + classes
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        found = self.network.head(list(self.network.backbone(x).values()))
        return torch.cat([found["bbox_regression"], found["cls_logits"]], 2)

    @torch.no_grad()
    def anchors(self) -> NDArray[np.float32]:
        """Its anchors as ours are: centre and sides in shares."""
        x = torch.zeros(1, 3, SIZE, SIZE)
        maps = list(self.network.eval().backbone(x).values())
        (corners,) = self.network.anchor_generator(ImageList(x, [(SIZE, SIZE)]), maps)
        low, high = corners[:, :2] / SIZE, corners[:, 2:] / SIZE
        return torch.cat([(low + high) / 2, high - low], 1).numpy()


class TheirTask(Task):
    """Detection with the anchors of another network."""

    def __init__(self, anchors: NDArray[np.float32]) -> None:
        super().__init__("detect", tasks()["detect"].home)
        self.anchors = anchors

    def part(self, name: str) -> Any:
        """As detection has it, but what depends on anchors."""
        module = super().part(name)
        own = {
            function: partial(getattr(module, function), anchors=self.anchors)
            for function in ("transform", "criterion", "evaluator")
            if hasattr(module, function)
        }
        return SimpleNamespace(**{**vars(module), **own})


def side(name: str, classes: tuple[str, ...]) -> tuple[nn.Module, Task, ModelCard]:
    """One of the two at random weights, how it is trained, and what it is."""
    torch.manual_seed(0)
    arguments = {"scores": "softmax", "classes": len(classes)}
    card = ModelCard(
        SIDES[name], arguments, "detect", classes, Preprocessing((SIZE, SIZE), "squash")
    )
    if name == "mobilenets":
        return build(SIDES[name], **arguments), tasks()["detect"], card
    model = Theirs(len(classes))
    return model, TheirTask(model.anchors()), card


def main() -> None:
    """Train both, print, write."""
    options = arguments(__doc__, tuple(SIDES)).parse_args()
    train_set, val_set, test_set = (
        open_detection(options.data, split) for split in ("train", "val", "test")
    )
    made = recipe("finetune_ssd", epochs=options.epochs, learning_rate=options.learning_rate)

    def train(name: str, folder: Path) -> dict[str, float]:
        model, task, card = side(name, train_set.classes)
        began = time.monotonic()
        trainer = Trainer(model, task, (train_set, val_set), made, folder, card=card)
        result = trainer.run()
        minutes = (time.monotonic() - began) / 60
        found = evaluate(TorchSession(trainer.evaluated(), card), test_set, task).results
        return {
            "minutes": minutes,
            "parameters": sum(p.numel() for p in model.parameters()),
            "test_ap": found["ap"],
            "test_ap50": found["ap50"],
            "best_val_ap": result.best["ap"],
        }

    compare(options, "detection_peer", train)


if __name__ == "__main__":
    main()
