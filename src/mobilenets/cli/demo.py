"""`mobilenets demo`: the main job end to end."""

import time
from pathlib import Path
from typing import Annotated

import typer

from mobilenets.cli.console import out, print_json, say
from mobilenets.cli.options import AsJson, Force
from mobilenets.cli.overwriting import check_overwriting


def run(
    output: Annotated[Path, typer.Option(help="Folder for the page and the models.")] = Path(
        "demo"
    ),
    seed: Annotated[
        int, typer.Option(help="Of the order of the images and of new heads.", min=0)
    ] = 0,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Train, evaluate, export and predict on built-in data, and write a page of what happened.

    A classifier, a detector and a segmentation network, side by side, from small weights in the
    package, in some three minutes on two cores. An earlier demo in the folder is replaced. The
    exit status is 0 only if each learned and its export agrees with it.

    Example: `mobilenets demo --output demo`
    """
    from mobilenets.demo import run_demo, would_overwrite
    from mobilenets.errors import TrainingError

    others = would_overwrite(output)
    check_overwriting(others, force=force, json=json, option="--output")
    began = time.monotonic()
    outcome = run_demo(output, say, seed=seed)
    seconds = time.monotonic() - began
    if json:
        found = {
            one.task: {
                one.use.metric: one.value,
                f"exported_{one.use.metric}": one.exported,
                "training_seconds": round(one.seconds, 1),
            }
            for one in outcome.measured
        }
        page, rounded = str(outcome.page), round(seconds, 1)
        print_json({"passed": outcome.passed, **found, "page": page, "seconds": rounded})
    for one in outcome.measured:
        if one.passed and not json:
            out.line(f"{one.use.metric} {one.value:.3f} ({one.use.guessing})")
    failed = [
        f"{one.use.title}: {one.use.metric} must reach {one.use.threshold} and be the same after "
        f"export, got {one.value:.3f} and {one.exported:.3f}"
        for one in outcome.measured
        if not one.passed
    ]
    if failed:
        raise TrainingError(f"the demo failed: {'; '.join(failed)}")
    if not json:
        out.line(f"in {seconds:.0f} seconds: {outcome.page}")
