"""`mobilenets export`: one file for a device."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mobilenets.cli import knobs
from mobilenets.cli.additions import extended
from mobilenets.cli.console import err, out, print_json
from mobilenets.cli.options import AsJson, KnobsOfName, Resolution, WidthOfName


@extended("export", before="batch")
def run(
    weights: Annotated[
        str, typer.Argument(metavar="WEIGHTS|NAME", help="A file, a published name, or a network.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write, .onnx.")],
    batch: Annotated[int | None, typer.Option(help="Fix the batch size; free otherwise.")] = None,
    resolution: Resolution = None,
    width: WidthOfName = None,
    knob: KnobsOfName = None,
    json: AsJson = False,
    **options: Any,
) -> None:
    """Write a model as ONNX, batch normalisation folded, labels and preprocessing inside.

    USES The file is run and compared
    with its source before it is kept. A bare NAME such as mobilenet_v2 gets random weights, for
    measuring speed.

    Example: `mobilenets export runs/mobilenet_v2-photos/best.safetensors -o photos.onnx`
    """
    from mobilenets.export import export_onnx
    from mobilenets.export.source import open_source

    arguments = knobs.parse(knob, "knob")
    if width is not None:
        arguments["width"] = width
    model = open_source(weights, resolution=resolution, knobs=arguments)
    with err.status("exporting"):
        written = export_onnx(model, output, batch=batch, **options)
    if json:
        print_json({"file": str(output), "bytes": written.bytes, "difference": written.difference})
        return
    out.print(
        f"{output}: {written.bytes / 1e6:.1f} MB; outputs within {written.difference:.1e} "
        f"of the source",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
