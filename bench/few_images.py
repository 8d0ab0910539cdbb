"""Fine-tuning on few images: ours by default, beside a linear probe and torchvision's own recipe.

    python bench/few_images.py ASSETS --output runs/few --seeds 0,1,2,3,4

All three start from `mobilenet_v2_1.0_224_quant.tflite`. `probe` is scikit-learn's
LogisticRegression on its frozen features; `torchvision` is torchvision's MobileNetV2 with the same
weights, in its reference recipe for it (references/classification: SGD 0.9, 0.045 at batch 256, x
0.98 an epoch, decay 4e-5, random crops and flips). All learn from the same images. The two that
have epochs pick the best one on the `val` images, as people do, so their `val` figure flatters
them; `test` images, where there are enough, are seen by nobody before the end.

    groups     imagenet-sample: ten ranges of 14 classes (`GROUPS`, by sorted wnid), an image of
               each class; of every five, by the seed, one to validate, one to test
    ants-bees  its train part; of its val part, every second image to validate, the others to test
    birds      20 of the 150 species, others for each seed; four images to train, one to validate
    faces      male or not: 300 to train, 100 to validate, 600 to test, drawn by the seed
"""

import csv
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torchvision
from rounds import options_of, run_all
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from mobilenets import load
from mobilenets.card import card_of, set_card
from mobilenets.data.folders import open_classification
from mobilenets.evaluation import evaluate
from mobilenets.inference import TorchSession
from mobilenets.models.modules.norms import unfold
from mobilenets.tasks.registry import tasks
from mobilenets.training.probe import features
from mobilenets.training.run import Plan, train

WEIGHTS = "weights/mobilenet_v2_1.0_224_quant.tflite"
GROUPS = {
    "birds": 7,
    "lizards": 33,
    "snakes": 52,
    "sea animals": 107,
    "waders": 127,
    "hounds": 160,
    "insects": 300,
    "ungulates": 341,
    "primates": 365,
    "vegetables": 936,
}
"""The first of each group's 14 classes."""
EPOCHS = 10
"""Of torchvision's side; its recipe has 300, for ImageNet."""
TASK = tasks()["classify"]
Item = tuple[str, str, Path]
"""Part, class, file."""


def groups(assets: Path, seed: int) -> Iterator[Item]:
    """Which of the 14 are for what goes round with the seed."""
    wnids = sorted(path for path in (assets / "imagenet-sample").iterdir() if path.is_dir())
    for name, first in GROUPS.items():
        for place, wnid in enumerate(wnids[first : first + 14]):
            part = {0: "val", 1: "test"}.get((place + seed) % 5, "train")
            yield part, name, next(wnid.iterdir())


def ants_bees(assets: Path, seed: int) -> Iterator[Item]:
    """The same for every seed, which is then that of training alone."""
    for path in sorted((assets / "ants-bees").glob("*/*/*")):
        yield path.parts[-3], path.parent.name, path
    held = sorted((assets / "ants-bees" / "val").glob("*/*"))
    for path in held[1::2]:
        yield "test", path.parent.name, path


def birds(assets: Path, seed: int) -> Iterator[Item]:
    """Other species for each seed, as far as there are."""
    species = sorted(path for path in (assets / "birds").iterdir() if path.is_dir())
    for one in [species[(20 * seed + i) % len(species)] for i in range(20)]:
        for place, path in enumerate(sorted(one.iterdir())[:5]):
            yield "val" if place == seed % 5 else "train", one.name, path


