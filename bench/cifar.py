"""MobileNetV2 for 32 x 32 pixels, from scratch on all of CIFAR-10, on one accelerator.

    python bench/cifar.py cifar10 --output runs/cifar-full --minutes 9.6

The folder `cifar10` has train/CLASS/*.jpg and test/CLASS/*.jpg. The images are decoded once and
stay on the accelerator, where they are augmented too. Learning is the package's: network,
optimizer, schedule, average, checkpoint. `--minutes` counts from the start of the script: two
epochs are timed and forgotten, and the run gets as many as fit.

Each epoch ends with the test images, run in float32 through the average of the weights. No epoch is
picked by them: the result is the last one's. Writes curve.csv and curve.png, and
cifar10.safetensors, which `mobilenets eval` reads.
"""

import argparse
import copy
import csv
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.v2 import InterpolationMode, TrivialAugmentWide

from mobilenets.card import ModelCard, Preprocessing, set_card
from mobilenets.data.folders import ListedImages, open_classification
from mobilenets.evaluation import spread
from mobilenets.files import replace_file
from mobilenets.runtime.images import read_image
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.registry import build
from mobilenets.training.norms import set_momentum
from mobilenets.training.optimizer import make_average, make_optimizer, make_schedule
from mobilenets.training.recipes import recipe
from mobilenets.weights.sources.own import save

SIZE = 32
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
GREY = [round(255 * mean) for mean in MEAN]
"""What fills the parts of an image that it loses."""
SHIFT, HOLE, GROUP = 4, 8, 125
"""Pixels that a crop moves, pixels of a cut-out's side, images that share a TrivialAugment."""
ARGUMENTS = {"early_strides": (1, 1), "padding": "symmetric"}
"""A total stride of 8, and torch's padding: the network that is commonly trained on CIFAR."""
PUBLIC = 0.9443
"""Top-1 of MobileNetV2 in the README of kuangliu/pytorch-cifar."""
COLUMNS = ("epoch", "seconds", "learning_rate", "loss", "test_top1")
SAVE_EPOCHS = 20
"""A checkpoint is written this often, and at the end."""


class Images(NamedTuple):
    """All images of a part, on the accelerator."""

    pixels: Tensor  # (N, 3, 32, 32), uint8
    targets: Tensor  # (N,)


def made_recipe(options: argparse.Namespace) -> Recipe:
    """The package's modern recipe, changed for small images.

    On one H100, 144 epochs of it gave 92.03 % (docs/reproduction.md).
    """
    return recipe(
        "modern",
        epochs=options.epochs or 1,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=5e-4,
        warmup_epochs=5.0,
        ema_decay=0.999,
        norm_momentum=0.1,
        policy="trivial",
        crop_scale=1.0,
        train_scale=1.0,
        **dict.fromkeys(("erasing", "mixup", "cutmix"), 0.0),
        precision="bf16",
        seed=options.seed,
    )


def decode(path: Path) -> NDArray[np.uint8]:
    """One image, (3, 32, 32)."""
    return np.asarray(read_image(path).resize((SIZE, SIZE))).transpose(2, 0, 1)


def read(found: ListedImages, limit: int | None, device: torch.device) -> Images:
    """Decode a part of the data with all processors, saying how far it is."""
    indices = spread(len(found), limit)
    pixels = np.empty((len(indices), 3, SIZE, SIZE), np.uint8)
    with ProcessPoolExecutor() as pool:
        paths = (found.root / found.files[i] for i in indices)
        for n, image in enumerate(pool.map(decode, paths, chunksize=250)):
            pixels[n] = image
            if (n + 1) % 5000 == 0 or n + 1 == len(indices):
                print(f"\rdecoded {n + 1} of {len(indices)}", end="", flush=True)
    print(f" images from {found.root}", flush=True)
    targets = torch.tensor([found.target(i) for i in indices])
    return Images(torch.from_numpy(pixels).to(device), targets.to(device))


