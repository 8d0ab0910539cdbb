"""Ours against torchvision's LR-ASPP, from scratch, in the same loop on the same images.

    python bench/segmentation_peer.py camvid --output runs/segmentation-peer

`deeplabv3_mobilenet_v2` (Mobile DeepLabv3) and torchvision's `lraspp_mobilenet_v3_large`, both
with random weights, the same recipe, transforms, input size, order of images and number of steps;
prints the mean intersection over union on the validation part, of the last epoch and of the best,
and writes it as JSON.
"""

import time
from dataclasses import replace
from pathlib import Path

import torch
from peers import arguments, compare
from torch import Tensor, nn
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.models.modules.layers import initialise_he
from mobilenets.tasks.registry import build, network_of, tasks
from mobilenets.tasks.segment.data import open_segmentation
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


def main() -> None:
    """Train both, print, write."""
    parser = arguments(__doc__, tuple(SIDES))
    parser.add_argument("--batch-size", type=int, help="the recipe's own if not given")
    parser.add_argument("--seed", type=int, default=0, help="of weights, order and transforms")
    options = parser.parse_args()
    task = tasks()["segment"]
    train_set, val_set = (open_segmentation(options.data, split) for split in ("train", "val"))
    classes = train_set.classes
    size = task.learn.input_size(train_set, (network_of(SIDES["mobilenets"]).size,) * 2)
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
    made = replace(made, objective=task.learn.settle(made.objective, train_set))

    def train(name: str, folder: Path) -> dict[str, float]:
        torch.manual_seed(made.seed)
        knobs = {"classes": len(classes)}
        card = ModelCard(SIDES[name], knobs, task.name, classes, Preprocessing(size, "pad"))
        ours = name == "mobilenets"
        model = build(SIDES[name], **knobs) if ours else Theirs(len(classes))
        if ours and made.initialization == "he":  # theirs starts so by itself
            initialise_he(model)
        began = time.monotonic()
        trainer = Trainer(model, task, (train_set, val_set), made, folder, card=card)
        result = trainer.run()
        return {
            "minutes": (time.monotonic() - began) / 60,
            "parameters": sum(p.numel() for p in model.parameters()),
            "miou": result.history[-1]["miou"],
            "pixel_accuracy": result.history[-1]["pixel_accuracy"],
            "best_miou": result.best["miou"],
        }

    compare(options, "segmentation_peer", train)


if __name__ == "__main__":
    main()
