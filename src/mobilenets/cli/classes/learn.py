"""`mobilenets learn`: new classes from a few photographs, and what is none of the classes."""

from pathlib import Path
from typing import Annotated

import typer

from mobilenets.cli.console import out, print_json, say
from mobilenets.cli.options import AsJson, Device, Force, Weights
from mobilenets.cli.overwriting import check_overwriting
from mobilenets.data.listing import count


def run(
    weights: Weights,
    images: Annotated[
        str | None,
        typer.Argument(
            metavar="NEWDIR", help="A folder of photographs for each new class, or those of one."
        ),
    ] = None,
    *,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The checkpoint to write, .safetensors.")
    ],
    unknown: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Images of its classes: it then tells what is none of them."
        ),
    ] = None,
    device: Device = None,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Give a classifier new classes from a few photographs of each, without training.

    WEIGHTS are any classifier's. NEWDIR has a folder for each new class, called as it, with five
    photographs or so; or it is such a folder itself. The weights of the old classes stay as they
    are. How many photographs are right is said: those of a val or test part, else each as if it
    had not been learned. With `--unknown`, DATA is what WEIGHTS were trained on: `predict` and
    `eval` then say `unknown` of images that look like none of the classes, the new ones are set
    apart better, and the old ones are measured before and after. NEWDIR may then be left out.

    Example: `mobilenets learn best.safetensors new-birds -o more.safetensors --unknown birds`
    """
    from mobilenets.training.known.new_classes import learn

    check_overwriting([output], force=force, json=json, option="--output")
    found = learn(weights, images, output=output, unknown=unknown, device=device or "auto", say=say)
    if json:
        made = {"file": str(output), "classes": list(found.classes), "images": found.images}
        print_json({**made, **found.results})
        return
    new = count(len(found.classes), "new class", "new classes")
    out.line(f"{output}: {new}" if found.classes else f"{output}: it tells unknown images")
