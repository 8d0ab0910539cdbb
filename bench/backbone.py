"""Train the small network that the package ships, on shapes that are not the built-in ones.

    torchrun --nproc_per_node 4 bench/backbone.py --output runs/backbone

V2 of width 0.35 at 64 pixels learns 32 other shapes (`other_shapes.py`): which one a picture has,
and, through a head that is left out afterwards, the class of each pixel where there are several.
Writes the checkpoint and a line of JSON per epoch. Each process draws and learns a part of the
pictures, and normalises its own batch: another number of them gives other weights.
"""

import argparse
import json
import math
import os
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.numpy
import torch
import torch.distributed as dist
from other_shapes import OtherShapes
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.card import KEY, ModelCard, Preprocessing
from mobilenets.models.modules.layers import initialise_he
from mobilenets.tasks.registry import build
from mobilenets.training.norms import set_momentum

SIDE, STRIDE, WIDTH = 64, 4, 0.35
MOMENTUM = 0.05
"""Of the norms' statistics in training."""
BATCH = 64
"""Pictures a step, over all processes."""
TAPS = {"blocks.6.expand": 8, "blocks.13.expand": 16}
"""The maps that the head for pixels reads, and their strides."""


class Pictures(NamedTuple):
    """Pictures in memory: one object in every second one, two to four in the others."""

    images: Tensor
    """(n, 3, 64, 64) uint8."""
    masks: Tensor
    """(n, 16, 16) int64: every fourth pixel's class + 1, 0 for the ground."""
    labels: Tensor
    """(n,) int64; -100, which is not learned, where there are several objects."""


