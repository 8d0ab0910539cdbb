"""Attributes of 1000 faces: a linear probe beside ours by default.

    python bench/faces.py ASSETS --output runs/faces

Every fifth image by name is for test (200), the others to train (800), of which ours holds a fifth
out for validation. Names go by age, so both have all ages. Both sides start from
`mobilenet_v2_1.0_224_quant.tflite`. `probe` is scikit-learn's LogisticRegression on its frozen
features, one for each attribute, on all 800; `ours` is `mobilenets train` with nothing but its
defaults. The figure is the mean average precision of male, child, adult and senior on the 200,
which nobody sees before the end. `--output` also gets `faces.csv`, the list, and `unlabelled`, a
folder with links to the 800 for `bench/students.py`.
"""

import argparse
import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score

import mobilenets
from mobilenets.card import card_of, set_card
from mobilenets.files import replace_file
from mobilenets.tasks.registry import tasks
from mobilenets.training.probe import features
from mobilenets.training.run import Plan, start, train

WEIGHTS = "weights/mobilenet_v2_1.0_224_quant.tflite"
NETWORK = "attributes_mobilenet_v2"
NAMES = ("male", "child", "adult", "senior")
TASK = tasks()["attributes"]


def lay_out(assets: Path, output: Path) -> Path:
    """Write the list with its parts, and the folder of images without labels."""
    source = assets.resolve() / "faces"
    rows = list(csv.DictReader((source / "attributes.csv").read_text("utf-8").splitlines()))
    rows.sort(key=lambda row: row["image"])
    lines = [",".join(("image", "split", *NAMES))]
    (output / "unlabelled").mkdir(parents=True, exist_ok=True)
    for i, row in enumerate(rows):
        part = "test" if i % 5 == 4 else "train"
        file = source / "images" / row["image"]
        lines.append(",".join((str(file), part, *(row[name] for name in NAMES))))
        link = output / "unlabelled" / row["image"]
        if part == "train" and not link.is_symlink():
            link.symlink_to(file)
    path = output / "faces.csv"
    replace_file(path, lambda temporary: temporary.write_text("\n".join(lines) + "\n", "utf-8"))
    return path


def probe(weights: Path, path: Path) -> float:
    """scikit-learn's regressions, as they come, on the features of the file."""
    every = TASK.data.open_data(path, "all")
    test = TASK.data.open_data(path, "test")
    held = {test.name(i) for i in range(len(test))}
    model, _ = start(Plan(NETWORK, weights), TASK, every.classes)
    card = card_of(model)
    set_card(model, card.replace(preprocessing=replace(card.preprocessing, size=(224, 224))))
    x, marks = (
        part.numpy() for part in features(model, card, TASK, every, list(range(len(every))))
    )
    out = np.array([every.name(i) in held for i in range(len(every))])
    found = []
    for k in range(len(NAMES)):
        fitted = LogisticRegression(max_iter=5000).fit(x[~out], marks[~out, k])
        found.append(average_precision_score(marks[out, k], fitted.decision_function(x[out])))
    return float(np.mean(found))


def ours(weights: Path, path: Path, output: Path) -> dict[str, float]:
    """Nothing but the defaults."""
    result = train(Plan(NETWORK, weights), path, output=output, workers=0, say=print)
    measured = mobilenets.open(result.checkpoint).evaluate(path, split="test")
    return {**measured.results, "epoch": result.best["epoch"], "val": result.best["mean_ap"]}


def main() -> None:
    """Both sides, printed and written to `faces.json`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    weights = given.assets / WEIGHTS
    path = lay_out(given.assets, given.output)
    began = time.monotonic()
    found = {"probe": {"mean_ap": probe(weights, path)}}
    print(f"probe: mean AP {found['probe']['mean_ap']:.3f}", flush=True)
    found["ours"] = ours(weights, path, given.output / "run")
    print(f"ours: mean AP {found['ours']['mean_ap']:.3f}; {time.monotonic() - began:.0f} s in all")
    text = json.dumps(found, indent=1) + "\n"
    replace_file(given.output / "faces.json", lambda file: file.write_text(text, "utf-8"))


if __name__ == "__main__":
    main()
