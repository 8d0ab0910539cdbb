"""`mobilenets train`: a network from images."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli import knobs
from mobilenets.cli.additions import recipe_names
from mobilenets.cli.console import out, print_json, say
from mobilenets.cli.console.help import Command
from mobilenets.cli.options import AsJson, Device, Resolution

if TYPE_CHECKING:
    from mobilenets.training.runs.arguments import RunArguments
    from mobilenets.training.runs.result import Result


class Resuming(Command):
    """Takes `--resume=FOLDER` for `--resume FOLDER`: a flag, and a folder after all other words."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The words that are left over."""
        flag = "--resume="
        folders = [word.removeprefix(flag) for word in args if word.startswith(flag)]
        words = ["--resume" if word.startswith(flag) else word for word in args]
        return super().parse_args(ctx, [*words, *filter(None, folders)])


KIND = Resuming
"""What the command line makes of `run`."""


def run(
    model: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="MODEL", help="A network: mobilenets models. With --resume, a run's folder."
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="A folder, a list, or shapes: docs/training.md, docs/data.md."),
    ] = None,
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run: its folder says everything else.")
    ] = False,
    extend: Annotated[
        int | None, typer.Option(metavar="EPOCHS", help="With --resume: so many more, at the end.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Images per step; the rate follows it.")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="Instead of the recipe's; with --extend, of its epochs.")
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time of the run; as many epochs as fit into it.")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Epochs without a better result, after which it ends.")
    ] = None,
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
    unlabelled: Annotated[
        str | None,
        typer.Option(metavar="DIR", help="With --teacher: images without labels to learn from."),
    ] = None,
    unknown: Annotated[
        bool,
        typer.Option("--unknown", help="Also learn to tell images of none of the classes."),
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes that read images: 1 if not given.")
    ] = None,
    device: Device = None,
    json: AsJson = False,
) -> None:
    """Train MODEL on your images, from scratch or from anyone's weights.

    The run's folder gets `best.safetensors` and `last.safetensors`, `log.csv`, TensorBoard
    files, `curves.png` and a picture of what is right and wrong. Ctrl-C keeps it all:
    `mobilenets train --resume FOLDER` goes on, and with `--extend 10` a run that had ended goes on
    for ten epochs more. On several processes: docs/training.md.

    Example: `mobilenets train mobilenet_v2 --from mobilenet_v2_1.0_224.google --data photos`
    """
    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": None if extend else learning_rate,
        **knobs.parse(setting, "set"),
    }
    given = {
        "model": model,
        "data": data,
        "weights": weights,
        "recipe": recipe,
        "resolution": resolution,
        "teacher": teacher,
        "unlabelled": unlabelled,
        "unknown": unknown or None,
        "workers": workers,
        "device": device,
        "minutes": minutes,
        "patience": patience,
        "knobs": knobs.of_name(knob, width=width),
        "changes": {name: value for name, value in changes.items() if value is not None},
    }
    if extend is not None and not resume:
        raise ValueError("--extend is for a run that had ended: --resume FOLDER --extend 10")
    asked, output = settle(given, output, resume=resume)
    result = trained(asked, output, resume=resume, extend=extend, learning_rate=learning_rate)
    if not int(os.environ.get("RANK", "0")):  # one process answers for all
        show(result, json=json)


def trained(
    asked: "RunArguments",
    output: Path | None,
    *,
    resume: bool,
    extend: int | None,
    learning_rate: float | None,
) -> "Result":
    """Train what is asked for; `learning_rate` is that of the epochs which `extend` adds.

    Where it is interrupted, the error has the command that goes on.
    """
    from mobilenets.training.run import Plan, train
    from mobilenets.training.runs.extension import Extension
    from mobilenets.training.runs.signals import InterruptedRunError

    plan = Plan(
        asked.model,
        asked.weights,
        asked.resolution,
        asked.knobs,
        asked.teacher,
        asked.unlabelled,
        bool(asked.unknown),
    )
    try:
        return train(
            plan,
            asked.data or None,
            recipe_name=asked.recipe,
            changes=asked.changes,
            output=output,
            resume=resume,
            extend=None if extend is None else Extension(extend, learning_rate),
            workers=1 if asked.workers is None else asked.workers,
            device=asked.device or "auto",
            minutes=asked.minutes,
            patience=asked.patience,
            say=say,
        )
    except InterruptedRunError as error:
        raise InterruptedRunError(f"{error}; {to_go_on(error.folder)} goes on") from None


def show(result: "Result", *, json: bool) -> None:
    """Print the best epoch's figures, and where its weights are."""
    if json:
        place = {"checkpoint": str(result.checkpoint), "device": result.device}
        print_json({**result.best, **place})
        return
    best = result.best
    when, last = int(best["epoch"]), int(result.history[-1]["epoch"])
    title = "best" if when else f"{result.began} was best"
    where = f"at epoch {when} of {last}" if when else f"better than all {last} epochs"
    out.line(f"{title}: {result.metric} {best[result.metric]:.4f} {where}; {result.checkpoint}")


def settle(
    given: dict[str, Any], output: Path | None, *, resume: bool
) -> "tuple[RunArguments, Path | None]":
    """What to train and where: of a run that goes on, as its folder says.

    The folder is `output`, or stands where MODEL would. ValueError for too few arguments, too
    many, or one that contradicts the folder.
    """
    from mobilenets.tasks.registry import networks
    from mobilenets.training.runs.arguments import FILE, RunArguments, kept_arguments, run_folder
    from mobilenets.training.runs.naming import choose_folder

    words = given.pop("model") or []
    if resume and words and (len(words) > 1 or words[0] not in networks()):
        *words, last = words
        if output is not None and output.resolve() != run_folder(last).resolve():
            raise ValueError(f"--output {output} is another folder than {last}, which to resume")
        output = run_folder(last)
    if len(words) > 1:
        raise ValueError(f"MODEL must be one network, got {' and '.join(words)}")
    given["model"] = words[0] if words else None
    images = given["data"] or given.get("unlabelled")
    whole = given["model"] is not None and images is not None
    if resume and whole and images and output is None:
        output = choose_folder(None, given["model"], images, resume=True)
    if resume and output is not None and ((output / FILE).is_file() or not whole):
        return kept_arguments(output).merged(given, output), output
    if resume and not words:
        raise ValueError("--resume needs the folder of a run: mobilenets train --resume runs/NAME")
    for value, option in ((given["model"], "MODEL"), (images, "--data")):
        if not value:
            raise ValueError(f"{option} is missing: mobilenets train MODEL --data FOLDER")
    return RunArguments(**{**given, "data": given["data"] or ""}), output


def to_go_on(folder: Path | None) -> str:
    """The command that resumes a run, ready for the shell."""
    called = Path(sys.argv[0]).name
    program = ["python", "-m", "mobilenets"] if called == "__main__.py" else [called]
    words = [*program, "train", "--resume", str(folder)]
    line = subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
    return f"`{line}`, by the same launcher," if "WORLD_SIZE" in os.environ else f"`{line}`"
