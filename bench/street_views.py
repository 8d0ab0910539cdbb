"""Where street views were taken: ours, the nearest neighbour's place, PlaNet's own reading.

    python bench/street_views.py ASSETS/streetviews WEIGHTS [--folds 5] [--epochs N]

Whole places are left out in turn. For each fold a network is trained on the other places with the
defaults (`mobilenets train planet_mobilenet_v2 --from WEIGHTS`; a fifth of these places picks the
epoch and the temperature), and measured on the places left out. Beside it, on the same photographs:

- 1-NN: the position of the training photograph with the nearest features (cosine) of WEIGHTS;
- PlaNet's reading: the same network, the middle of the likeliest cell.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import torch

import mobilenets
from mobilenets.card import card_of
from mobilenets.evaluation import batches, evaluate
from mobilenets.inference import open_model
from mobilenets.tasks.registry import tasks
from mobilenets.weights import load

TASK = tasks()["geolocate"]
EARTH = 6371.0088


def away(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(N,) kilometres between positions, by the haversine formula."""
    (a, b), (c, d) = np.radians(first).T, np.radians(second).T
    half = np.sin((c - a) / 2) ** 2 + np.cos(a) * np.cos(c) * np.sin((d - b) / 2) ** 2
    return 2 * EARTH * np.arcsin(np.sqrt(half))


@torch.no_grad()
def nearest(weights: str, dataset, train: list[int], test: list[int]) -> np.ndarray:
    """(N, 2) positions of the training photographs that look most like those at `test`."""
    network = load(weights, say=lambda line: None).eval()
    found = []
    for batch in batches(dataset, range(len(dataset)), card_of(network).preprocessing, 4):
        found.append(network.embed(torch.from_numpy(batch.inputs)))
    features = torch.nn.functional.normalize(torch.cat(found))
    best = (features[test] @ features[train].T).argmax(1).tolist()
    return np.array([dataset.target(train[i]) for i in best])


def list_of(folder: Path, dataset, train: list[int], test: list[int]) -> Path:
    """A list in which the places left out are the test part; whole places are held out for val."""
    places = sorted({dataset.target(i) for i in train})
    order = np.random.default_rng(0).permutation(len(places))
    val = {places[i] for i in order[: max(1, len(places) // 5)]}
    rows = ["image,lat,lon,split"]
    for i in [*train, *test]:
        lat, lon = dataset.target(i)
        part = "test" if i in set(test) else "val" if (lat, lon) in val else "train"
        rows.append(f"{dataset.path(i).resolve()},{lat},{lon},{part}")
    path = folder / "places.csv"
    path.write_text("\n".join(rows))
    return path


def main() -> None:
    """Run the folds that the command line asks for, and print a row of figures for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("weights")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--only", type=int, default=None, help="so many of the folds")
    parser.add_argument("--epochs", type=int, default=None)
    given = parser.parse_args()
    dataset = TASK.data.open_data(given.data, "all")
    places = sorted({dataset.target(i) for i in range(len(dataset))})
    turn = np.random.default_rng(0).permutation(len(places)) % given.folds
    fold_of = dict(zip(places, turn.tolist(), strict=True))
    errors: dict[str, list[np.ndarray]] = {"1-NN": [], "PlaNet's reading": [], "ours": []}
    inside: list[np.ndarray] = []
    for fold in range(given.folds if given.only is None else given.only):
        every = range(len(dataset))
        test = [i for i in every if fold_of[dataset.target(i)] == fold]
        train = [i for i in every if fold_of[dataset.target(i)] != fold]
        truth = np.array([dataset.target(i) for i in test])
        errors["1-NN"].append(away(truth, nearest(given.weights, dataset, train, test)))
        with tempfile.TemporaryDirectory() as folder:
            data = list_of(Path(folder), dataset, train, test)
            settings = {} if given.epochs is None else {"epochs": given.epochs}
            run = mobilenets.train(
                "planet_mobilenet_v2",
                data,
                weights=given.weights,
                output=Path(folder) / "run",
                workers=0,
                **settings,
            )
            session = open_model(run.checkpoint)
            left_out = TASK.data.open_data(data, "test")
            measured = evaluate(session, left_out, TASK).evaluator
            found, radii = measured.answers()
            truth = measured.truths
            errors["ours"].append(away(truth, found))
            inside.append(errors["ours"][-1] <= radii[:, 1])
            cells = np.array([row[2:4] for row in session.card.kept["cells"]])
            likeliest = np.concatenate(
                [
                    session(batch.inputs)["logits"].argmax(1)
                    for batch in batches(
                        left_out, range(len(left_out)), session.card.preprocessing, 8
                    )
                ]
            )
            errors["PlaNet's reading"].append(away(truth, cells[likeliest]))
        print(json.dumps(summary(errors, inside)), flush=True)


def summary(errors: dict[str, list[np.ndarray]], inside: list[np.ndarray]) -> dict:
    """Medians and shares over all folds until now."""
    rows = {}
    for name, parts in errors.items():
        joined = np.concatenate(parts)
        rows[name] = {
            "median_km": round(float(np.median(joined)), 1),
            **{f"within_{km}km": round(float((joined <= km).mean()), 3) for km in (25, 200)},
        }
    held = round(float(np.concatenate(inside).mean()), 3)
    return {**rows, "in_radius_90": held, "photographs": sum(map(len, inside))}


if __name__ == "__main__":
    main()
