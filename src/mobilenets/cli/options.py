"""Arguments and options that several commands have."""

from typing import Annotated

import typer

from mobilenets.cli.additions import by_use
from mobilenets.runtime.session import Runtime
from mobilenets.tasks.registry import with_part

DEFAULTS = [(task.name, task.defaults) for task in with_part("read")]
"""By the use's name."""

AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]
Weights = Annotated[str, typer.Argument(metavar="WEIGHTS", help="A file or a published name.")]
BatchSize = Annotated[
    int | None,
    typer.Option(min=1, help=f"Images at a time: {by_use({n: d.batch for n, d in DEFAULTS})}."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Of the network; all cores if not given.")]
Exact = Annotated[
    bool,
    typer.Option(
        "--exact", help="Decode photographs at full size, also those over 6 times the input's."
    ),
]
RunBy = Annotated[
    Runtime, typer.Option(help="What runs an .onnx file; auto: the engine if it can.")
]
Resolution = Annotated[int | None, typer.Option(help="Pixels of the input's sides.")]
WidthOfName = Annotated[float | None, typer.Option(help="Of a network given by NAME.")]
KnobsOfName = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any argument, given a NAME.")
]
