"""Detectors and segmentation on few images: the defaults, beside what they were before.

    python bench/few_boxes_and_masks.py ASSETS --output runs/few-masks --seeds 0,1

All start from `mobilenet_v2_1.0_224_quant.tflite`. `before` begins with a random head and has as
many epochs however few images there are; `now` is nothing but the defaults. Both learn from the
same images. The best epoch is picked on validation images; `test` images are seen by nobody before
the end.

    boxes-20   blood cells (BCCD), SSDLite V2 at 160 pixels: 20 images of its train part and 10 of
    boxes-50   its val part, drawn by the seed; or 50 to train. Its test part, 72 images, to test
    masks-20   road scenes (CamVid), Mobile DeepLabv3 V2, at 161 pixels: 20 images to
               train and 10 to validate, drawn by the seed from its train part. Its val part, 51
               images, to test
"""

import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rounds import options_of, run_all

from mobilenets.evaluation import evaluate
from mobilenets.inference import open_model
from mobilenets.labelled import open_data
from mobilenets.tasks.registry import task_for
from mobilenets.training.run import Plan, train

WEIGHTS = "weights/mobilenet_v2_1.0_224_quant.tflite"


class Set(NamedTuple):
    """Some images of a data set in VOC's layout, and the network that learns from them."""

    folder: str
    network: str
    resolution: int
    lists: str
    """The folder of the lists of images."""
    labels: str
    """The folder of the files with what is in the images."""
    sources: dict[str, tuple[str, int | None]]
    """For each part, which of the data's own it is drawn from, and how many; None for all."""
    before: dict[str, object]
    """The defaults as they were."""


def boxes(images: int) -> Set:
    """Blood cells."""
    return Set(
        "bccd",
        "ssdlite_mobilenet_v2",
        160,
        "Main",
        "Annotations",
        {"train": ("train", images), "val": ("val", 10), "test": ("test", None)},
        {"probe": False, "epochs": 50, "warmup_steps": 0},
    )


SETS = {
    "boxes-20": boxes(20),
    "boxes-50": boxes(50),
    "masks-20": Set(
        "camvid",
        "deeplabv3_mobilenet_v2",
        161,
        "Segmentation",
        "SegmentationClass",
        {"train": ("train", 20), "val": ("train", 10), "test": ("val", None)},
        {"probe": False, "epochs": 60, "warmup_steps": 0},
    ),
}
FIGURES = ("ap50", "ap", "miou", "pixel_accuracy")


def lay_out(one: Set, assets: Path, folder: Path, seed: int) -> Path:
    """Links to the images and lists of the parts; an image is in one part only."""
    source = assets / one.folder
    lists = folder / "ImageSets" / one.lists
    lists.mkdir(parents=True, exist_ok=True)
    for name in ("JPEGImages", one.labels):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to((source / name).resolve())
    random, taken = np.random.default_rng(seed), set()
    for part, (origin, count) in one.sources.items():
        text = (source / "ImageSets" / one.lists / f"{origin}.txt").read_text(encoding="utf-8")
        names = [name for name in text.split() if name not in taken]
        chosen = sorted(random.permutation(names)[:count].tolist())
        taken.update(chosen)
        (lists / f"{part}.txt").write_text("\n".join(chosen) + "\n", encoding="utf-8")
    return folder


def learn(one: Set, assets: Path, folder: Path, output: Path, changes: dict) -> dict[str, float]:
    """Train; the figures of the best epoch's weights on the test images."""
    began = time.process_time()
    plan = Plan(one.network, assets / WEIGHTS, resolution=one.resolution)
    result = train(plan, folder, changes=changes, output=output, workers=0, say=print)
    seconds = time.process_time() - began
    task = task_for(one.network)
    found = {"seconds": seconds, "epoch": result.best["epoch"]}
    found |= {"epochs": result.history[-1]["epoch"], "val": result.best[result.metric]}
    session = open_model(result.checkpoint)
    measured = evaluate(session, open_data(task, str(folder), "test"), task).results
    return found | {name: measured[name] for name in FIGURES if name in measured}


def main() -> None:
    """Lay out, learn, print a table, write all figures."""
    options = options_of(__doc__, SETS, ("before", "now"), "0,1").parse_args()

    def laid_out(name: str, seed: int, folder: Path) -> Path:
        return lay_out(SETS[name], options.assets, folder, seed)

    def learned(side: str, name: str, seed: int, folder: Path, output: Path) -> dict[str, float]:
        changes = {"seed": seed, **(SETS[name].before if side == "before" else {})}
        return learn(SETS[name], options.assets, folder, output, changes)

    run_all(options, laid_out, learned, table, "few.json")


def table(rows: list[dict]) -> Iterator[str]:
    """For each set and side: every seed's figures in the test part, and processor seconds."""
    yield "| Images | | AP50 or mIoU, mean | each seed | AP or pixel accuracy, mean | seconds |"
    yield "|---|---|---|---|---|---|"
    for name, side in dict.fromkeys((row["set"], row["side"]) for row in rows):
        some = [row for row in rows if (row["set"], row["side"]) == (name, side)]
        first, second = (
            [next(row[key] for key in keys if key in row) for row in some]
            for keys in (("ap50", "miou"), ("ap", "pixel_accuracy"))
        )
        seconds = statistics.mean(row["seconds"] for row in some)
        each = ", ".join(f"{value:.3f}" for value in first)
        means = f"{statistics.mean(first):.3f} | {each} | {statistics.mean(second):.3f}"
        yield f"| {name} | {side} | {means} | {seconds:.0f} |"


if __name__ == "__main__":
    main()
