"""Arguments and options that several commands have."""

from typing import Annotated

import typer

from mobilenets.runtime.session import Runtime

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Weights = Annotated[str, typer.Argument(metavar="WEIGHTS", help="A file or a published name.")]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Images at a time: 32, or 4 to segment.")
]
MultiScale = Annotated[
    bool, typer.Option("--multi-scale", help="To segment: six sizes and flips, the papers' MF.")
]
OutputStride = Annotated[
    int | None, typer.Option(help="To segment: 8, 16 or 32, whatever was trained.")
]
Threads = Annotated[int | None, typer.Option(min=1, help="Of the network; all cores if not given.")]
RunBy = Annotated[
    Runtime, typer.Option(help="What runs an .onnx file; auto: the engine if it can.")
]
Resolution = Annotated[int | None, typer.Option(help="Pixels of the input's sides.")]
WidthOfName = Annotated[float | None, typer.Option(help="Of a network given by NAME.")]
KnobsOfName = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any argument, given a NAME.")
]
Argmax = Annotated[
    bool, typer.Option("--argmax", help="To segment: each pixel's class, not logits.")
]