def faces(assets: Path, seed: int) -> Iterator[Item]:
    """Drawn anew for each seed."""
    text = (assets / "faces" / "attributes.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    order = np.random.default_rng(seed).permutation(len(rows))
    for place, index in enumerate(order):
        part = "train" if place < 300 else "val" if place < 400 else "test"
        label = "male" if rows[index]["male"] == "1" else "other"
        yield part, label, assets / "faces" / "images" / rows[index]["image"]


SETS = {"groups": groups, "ants-bees": ants_bees, "birds": birds, "faces": faces}


def lay_out(items: Iterator[Item], folder: Path) -> Path:
    """Links in folders: PART/CLASS/file. An image in two parts is in the last one only."""
    found = {path: (part, label) for part, label, path in items}
    for path, (part, label) in found.items():
        target = folder / part / label / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.is_symlink():
            target.symlink_to(path.resolve())
    return folder


def parts_of(folder: Path) -> list[str]:
    """Those to measure on."""
    return [part for part in ("val", "test") if (folder / part).exists()]


class Start(NamedTuple):
    """What all sides start from."""

    weights: Path
    pixels: int
    """Of the input's sides."""

    def load(self) -> nn.Module:
        """The network of the file, for inputs of that size."""
        model = load(self.weights)
        card = card_of(model)
        size = (self.pixels, self.pixels)
        set_card(model, card.replace(preprocessing=replace(card.preprocessing, size=size)))
        return model


def probe(start: Start, folder: Path, output: Path, seed: int) -> dict[str, float]:
    """Logistic regression of scikit-learn, as it comes, on the features of the file."""
    model = start.load()
    sets = {}
    for part in ("train", *parts_of(folder)):
        images = open_classification(folder / part, "all")
        sets[part] = features(model, card_of(model), TASK, images, list(range(len(images))))
    fitted = LogisticRegression(max_iter=5000).fit(*(part.numpy() for part in sets["train"]))
    return {part: fitted.score(*(x.numpy() for x in sets[part])) for part in parts_of(folder)}


def ours(start: Start, folder: Path, output: Path, seed: int) -> dict[str, float]:
    """Nothing but the defaults."""
    result = train(
        Plan("mobilenet_v2", start.weights, start.pixels),
        folder,
        changes={"seed": seed},
        output=output,
        workers=0,
        say=print,
    )
    model = load(result.checkpoint)
    session = TorchSession(model, card_of(model))
    found = {
        part: evaluate(session, open_classification(folder / part, "all"), TASK).results["top1"]
        for part in parts_of(folder)
    }
    return {**found, "epoch": result.best["epoch"], "epochs": result.history[-1]["epoch"]}


def twin(start: Start) -> nn.Module:
    """The network of torchvision with the file's weights; it must give the file's features.

    TensorFlow pads a stride of 2 on one side only: so do its convolutions here.
    """
    model = start.load().eval()
    other = torchvision.models.mobilenet_v2(num_classes=model.classifier.out_features)
    theirs, our = (
        [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
        for network in (other, model)
    )
    for mine, theirs_one in zip(our, theirs, strict=True):
        theirs_one.load_state_dict(mine.state_dict())
        if isinstance(theirs_one, nn.BatchNorm2d):
            theirs_one.eps = mine.eps
    for block in list(other.modules()):
        for name, layer in list(block.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.stride == (2, 2):
                layer.padding = (0, 0)
                setattr(block, name, nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), layer))
    images = torch.randn(2, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features_there = other.eval().features(images).mean((2, 3))
        difference = (features_there - model.embed(images)).abs().max()
    if difference > 1e-3:
        raise SystemExit(f"the two networks do not start alike: features differ by {difference}")
    return other


def reference(start: Start, folder: Path, output: Path, seed: int) -> dict[str, float]:
    """The recipe of torchvision's references, on its own transforms."""
    torch.manual_seed(seed)
    model, card, pixels = twin(start), card_of(start.load()), start.pixels
    end = [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(card.preprocessing.mean), list(card.preprocessing.std)),
    ]
    learn = v2.Compose([v2.RandomResizedCrop(pixels), v2.RandomHorizontalFlip(), *end])
    look = v2.Compose([v2.Resize(round(pixels * 8 / 7)), v2.CenterCrop(pixels), *end])
    images = ImageFolder(folder / "train", learn)
    model.classifier[1] = nn.Linear(1280, len(images.classes))
    model.to(memory_format=torch.channels_last)
    # The norms of the file are folded: statistics of these images, as ours gets them.
    unfold(model, (x for x, _ in DataLoader(ImageFolder(folder / "train", learn), 32)))
    rate = 0.045 * 32 / 256
    optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=4e-5)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.98)
    best: dict[str, float] = {}
    for epoch in range(1, EPOCHS + 1):
        model.train()
        for x, y in DataLoader(images, 32, shuffle=True):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        schedule.step()
        found = {part: accuracy(model, folder / part, look) for part in parts_of(folder)}
        if not best or found["val"] > best["val"]:
            best = {**found, "epoch": epoch}
    return best


@torch.no_grad()
def accuracy(model: nn.Module, folder: Path, transform: v2.Transform) -> float:
    """Top-1."""
    model.eval()
    pairs = [(model(x).argmax(1), y) for x, y in DataLoader(ImageFolder(folder, transform), 32)]
    return float(torch.cat([seen == y for seen, y in pairs]).float().mean())


SIDES = {"probe": probe, "torchvision": reference, "mobilenets": ours}


def main() -> None:
    """Lay out, learn, print a table, write all figures."""
    parser = options_of(__doc__, SETS, SIDES, "0,1,2,3,4")
    parser.add_argument("--pixels", type=int, default=224, help="less is faster")
    options = parser.parse_args()
    start = Start(options.assets / WEIGHTS, options.pixels)

    def learn(side: str, name: str, seed: int, folder: Path, output: Path) -> dict[str, float]:
        began = time.monotonic()
        found = SIDES[side](start, folder, output, seed)
        return {"seconds": time.monotonic() - began, **found}

    def laid_out(name: str, seed: int, folder: Path) -> Path:
        return lay_out(SETS[name](options.assets, seed), folder)

    run_all(options, laid_out, learn, table, "few_images.json")


def table(rows: list[dict]) -> Iterator[str]:
    """For each set and side: the mean and the worst seed of val and test, and seconds."""
    yield "| Images | | val, mean | worst | test, mean | worst | seconds |"
    yield "|---|---|---|---|---|---|---|"
    for name, side in dict.fromkeys((row["set"], row["side"]) for row in rows):
        some = [row for row in rows if (row["set"], row["side"]) == (name, side)]
        cells = []
        for part in ("val", "test"):
            values = [row[part] for row in some if part in row]
            cells += [f"{statistics.mean(values):.3f}", f"{min(values):.3f}"] if values else "--"
        seconds = statistics.mean(row["seconds"] for row in some)
        yield f"| {name} | {side} | {' | '.join(cells)} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
