"""What benches of few images share: sides on sets of images with several seeds, and their rows."""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from mobilenets.files import replace_file

Row = dict[str, object]


def options_of(
    description: str, sets: Iterable[str], sides: Iterable[str], seeds: str
) -> argparse.ArgumentParser:
    """The arguments that all have: the folder with the images, and what of it is run."""
    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("assets", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seeds", default=seeds)
    parser.add_argument("--sets", default=",".join(sets))
    parser.add_argument("--sides", default=",".join(sides))
    return parser


def run_all(
    options: argparse.Namespace,
    lay_out: Callable[[str, int, Path], Path],
    learn: Callable[[str, str, int, Path, Path], Row],
    table: Callable[[list[Row]], Iterator[str]],
    name: str,
) -> None:
    """Every side on every set with every seed: a row each, then the table; all rows in a file.

    `lay_out` makes the data of (set, seed) in a folder; `learn` takes (side, set, seed), that
    data and a folder for its own, and gives the figures.
    """
    rows: list[Row] = []
    for one in options.sets.split(","):
        for seed in map(int, options.seeds.split(",")):
            place = options.output / one / str(seed)
            folder = lay_out(one, seed, place / "data")
            for side in options.sides.split(","):
                found = learn(side, one, seed, folder, place / side)
                rows.append({"set": one, "seed": seed, "side": side, **found})
                print(json.dumps(rows[-1]), flush=True)
    for line in table(rows):
        print(line)
    text = json.dumps(rows, indent=1)
    replace_file(options.output / name, lambda path: path.write_text(text))