def moved(pixels: Tensor) -> Tensor:
    """Each image by itself: up to `SHIFT` pixels off, its edge mirrored, and half of them flipped.

    (N, 3, 32, 32) -> the same shape.
    """
    count, device = len(pixels), pixels.device
    shifts = torch.randint(-SHIFT, SHIFT + 1, (2, count, 1), device=device)
    places = torch.arange(SIZE, device=device) + shifts  # (2, N, 32): rows, columns
    rows, columns = SIZE - 1 - (SIZE - 1 - places.abs()).abs()
    flips = torch.rand(count, 1, device=device) < 0.5
    columns = torch.where(flips, SIZE - 1 - columns, columns)
    image = torch.arange(count, device=device)[:, None, None, None]
    channel = torch.arange(3, device=device)[:, None, None]
    return pixels[image, channel, rows[:, None, :, None], columns[:, None, None, :]]


def holes(count: int, device: torch.device) -> Tensor:
    """A square with its centre anywhere in each image, (N, 1, 32, 32): what is cut out."""
    centres = torch.randint(0, SIZE, (2, count, 1), device=device)
    away = torch.arange(SIZE, device=device) - centres + HOLE // 2
    rows, columns = (away >= 0) & (away < HOLE)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def augmented(images: Images) -> Images:
    """The images of one epoch, in a new order: moved, TrivialAugment, a hole.

    A TrivialAugment is drawn for each `GROUP` images, and the groups are shuffled again.
    """
    count, device = len(images.pixels), images.pixels.device
    change = TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR, fill=GREY)
    first, second = (torch.randperm(count, device=device) for _ in range(2))
    pixels = moved(images.pixels[first])
    pixels = torch.cat([change(group) for group in pixels.split(GROUP)])
    grey = torch.tensor(GREY, dtype=torch.uint8, device=device)[:, None, None]
    pixels = torch.where(holes(count, device), grey, pixels)
    return Images(pixels[second], images.targets[first][second])


def inputs(pixels: Tensor) -> Tensor:
    """Bytes as the network wants them, (N, 3, 32, 32) float32."""
    mean, std = (pixels.new_tensor(v, dtype=torch.float32)[:, None, None] for v in (MEAN, STD))
    x = (pixels.float() / 255 - mean) / std
    return x.contiguous(memory_format=torch.channels_last)


