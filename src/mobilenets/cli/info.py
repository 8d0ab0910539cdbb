"""`mobilenets info`: what a model file is."""

from typing import Annotated

import typer

from mobilenets.cli.console import print_json
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.options import AsJson


def run(
    model: Annotated[
        str,
        typer.Argument(metavar="FILE|NAME", help="A model's file or folder, or a name."),
    ],
    json: AsJson = False,
) -> None:
    """Say what a model file is: its network, labels, input, outputs, size, cost and results.

    FILE is any that the package reads: `.onnx`, `.tflite`, `.safetensors`, `.pth`, `.h5`, `.keras`,
    a TensorFlow.js model, the folder of a training run. NAME is a network or a published
    checkpoint, which is not fetched for this. Nothing is run and nothing is written. It is also
    said whether the engine runs an `.onnx` file, and which operator stops it; who wrote it; and on
    how many images a checkpoint of ours was trained.

    Example: `mobilenets info photos.onnx`
    """
    from mobilenets.about.describe import describe

    found = describe(model)
    if json:
        print_json(found.to_dict())
        return
    show_table(Grid([Column(""), Column("")], found.rows()), heading=False)
