"""`mobilenets export`: one file for a device."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mobilenets.cli import knobs
from mobilenets.cli.additions import extended
from mobilenets.cli.console import err, out, print_json
from mobilenets.cli.options import (
    AsJson,
    ClassesOfName,
    Force,
    KnobsOfName,
    Resolution,
    WidthOfName,
)
from mobilenets.cli.overwriting import check_overwriting


@extended("export", before="batch")
def run(
    weights: Annotated[
        str, typer.Argument(metavar="WEIGHTS|NAME", help="A file, a published name, or a network.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, .onnx.")],
    batch: Annotated[int | None, typer.Option(help="Fix the batch size; free otherwise.")] = None,
    resolution: Resolution = None,
    width: WidthOfName = None,
    classes: ClassesOfName = None,
    knob: KnobsOfName = None,
    force: Force = False,
    json: AsJson = False,
    **options: Any,
) -> None:
    """Write a model as ONNX, batch normalisation folded, labels and preprocessing inside.

    USES The file is run and compared
    with its source before it is kept. A folder that is not there is made. A file that is there is
    overwritten with `--force`, or after a yes in a terminal. A bare NAME such as mobilenet_v2 gets
    random weights, for measuring speed.

    Example: `mobilenets export runs/mobilenet_v2-photos/best.safetensors -o photos.onnx`
    """
    from mobilenets.export import export_onnx
    from mobilenets.export.source import open_source

    check_overwriting([output], force=force, json=json, option="--output")
    arguments = knobs.of_name(knob, width=width, classes=classes)
    model = open_source(weights, resolution=resolution, knobs=arguments)
    with err.status("exporting"):
        written = export_onnx(model, output, batch=batch, **options)
    if json:
        print_json({"file": str(output), "bytes": written.bytes, "difference": written.difference})
        return
    out.line(
        f"{output}: {written.bytes / 1e6:.1f} MB; outputs within {written.difference:.1e} "
        f"of the source",
    )
