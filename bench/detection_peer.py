"""Ours against torchvision's SSDLite, from scratch, in the same loop on the same images.

    python bench/detection_peer.py bccd --output runs/detection-peer

`ssdlite_mobilenet_v2` and torchvision's `ssdlite320_mobilenet_v3_large` (with its own anchors),
both with random weights, softmax scores, the same recipe, transforms, order of images and number
of steps; prints average precision on the test part after the last epoch, and writes it as JSON.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.models.detection import ssdlite320_mobilenet_v3_large
from torchvision.models.detection.image_list import ImageList

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.detection import open_detection
from mobilenets.evaluation import evaluate
from mobilenets.files import replace_file
from mobilenets.inference import TorchSession
from mobilenets.models.zoo import build
from mobilenets.tasks.detect import Detect
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


class TheirTask(Detect):
    """Detection with the anchors of another network."""

    def __init__(self, anchors: NDArray[np.float32]) -> None:
        self.own = anchors

    def anchors(self, card: ModelCard) -> NDArray[np.float32]:
        """The other network's."""
        return self.own


def side(name: str, classes: tuple[str, ...]) -> tuple[nn.Module, Detect, ModelCard]:
    """One of the two at random weights, how it is trained, and what it is."""
    torch.manual_seed(0)
    arguments = {"scores": "softmax", "classes": len(classes)}
    card = ModelCard(
        SIDES[name], arguments, "detect", classes, Preprocessing((SIZE, SIZE), "squash")
    )
    if name == "mobilenets":
        return build(SIDES[name], **arguments), Detect(), card
    model = Theirs(len(classes))
    return model, TheirTask(model.anchors()), card


def sides(text: str) -> list[str]:
    """Names with commas between them."""
    names = text.split(",")
    unknown = [name for name in names if name not in SIDES]
    if unknown:
        raise argparse.ArgumentTypeError(f"must be of {', '.join(SIDES)}, got {unknown[0]!r}")
    return names


def main() -> None:
    """Train both, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, help="the recipe's own if not given")
    parser.add_argument("--sides", type=sides, default=list(SIDES), help="with commas between")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    train_set, val_set, test_set = (
        open_detection(options.data, split) for split in ("train", "val", "test")
    )
    classes = train_set.classes
    rows = {}
    for name in options.sides:
        model, task, card = side(name, classes)
        made = recipe("finetune_ssd", epochs=options.epochs, learning_rate=options.learning_rate)
        began = time.monotonic()
        trainer = Trainer(model, task, (train_set, val_set), made, options.output / name, card=card)
        result = trainer.run()
        minutes = (time.monotonic() - began) / 60
        found = evaluate(TorchSession(trainer.evaluated(), card), test_set, task).results
        rows[name] = {
            "minutes": minutes,
            "parameters": sum(p.numel() for p in model.parameters()),
            "test_ap": found["ap"],
            "test_ap50": found["ap50"],
            "best_val_ap": result.best["ap"],
        }
        print(name, rows[name], flush=True)
    table = json.dumps(rows, indent=2)
    replace_file(options.output / "detection_peer.json", lambda path: path.write_text(table))


if __name__ == "__main__":
    main()
