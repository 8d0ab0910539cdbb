"""`mobilenets predict`: what is in these images."""

from pathlib import Path
from typing import Annotated, Any

import typer

from mobilenets.cli.additions import by_use, extended
from mobilenets.cli.console import out, print_json, progress, say
from mobilenets.cli.options import (
    DEFAULTS,
    AsJson,
    BatchSize,
    Exact,
    RunBy,
    Threads,
    Weights,
)


@extended("predict", before="threads")
def run(
    weights: Weights,
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE|DIR...", help="Files, folders or patterns.")
    ],
    top: Annotated[
        int | None,
        typer.Option(min=1, help=f"Answers per image: {by_use({n: d.top for n, d in DEFAULTS})}."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help=f"Least score: {by_use({n: d.threshold for n, d in DEFAULTS})}."
        ),
    ] = None,
    save_dir: Annotated[
        Path | None, typer.Option(help="Also write each image with what is seen drawn on it here.")
    ] = None,
    batch_size: BatchSize = None,
    exact: Exact = False,
    threads: Threads = None,
    runtime: RunBy = "auto",
    json: AsJson = False,
    **options: Any,
) -> None:
    """Say what is in each image, best guess first, with its score.

    USES

    WEIGHTS is a checkpoint, anyone's weights that the package reads, an `.onnx` file (which needs
    no torch) or a published name. An image that cannot be read is named and passed over; the exit
    status is 1 where none could be read.

    Example: `mobilenets predict model.onnx holiday/*.jpg --top 3 --save-dir seen`
    """
    from mobilenets.inference import open_model, predict
    from mobilenets.runtime.images import find_images
    from mobilenets.tasks.registry import task_of

    files = find_images(images)
    many = len(files) > 1
    session = open_model(weights, threads=threads, runtime=runtime, many=many, **options)
    if session.note:
        say(f"note: {session.note}")
    task = task_of(session.card)
    with progress("predicting", len(files)) as advance:
        seen = list(
            predict(
                session,
                files,
                task,
                top=top,
                threshold=threshold,
                batch_size=batch_size,
                save_dir=save_dir,
                exact=exact,
                progress=advance,
            )
        )
    broken = [one for one in seen if one.error]
    for one in broken:
        say(f"left out: {one.error}")
    if json:
        print_json(
            [
                {"image": str(one.path), "error": one.error}
                if one.error
                else {
                    "image": str(one.path),
                    "predictions": task.show.to_json(one.decoded),
                    **({"saved": [str(path) for path in one.saved]} if one.saved else {}),
                }
                for one in seen
            ]
        )
    else:
        from rich.markup import escape
        from rich.table import Table

        names = [one.path.name for one in seen]
        table = Table("image", "label", "score")
        for one in seen:
            name = one.path.name if names.count(one.path.name) == 1 else str(one.path)
            rows = [] if one.error else task.show.describe(one.decoded)
            for row, (label, score) in enumerate(rows):
                table.add_row(escape(name) if row == 0 else "", escape(label), f"{score:.3f}")
            if not rows and not one.error:
                table.add_row(escape(name), "nothing", "")
        if len(broken) < len(seen):
            out.print(table)
        if broken:
            out.print(f"{len(broken)} of {len(seen)} images could not be read")
    if len(broken) == len(seen):
        raise typer.Exit(1)
