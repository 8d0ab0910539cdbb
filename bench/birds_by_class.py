"""Birds as 150 classes of five photographs, and how many of unknown species are called unknown.

    python bench/birds_by_class.py ASSETS --output runs/birds --sides knn,probe

Of each species one photograph, which one goes by the seed, is to validate, and four are learned
from: the figure is the mean of all classes' accuracy. Then the species are shuffled by the seed,
100 are learned and 50 are strangers: `known` is the share of the 100 validation photographs that
are not called unknown (95 % by the floor that they set), `unknown` that of the 250 strangers that
are, `auroc` depends on no floor.

All sides start from `mobilenet_v2_1.0_224_quant.tflite`.

    knn          the 20 nearest of its features, and the cosine to the nearest as likeness
    probe        what a run of ours begins with, and never ends below; and `learn --unknown`
    mobilenets   `train --unknown` by default: ten minutes and more
    torchvision  torchvision's V2 and recipe, as `few_images.py` has them; it tells nothing unknown
"""

import argparse
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from few_images import TASK, WEIGHTS, Item, Start, lay_out, reference

from mobilenets import load
from mobilenets.card import card_of
from mobilenets.data.folders import open_classification
from mobilenets.evaluation import evaluate
from mobilenets.files import replace_file
from mobilenets.index.embedder import open_embedder
from mobilenets.index.frozen import features, nearest_classes
from mobilenets.inference import TorchSession
from mobilenets.runtime.images import find_images
from mobilenets.training.known import know
from mobilenets.training.probe import fit_head
from mobilenets.training.run import Plan, train

KNOWN = 100
Figures = dict[str, float]


def species_of(assets: Path, seed: int | None) -> list[Path]:
    """All, in an order that the seed decides; None for that of their names."""
    found = sorted(path for path in (assets / "birds").iterdir() if path.is_dir())
    if seed is not None:
        random.Random(seed).shuffle(found)
    return found


def parts(species: list[Path], held: int) -> Iterator[Item]:
    """Four photographs of each to learn from, one to validate."""
    for one in species:
        for place, path in enumerate(sorted(one.iterdir())[:5]):
            yield "val" if place == held else "train", one.name, path


def measured(model: Any, data: Path, strangers: list[Path]) -> Figures:
    """The figures of a network on the val part, and on strangers where there are any."""
    session = TorchSession(model, card_of(model))
    images = open_classification(data, "val")
    found = evaluate(session, images, TASK, unknown=strangers).results
    if not strangers:
        return {"mean_class": found["mean_class"]}
    told = {"known": 1 - found["called_unknown"], "unknown": found["unknown_found"]}
    return {**told, "auroc": found["unknown_auroc"]}


def knn(start: Start, data: Path, strangers: list[Path], output: Path) -> Figures:
    """Of the features as they came."""
    embedder = open_embedder(start.weights, many=True)
    sets = [features(embedder, open_classification(data, part)) for part in ("train", "val")]
    if not strangers:
        classes = len(open_classification(data, "train").classes)
        seen = nearest_classes(sets[0], sets[1].vectors, classes)
        return {"mean_class": float((seen == sets[1].labels).mean())}  # one image of each
    others = np.concatenate([vectors for _, vectors, _ in embedder.of(strangers)])
    known, strange = ((x @ sets[0].vectors.T).max(1) for x in (sets[1].vectors, others))
    floor = np.sort(known)[round(0.05 * len(known))]
    ranks = np.searchsorted(np.sort(strange), known) / len(strange)
    told = {"known": float((known >= floor).mean()), "unknown": float((strange < floor).mean())}
    return {**told, "auroc": float(ranks.mean())}


def probe(start: Start, data: Path, strangers: list[Path], output: Path) -> Figures:
    """The head alone is new."""
    sets = open_classification(data, "train"), open_classification(data, "val")
    model, _ = TASK.network.adapt("mobilenet_v2", start.load(), sets[0].classes, {})
    fit_head(model, card_of(model), TASK, sets[0], print, cpu=True)
    if strangers:
        know(model, TASK, sets, print, cpu=True)
    return measured(model, data, strangers)


def ours(start: Start, data: Path, strangers: list[Path], output: Path) -> Figures:
    """Nothing but the defaults."""
    plan = Plan("mobilenet_v2", start.weights, start.pixels, unknown=bool(strangers))
    result = train(plan, data, output=output, workers=0, say=print)
    return measured(load(result.checkpoint), data, strangers)


def theirs(start: Start, data: Path, strangers: list[Path], output: Path) -> Figures:
    """The recipe of torchvision's references; one validation image of each class."""
    return {} if strangers else {"mean_class": reference(start, data, output, 0)["val"]}


SIDES: dict[str, Callable[[Start, Path, list[Path], Path], Figures]] = {
    "knn": knn,
    "probe": probe,
    "mobilenets": ours,
    "torchvision": theirs,
}


def main() -> None:
    """Lay out, measure each side, print a line for each, write all figures."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--pixels", type=int, default=224, help="less is faster")
    given = parser.parse_args()
    start = Start(given.assets / WEIGHTS, given.pixels)
    rows = []
    for seed in map(int, given.seeds.split(",")):
        place = given.output / str(seed)
        every = lay_out(parts(species_of(given.assets, None), seed % 5), place / "classes")
        shuffled = species_of(given.assets, seed)
        some = lay_out(parts(shuffled[:KNOWN], seed % 5), place / "known")
        strangers = find_images([str(path) for path in shuffled[KNOWN:]])
        for side in given.sides.split(","):
            found = SIDES[side](start, every, [], place / side / "classes")
            found |= SIDES[side](start, some, strangers, place / side / "known")
            rows.append({"seed": seed, "side": side, **found})
            print(json.dumps(rows[-1]), flush=True)
    for side in given.sides.split(","):
        mine = [row for row in rows if row["side"] == side]
        means = {k: np.mean([row[k] for row in mine]) for k in mine[0] if k not in ("seed", "side")}
        print(side, " ".join(f"{name} {value:.3f}" for name, value in means.items()))
    text = json.dumps(rows, indent=1)
    replace_file(given.output / "birds.json", lambda path: path.write_text(text))


if __name__ == "__main__":
    main()
