"""`mobilenets train`: a network from images."""

import os
from pathlib import Path
from typing import Annotated

import typer

from mobilenets.cli import knobs
from mobilenets.cli.additions import recipe_names
from mobilenets.cli.console import out, print_json, say
from mobilenets.cli.options import AsJson, Resolution


def run(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A network: mobilenets models.")],
    data: Annotated[
        str, typer.Option(help="A folder, a list, or shapes: docs/training.md, docs/data.md.")
    ],
    weights: Annotated[
        str | None, typer.Option("--from", metavar="WEIGHTS", help="Start here, not at random.")
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(help=recipe_names()),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Folder of the run; a new one under runs/ if not given.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images per step; the rate follows it.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Instead of the recipe's.")] = None,
    resolution: Resolution = None,
    width: Annotated[float | None, typer.Option(help="Width multiplier.")] = None,
    knob: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any argument of the network.")
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Any setting of the recipe: docs/training.md."
        ),
    ] = None,
    teacher: Annotated[
        str | None, typer.Option(metavar="WEIGHTS|TIMM", help="Learn from this network too.")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that read images.")] = 1,
    json: AsJson = False,
) -> None:
    """Train MODEL on your images, from scratch or from anyone's weights.

    The run's folder gets `best.safetensors` and `last.safetensors`, `log.csv`, TensorBoard
    files, `curves.png` and a picture of what is right and wrong. Ctrl-C keeps it all; the same
    command with `--resume` goes on. On several processes: docs/training.md.

    Example: `mobilenets train mobilenet_v2 --from mobilenet_v2_1.0_224.google --data photos`
    """
    from mobilenets.training.loop import InterruptedRunError
    from mobilenets.training.run import Plan, train

    arguments = knobs.parse(knob, "knob")
    if width is not None:
        arguments["width"] = width
    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        **knobs.parse(setting, "set"),
    }
    plan = Plan(model, weights, resolution, arguments, teacher)
    try:
        result = train(
            plan,
            data,
            recipe_name=recipe,
            changes={name: value for name, value in changes.items() if value is not None},
            output=output,
            resume=resume,
            workers=workers,
            say=say,
        )
    except InterruptedRunError as error:
        raise InterruptedRunError(f"{error}; the same command with --resume goes on") from None
    if int(os.environ.get("RANK", "0")):  # one process answers for all
        return
    if json:
        print_json({**result.best, "checkpoint": str(result.checkpoint)})
        return
    best = result.best
    out.print(
        f"best: {result.metric} {best[result.metric]:.4f} at epoch {best['epoch']} "
        f"of {len(result.history)}; "
        f"{result.checkpoint}",
        highlight=False,
        soft_wrap=True,
    )
