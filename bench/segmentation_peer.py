"""Ours against torchvision's LR-ASPP, from scratch, in the same loop on the same images.

    python bench/segmentation_peer.py camvid --output runs/segmentation-peer

`deeplabv3_mobilenet_v2` (Mobile DeepLabv3) and torchvision's `lraspp_mobilenet_v3_large`, both
with random weights, the same recipe, transforms, input size, order of images and number of steps;
prints the mean intersection over union on the validation part, of the last epoch and of the best,
and writes it as JSON.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.segmentation import open_segmentation
from mobilenets.files import replace_file
from mobilenets.models.layers import initialise_he
from mobilenets.models.zoo import build
from mobilenets.tasks import Segment
from mobilenets.training.fitting import fit, settle_norm
from mobilenets.training.loop import Trainer
from mobilenets.training.recipes import recipe

SIDES = {
    "mobilenets": "deeplabv3_mobilenet_v2",
    "torchvision": "lraspp_mobilenet_v3_large",
}
"""And the network of each."""


class Theirs(nn.Module):
    """torchvision's network with the outputs of ours: (N, classes, H, W) logits."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = lraspp_mobilenet_v3_large(
            weights=None, weights_backbone=None, num_classes=classes
        )

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.network(x)["out"]
        return out


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
    parser.add_argument("--batch-size", type=int, help="the recipe's own if not given")
    parser.add_argument("--learning-rate", type=float, help="the same")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and transforms")
    parser.add_argument("--sides", type=sides, default=list(SIDES), help="with commas between")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    task = Segment()
    train_set, val_set = (open_segmentation(options.data, split) for split in ("train", "val"))
    classes = train_set.classes
    size = task.input_size(train_set, (task.resolution, task.resolution))
    made = recipe(
        "finetune_deeplab",
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    if options.batch_size is None:
        made = fit(made, len(train_set), keep_rate=options.learning_rate is not None)
    made, _ = settle_norm(made, len(train_set), scratch=True)
    made = replace(made, objective=task.settle(made.objective, train_set))
    rows = {}
    for name in options.sides:
        torch.manual_seed(made.seed)
        arguments = {"classes": len(classes)}
        card = ModelCard(SIDES[name], arguments, task.name, classes, Preprocessing(size, "pad"))
        ours = name == "mobilenets"
        model = build(SIDES[name], **arguments) if ours else Theirs(len(classes))
        if ours and made.initialization == "he":  # theirs starts so by itself
            initialise_he(model)
        began = time.monotonic()
        trainer = Trainer(model, task, (train_set, val_set), made, options.output / name, card=card)
        result = trainer.run()
        rows[name] = {
            "minutes": (time.monotonic() - began) / 60,
            "parameters": sum(p.numel() for p in model.parameters()),
            "miou": result.history[-1]["miou"],
            "pixel_accuracy": result.history[-1]["pixel_accuracy"],
            "best_miou": result.best["miou"],
        }
        print(name, rows[name], flush=True)
    table = json.dumps(rows, indent=2)
    replace_file(options.output / "segmentation_peer.json", lambda path: path.write_text(table))


if __name__ == "__main__":
    main()
