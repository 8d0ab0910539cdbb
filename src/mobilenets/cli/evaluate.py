"""`mobilenets eval`: how good a model is on labelled images."""

from typing import Annotated, Literal

import typer

from mobilenets.cli.console import out, print_json, progress, say
from mobilenets.runtime.session import Runtime

Split = Literal["eval", "train", "val", "test", "all"]


def run(
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="A file or a published name.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="A folder, a list, or shapes.")],
    split: Annotated[
        Split, typer.Option(help="eval: val where the data has one, else test, else all.")
    ] = "eval",
    limit: Annotated[
        int | None, typer.Option(help="At most so many images, spread evenly over the data.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 32,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the network; all cores if not given.")
    ] = None,
    runtime: Annotated[
        Runtime, typer.Option(help="What runs an .onnx file; auto: the engine if it can.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """How good WEIGHTS are on DATA: its validation part, or all of it where it has none.

    A classifier's accuracy; a detector's average precision, by COCO's protocol and VOC 2007's.

    WEIGHTS is a checkpoint, anyone's weights that the package reads, an `.onnx` file (which needs
    no torch) or a published name. Shares are 0 to 1 in JSON. Images that cannot be read are named
    and left out.

    Example: `mobilenets eval runs/mobilenet_v2-photos/best.safetensors photos`
    """
    from mobilenets.evaluation import evaluate, spread
    from mobilenets.inference import open_model
    from mobilenets.tasks import task_of

    session = open_model(weights, threads=threads, runtime=runtime)
    task = task_of(session.card)
    dataset = task.open_data(data, split)
    for note in filter(None, [session.note, *dataset.notes]):
        say(f"note: {note}")
    indices = spread(len(dataset), limit)
    with progress("evaluating", len(indices)) as advance:
        found = evaluate(
            session, dataset, task, indices=indices, batch_size=batch_size, progress=advance
        )
    for note in found.evaluator.notes:
        say(f"note: {note}")
    for _, why in found.failures:
        say(f"left out: {why}")
    if json:
        failures = [{"image": name, "error": why} for name, why in found.failures]
        print_json({**found.results, "failures": failures})
        return
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in found.results.items():
        table.add_row(name, f"{value:.4f}" if isinstance(value, float) else str(value))
    if found.failures:
        table.add_row("not readable", str(len(found.failures)))
    out.print(table)
