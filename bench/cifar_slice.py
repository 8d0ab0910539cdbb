"""Ours against torchvision's MobileNetV2, in the same loop, on a slice of CIFAR-10.

    python bench/cifar_slice.py cifar10.tar.xz --output runs/cifar

Both networks are trained from scratch by the same recipe on the same images in the same order, for
three seeds, taking turns; prints the best and the last top-1 of each, and writes a table as JSON.
The archive holds train/CLASS/*.jpg and test/CLASS/*.jpg.
"""

import argparse
import json
import statistics
import tarfile
from pathlib import Path

import torch
import torchvision
from torch import nn

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.folders import open_classification
from mobilenets.files import replace_file
from mobilenets.tasks.registry import build, tasks
from mobilenets.training.loop import Trainer
from mobilenets.training.recipes import recipe

SIZE = 64
STEPS = {"batch_size": 32, "learning_rate": 0.02, "warmup_epochs": 1.0, "ema_decay": 0.99}
STEPS |= {"weight_decay": 1e-4, "decay_depthwise": True}
PICTURES = {"policy": "flip", "crop_scale": 0.5, "train_scale": 1.0}
OFF = dict.fromkeys(("mixup", "cutmix", "erasing", "label_smoothing", "dropout"), 0.0)
"""What the recipe of both sides has, and what it has not."""


def unpack(archive: Path, folder: Path, train: int, test: int) -> Path:
    """The first `train` and `test` images of each class, by name."""
    if folder.exists():
        return folder
    kept: dict[tuple[str, ...], int] = {}
    partial = folder.with_name(f"{folder.name}.part")
    with tarfile.open(archive) as tar:
        for member in sorted(tar.getmembers(), key=lambda m: m.name):
            parts = Path(member.name).parts[-3:]
            if not member.isfile() or parts[0] not in ("train", "test"):
                continue
            kept[parts[:2]] = kept.get(parts[:2], 0) + 1
            if kept[parts[:2]] <= (train if parts[0] == "train" else test):
                source = tar.extractfile(member)
                assert source is not None
                target = partial.joinpath(*parts)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read())
    partial.rename(folder)
    return folder


def network(side: str, seed: int, classes: int) -> nn.Module:
    """One of the two, with the weights it starts from by its own rule."""
    torch.manual_seed(seed)
    if side == "torchvision":
        return torchvision.models.mobilenet_v2(num_classes=classes)
    return build("mobilenet_v2", classes=classes)


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("archive", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--train", type=int, default=300, help="images per class")
    parser.add_argument("--test", type=int, default=100, help="images per class")
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    folder = unpack(options.archive, options.output / "slice", options.train, options.test)
    data = (
        open_classification(folder / "train", "all"),
        open_classification(folder / "test", "all"),
    )
    rows: dict[str, list[dict[str, float]]] = {"mobilenets": [], "torchvision": []}
    for seed in range(options.seeds):
        for side, found in rows.items():
            classes = data[0].classes
            card = ModelCard(
                "mobilenet_v2", {}, "classify", classes, Preprocessing((SIZE, SIZE), "squash")
            )
            made = recipe("modern", epochs=options.epochs, seed=seed, **STEPS, **PICTURES, **OFF)
            model = network(side, seed, len(classes))
            run = options.output / f"{side}-{seed}"
            result = Trainer(model, tasks()["classify"], data, made, run, card=card).run()
            found.append({"best": result.best["top1"], "last": result.history[-1]["top1"]})
            print(f"seed {seed} {side}: {found[-1]}", flush=True)
    for side, found in rows.items():
        means = {key: statistics.mean(row[key] for row in found) for key in ("best", "last")}
        print(f"{side}: mean of best {means['best']:.4f}, of last {means['last']:.4f}")
    table = json.dumps(rows, indent=2)
    replace_file(options.output / "cifar_slice.json", lambda path: path.write_text(table))


if __name__ == "__main__":
    main()