def draw(split: str, length: int, rank: int = 0, world: int = 1) -> Pictures:
    """The part of a process: of four, pictures of eight classes each."""
    one, several = (
        OtherShapes(SIDE, split, length, 1, objects)  # type: ignore[arg-type]
        for objects in ((1, 1), (2, 4))
    )
    images, masks, labels = [], [], []
    for i in range(rank, length, world):
        # Of 32 pictures in a row one has each class: half of the rows have one object.
        single = (i // 32) % 2 == 0
        scene = (one if single else several).scene(i)
        images.append(np.asarray(scene.image).transpose(2, 0, 1))
        masks.append(scene.mask[STRIDE // 2 :: STRIDE, STRIDE // 2 :: STRIDE])
        labels.append(scene.label if single else -100)
    return Pictures(
        torch.from_numpy(np.stack(images)),
        torch.from_numpy(np.stack(masks)).long(),
        torch.tensor(labels),
    )


class Learner(nn.Module):
    """A classifier, and beside it a head that gives pixels their class."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.network = build("mobilenet_v2", width=WIDTH, classes=classes, dropout=0.0)
        initialise_he(self.network)
        set_momentum(self.network, MOMENTUM)
        with torch.no_grad():
            maps = self.network.eval().backbone.taps(torch.zeros(1, 3, SIDE, SIDE), list(TAPS))
        self.heads = nn.ModuleList(nn.Conv2d(maps[name].shape[1], 1 + classes, 1) for name in TAPS)
        weights = torch.ones(1 + classes)
        weights[0] = 0.2  # the ground is most of a picture
        self.register_buffer("weights", weights)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, classes) and (N, 1 + classes, 16, 16) logits."""
        maps = self.network.backbone.taps(images, list(TAPS))
        logits = self.network.classifier(maps["last"].mean((2, 3)))
        size = (SIDE // STRIDE,) * 2
        pixels = [
            F.interpolate(head(maps[name]), size, mode="bilinear")
            for head, name in zip(self.heads, TAPS, strict=True)
        ]
        return logits, pixels[0] + pixels[1]

    def loss(self, images: Tensor, masks: Tensor, labels: Tensor) -> Tensor:
        """Both cross entropies."""
        logits, pixels = self(images)
        dense = F.cross_entropy(pixels, masks, self.weights)
        whole = F.cross_entropy(logits, labels, label_smoothing=0.05, reduction="sum")
        return dense + whole / (labels >= 0).sum().clamp_min(1)


def prepared(images: Tensor) -> Tensor:
    """As the card says: -1 to 1."""
    return (images.float() / 127.5 - 1).to(memory_format=torch.channels_last)


def varied(data: Pictures, chosen: Tensor, random: torch.Generator) -> tuple[Tensor, ...]:
    """Some pictures, each mirrored or not, its colours in any order."""
    images, masks = data.images[chosen], data.masks[chosen]
    orders = torch.rand(len(chosen), 3, generator=random).argsort(1)
    images = images.gather(1, orders[:, :, None, None].expand_as(images))
    mirrored = torch.rand(len(chosen), generator=random) < 0.5
    images[mirrored], masks[mirrored] = images[mirrored].flip(3), masks[mirrored].flip(2)
    return prepared(images), masks, data.labels[chosen]


@torch.no_grad()
def settle_norms(network: nn.Module, data: Pictures) -> None:
    """The norms' statistics anew, from batches of 128.

    Those of training are of small batches, and of one process's classes: top-1 is .59 with them
    and .84 with these.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
    random = torch.Generator().manual_seed(0)
    for part in torch.randperm(len(data.labels), generator=random)[:2048].split(128):
        network.train()(varied(data, part, random)[0])
    set_momentum(network, MOMENTUM)


@torch.no_grad()
def measure(learner: Learner, data: Pictures) -> dict[str, float]:
    """Top-1 of pictures with one object; the mean overlap of classes over all pixels."""
    learner.eval()
    found = [learner(prepared(part)) for part in data.images.split(128)]
    learner.train()
    logits, pixels = (torch.cat(parts).argmax(1) for parts in zip(*found, strict=True))
    single, classes = data.labels >= 0, int(data.masks.max()) + 1
    pairs = torch.bincount((data.masks * 64 + pixels).flatten(), minlength=64 * 64).view(64, 64)
    both = pairs.diagonal()
    overlap = both / (pairs.sum(0) + pairs.sum(1) - both).clamp_min(1)
    top1 = (logits == data.labels)[single].float().mean()
    return {"top1": float(top1), "miou": float(overlap[:classes].mean())}


def main() -> None:
    """Train, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=24576)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--rate", type=float, default=0.004)
    options = parser.parse_args()
    torch.set_num_threads(1)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world > 1:
        dist.init_process_group("gloo")
    rank = dist.get_rank() if world > 1 else 0
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    classes = OtherShapes().classes
    learner = Learner(len(classes)).train().to(memory_format=torch.channels_last)
    data, val = draw("train", options.pictures, rank, world), draw("val", 512)
    random = torch.Generator().manual_seed(rank)
    share = BATCH // world
    steps = len(data.labels) // share
    total, warmup = steps * options.epochs, 200
    optimizer = torch.optim.AdamW(learner.parameters(), weight_decay=0.02)
    began, step, rows = time.monotonic(), 0, []
    for epoch in range(options.epochs):
        order, losses = torch.randperm(len(data.labels), generator=random), []
        for part in order[: steps * share].split(share):
            rate = min((step + 1) / warmup, 0.5 + 0.5 * math.cos(math.pi * step / total))
            for group in optimizer.param_groups:
                group["lr"] = options.rate * rate
            loss = learner.loss(*varied(data, part, random))
            optimizer.zero_grad()
            loss.backward()
            if world > 1:
                average([p.grad for p in learner.parameters() if p.grad is not None], world)
            nn.utils.clip_grad_norm_(learner.parameters(), 5.0)
            optimizer.step()
            losses.append(loss.item())
            step += 1
        if rank == 0:
            row = {"epoch": epoch + 1, "loss": sum(losses) / len(losses)} | measure(learner, val)
            row["seconds"] = round(time.monotonic() - began)
            rows.append(row)
            print(json.dumps(row), flush=True)
    if rank == 0:
        settle_norms(learner.network, draw("train", 2048))
        rows.append({"settled": True} | measure(learner, val))
        print(json.dumps(rows[-1]), flush=True)
        write(learner, classes, rows, options.output)
    if world > 1:
        dist.destroy_process_group()


def average(gradients: list[Tensor], world: int) -> None:
    """The mean of all processes' gradients, in one message."""
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(
        gradients, (flat / world).split([g.numel() for g in gradients]), strict=True
    ):
        gradient.copy_(part.view_as(gradient))


def write(
    learner: Learner, classes: tuple[str, ...], rows: list[dict[str, float]], folder: Path
) -> None:
    """The classifier, kernels in half precision, and what was measured."""
    card = ModelCard(
        "mobilenet_v2",
        {"width": WIDTH, "classes": len(classes)},
        "classify",
        classes,
        Preprocessing((SIDE, SIDE), "squash"),
        source="mobilenets, bench/backbone.py: 32 drawn shapes, none of them built in",
        results={"top1": rows[-1]["top1"]},
    )
    tensors = {
        name: value.contiguous().numpy().astype(np.float16 if value.ndim > 1 else np.float32)
        for name, value in learner.network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    path = folder / "mobilenet_v2_0.35_64.shapes.safetensors"
    path.write_bytes(safetensors.numpy.save(tensors, {KEY: card.to_json()}))
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


if __name__ == "__main__":
    main()
