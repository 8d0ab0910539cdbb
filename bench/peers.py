"""What the comparisons with torchvision's networks share: whose turn it is, and the table."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mobilenets.files import replace_file


def arguments(description: str, sides: Sequence[str]) -> argparse.ArgumentParser:
    """The options that every comparison has; `sides` are who can take part."""

    def chosen(text: str) -> list[str]:
        names = text.split(",")
        unknown = [name for name in names if name not in sides]
        if unknown:
            raise argparse.ArgumentTypeError(f"must be of {', '.join(sides)}, got {unknown[0]!r}")
        return names

    parser = argparse.ArgumentParser(description=description.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--learning-rate", type=float, help="the recipe's own if not given")
    parser.add_argument("--sides", type=chosen, default=list(sides), help="with commas between")
    return parser


def compare(
    options: argparse.Namespace, name: str, train: Callable[[str, Path], Mapping[str, Any]]
) -> None:
    """Train each side in a folder of its own, print what it reached, and write all as JSON."""
    options.output.mkdir(parents=True, exist_ok=True)
    rows = {}
    for side in options.sides:
        rows[side] = dict(train(side, options.output / side))
        print(side, rows[side], flush=True)
    table = json.dumps(rows, indent=2)
    replace_file(options.output / f"{name}.json", lambda path: path.write_text(table))
