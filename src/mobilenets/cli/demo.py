"""`mobilenets demo`: the main job end to end."""

import time
from pathlib import Path
from typing import Annotated

import typer

from mobilenets.cli.console import err, out, print_json


def run(
    output: Annotated[Path, typer.Option(help="Folder for the page and the models.")] = Path(
        "demo"
    ),
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Train, evaluate, export and predict on built-in data, and write a page of what happened.

    Takes about two minutes on two cores. The exit status is 0 only if the network learned.

    Example: `mobilenets demo --output demo`
    """
    from mobilenets.demo import THRESHOLD, run_demo
    from mobilenets.errors import TrainingError

    began = time.monotonic()
    outcome = run_demo(
        output, lambda line: err.print(line, highlight=False, markup=False, soft_wrap=True)
    )
    seconds = time.monotonic() - began
    if json:
        print_json(
            {
                "passed": outcome.passed,
                "top1": outcome.top1,
                "exported_top1": outcome.exported_top1,
                "page": str(outcome.page),
                "seconds": round(seconds, 1),
            }
        )
    if not outcome.passed:
        raise TrainingError(
            f"the demo failed: top-1 must reach {THRESHOLD} and be the same after export, got "
            f"{outcome.top1:.3f} and {outcome.exported_top1:.3f}"
        )
    if not json:
        out.print(
            f"top-1 {outcome.top1:.3f} (guessing gives 0.125), in {seconds:.0f} seconds. "
            f"The page: {outcome.page}",
            highlight=False,
            soft_wrap=True,
        )
