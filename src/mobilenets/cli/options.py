"""Arguments and options that several commands have."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli.additions import by_use
from mobilenets.cli.console import say
from mobilenets.runtime import Runtime
from mobilenets.tasks.registry import with_part

if TYPE_CHECKING:
    from mobilenets.runtime.session import Session

DEFAULTS = [(task.name, task.defaults) for task in with_part("read")]
"""By the use's name."""

Force = Annotated[bool, typer.Option("--force", "-f", help="Overwrite what is there.")]
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
Device = Annotated[
    str | None,
    typer.Option(metavar="DEVICE", help="Of torch: auto (default), cpu, cuda, cuda:N or mps."),
]
Resolution = Annotated[int | None, typer.Option(help="Pixels of the input's sides.")]
WidthOfName = Annotated[float | None, typer.Option(help="Of a network given by NAME.")]
ClassesOfName = Annotated[
    int | None, typer.Option(help="Outputs of a network given by NAME; a detector's kinds.")
]
KnobsOfName = Annotated[
    list[str] | None, typer.Option(metavar="NAME=VALUE", help="Any argument, given a NAME.")
]


@dataclass(frozen=True)
class Running:
    """How a command runs a model on images: options of eval and predict (`additions.extended`)."""

    batch_size: BatchSize = None
    exact: Exact = False
    threads: Threads = None
    runtime: RunBy = "auto"
    device: Device = None

    def open(self, weights: str, *, many: bool, **options: Any) -> "Session":
        """WEIGHTS, ready to run on one image or on many; `options` are those of the uses."""
        from mobilenets.inference import open_model

        return open_model(
            weights,
            threads=self.threads,
            runtime=self.runtime,
            many=many,
            device=self.device or "auto",
            **options,
        )


def say_where(session: "Session", *, json: bool) -> dict[str, str]:
    """Say what torch computes on, or return it for a JSON answer; {} where torch does not run."""
    where = getattr(session, "where", None)
    if where is None:
        return {}
    if not json:
        say(f"on {where}")
    return {"device": where}
