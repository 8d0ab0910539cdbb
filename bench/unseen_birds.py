"""Retrieval of species never seen: plain features, and an embedding network trained by default.

    python bench/unseen_birds.py ASSETS --output runs/unseen

`ASSETS/birds` has 150 species of five photographs. Of the species in the order of their names, the
first 100 are learned from and the last 50 are looked for (as CUB-200 is split for retrieval): each
of their 250 photographs among the 249 others. With `--seed N` the species are shuffled first.

Start: `mobilenet_v2_1.0_224_quant.tflite`. `features` is the mean of its last map, unit length,
cosine; `trained` what `mobilenets train embedding_mobilenet_v2 --from ...` makes of it by default.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np

from mobilenets.files import replace_file
from mobilenets.index.embedder import open_embedder
from mobilenets.tasks.registry import tasks
from mobilenets.training.run import Plan, train

WEIGHTS = "weights/mobilenet_v2_1.0_224_quant.tflite"
TRAINED = 100
"""Species that are learned from."""


def lay_out(birds: Path, folder: Path, seed: int | None) -> Path:
    """`train` and `val` with a link to the folder of each species."""
    species = sorted(path for path in birds.iterdir() if path.is_dir())
    if seed is not None:
        random.Random(seed).shuffle(species)
    for place, path in enumerate(species):
        link = folder / ("train" if place < TRAINED else "val") / path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.exists():
            link.symlink_to(path.resolve())
    return folder


def plain_features(weights: Path, data: Path) -> dict[str, float]:
    """The figures of features as they came, on the part that is measured on."""
    task = tasks()["embed"]
    dataset = task.data.open_data(data, "val")
    embedder = open_embedder(weights, many=True)
    evaluator = task.measure.evaluator(embedder.card, dataset)
    numbers = {dataset.path(i): i for i in range(len(dataset))}
    for paths, vectors, failures in embedder.of(numbers):
        assert not failures, failures
        targets = [dataset.target(numbers[path]) for path in paths]
        evaluator.update({embedder.card.output.name: np.asarray(vectors)}, targets, [])
    return dict(evaluator.results())


def main() -> None:
    """Measure both sides, and write their figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    asked = parser.parse_args()
    weights = asked.assets / WEIGHTS
    data = lay_out(asked.assets / "birds", asked.output / "birds", asked.seed)
    found = {"features": plain_features(weights, data)}
    changes = {name: json.loads(value) for name, value in (one.split("=") for one in asked.set)}
    result = train(
        Plan("embedding_mobilenet_v2", str(weights)),
        data,
        changes=changes,
        output=asked.output / "run",
        minutes=asked.minutes,
        say=print,
    )
    found["trained"] = dict(result.best)
    text = json.dumps(found, indent=2)
    print(text)
    replace_file(asked.output / "figures.json", lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