class Learner:
    """A network on its way through a recipe."""

    def __init__(self, model: nn.Module, made: Recipe, data: tuple[Images, Images]) -> None:
        self.model, self.made = model, made
        self.train_set, self.test_set = data
        self.steps = max(len(self.train_set.pixels) // made.batch_size, 1)
        self.optimizer = make_optimizer(model, made)
        self.schedule = make_schedule(self.optimizer, made, self.steps)
        self.average = make_average(model, made)
        self.step = 0

    def epoch(self) -> tuple[float, float]:
        """One pass, and the test images: (mean loss, top-1 of the averaged weights)."""
        self.model.train()
        images = augmented(self.train_set)
        total = torch.zeros((), device=images.pixels.device)
        for at in range(self.steps):
            part = slice(at * self.made.batch_size, (at + 1) * self.made.batch_size)
            total += self.learn(inputs(images.pixels[part]), images.targets[part])
        return total.item() / self.steps, self.top1()

    def learn(self, x: Tensor, targets: Tensor) -> Tensor:
        """One step of the optimizer; the loss, not waited for."""
        self.schedule.step_update(self.step)
        with torch.autocast(x.device.type, torch.bfloat16):
            logits = self.model(x)
        smoothing = self.made.objective.label_smoothing
        loss = F.cross_entropy(logits.float(), targets, label_smoothing=smoothing)
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.average.update_parameters(self.model)
        self.step += 1
        return loss.detach()

    @torch.inference_mode()
    def top1(self) -> float:
        """Share of the test images that the averaged weights get right."""
        network = self.average.module.eval()
        right = [
            network(inputs(pixels)).argmax(1).eq(targets).sum()
            for pixels, targets in zip(*(part.split(1000) for part in self.test_set), strict=True)
        ]
        return torch.stack(right).sum().item() / len(self.test_set.pixels)


def epochs_that_fit(rehearsal: Learner, until: float) -> int:
    """How many end before `until`, with a little to spare; the weights are left as they were."""
    weights = copy.deepcopy(rehearsal.model.state_dict())
    rehearsal.epoch()  # in which cuDNN tries its kernels
    began = time.monotonic()
    rehearsal.epoch()
    seconds = time.monotonic() - began
    rehearsal.model.load_state_dict(weights)
    epochs = max(int(0.97 * (until - time.monotonic()) / seconds), 1)
    print(f"an epoch takes {seconds:.2f} s: {epochs} epochs", flush=True)
    return epochs


def run(learner: Learner, card: ModelCard, output: Path) -> list[tuple[float, ...]]:
    """All epochs: the curve's rows, which are written too."""
    rows: list[tuple[float, ...]] = []
    began = time.monotonic()
    for epoch in range(1, learner.made.epochs + 1):
        loss, top1 = learner.epoch()
        now = time.monotonic()
        rate = learner.optimizer.param_groups[0]["lr"]
        rows.append((epoch, round(now - began, 2), round(rate, 6), round(loss, 4), round(top1, 4)))
        print(*(f"{name} {value}" for name, value in zip(COLUMNS, rows[-1], strict=True)))
        if epoch % SAVE_EPOCHS == 0 or epoch == learner.made.epochs:
            network = learner.average.module
            set_card(network, card.replace(recipe=asdict(learner.made), results={"top1": top1}))
            save(network, output / "cifar10.safetensors")
            write_curve(rows, output)
    return rows


def write_curve(rows: list[tuple[float, ...]], output: Path) -> None:
    """The table and the picture."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    def table(path: Path) -> None:
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])

    replace_file(output / "curve.csv", table)
    epochs, _, _, losses, top1s = zip(*rows, strict=True)
    figure, axes = pyplot.subplots(figsize=(7.2, 4.0), layout="constrained")
    axes.plot(epochs, [100 * top1 for top1 in top1s], color="#1f5fbf", label="test top-1, %")
    axes.axhline(100 * PUBLIC, color="#d9822b", linestyle="--", label=f"public, {PUBLIC:.2%}")
    axes.set(xlabel="epoch", ylabel="top-1, %", ylim=(70, 100))
    right = axes.twinx()
    right.plot(epochs, losses, color="0.7", linewidth=1, label="training loss, right")
    right.set_ylabel("loss, augmented and smoothed")
    axes.grid(alpha=0.3)
    figure.legend(frameon=False, loc="outside upper center", ncols=3)
    replace_file(output / "curve.png", lambda path: figure.savefig(path, format="png", dpi=110))
    pyplot.close(figure)


def main() -> None:
    """Read, train, write."""
    began = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, help="the folder with train and test")
    parser.add_argument("--output", type=Path, required=True)
    length = parser.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float, help="of the whole script")
    length.add_argument("--epochs", type=int)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--learning-rate", type=float, default=0.4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=int, help="images of each part, for a trial")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    until = began + 60 * options.minutes if options.minutes else float("inf")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = False  # evaluation in float32 is just that
    parts = [open_classification(options.data / part, "all") for part in ("train", "test")]
    train_set, test_set = (read(part, options.limit, device) for part in parts)
    print(f"{time.monotonic() - began:.1f} s until all was decoded", flush=True)
    classes = parts[0].classes
    arguments = {**ARGUMENTS, "classes": len(classes)}
    preprocessing = Preprocessing((SIZE, SIZE), "squash", mean=MEAN, std=STD)
    card = ModelCard("mobilenet_v2", arguments, "classify", classes, preprocessing)
    made = made_recipe(options)
    torch.manual_seed(made.seed)
    model = build("mobilenet_v2", **arguments).to(device, memory_format=torch.channels_last)
    set_momentum(model, made.norm_momentum)
    data = (train_set, test_set)
    if options.minutes:
        epochs = epochs_that_fit(Learner(model, made, data), until)
        made = replace(made, epochs=epochs)
        torch.manual_seed(made.seed)
    rows = run(Learner(model, made, data), card, options.output)
    minutes = (time.monotonic() - began) / 60
    print(f"{len(rows)} epochs, top-1 of the last {rows[-1][-1]:.4f}, {minutes:.1f} minutes in all")


if __name__ == "__main__":
    main()
