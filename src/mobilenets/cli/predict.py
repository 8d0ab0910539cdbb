"""`mobilenets predict`: what is in these images."""

from pathlib import Path
from typing import Annotated

import typer

from mobilenets.cli.console import err, out, print_json, progress
from mobilenets.runtime.session import Runtime


def run(
    weights: Annotated[str, typer.Argument(metavar="WEIGHTS", help="A file or a published name.")],
    images: Annotated[
        list[str], typer.Argument(metavar="IMAGE|DIR...", help="Files, folders or patterns.")
    ],
    top: Annotated[int, typer.Option(min=1, help="Labels per image.")] = 5,
    save_dir: Annotated[
        Path | None, typer.Option(help="Also write each image with its labels here.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at a time.")] = 16,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of the network; all cores if not given.")
    ] = None,
    runtime: Annotated[
        Runtime, typer.Option(help="What runs an .onnx file; auto: the engine if it can.")
    ] = "auto",
    json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what is in each image, best guess first, with its probability.

    WEIGHTS is a checkpoint, anyone's weights that the package reads, an `.onnx` file (which needs
    no torch) or a published name. An image that cannot be read is named and passed over; the exit
    status is 1 where none could be read.

    Example: `mobilenets predict model.onnx holiday/*.jpg --top 3 --save-dir seen`
    """
    from mobilenets.inference import open_model, predict
    from mobilenets.runtime.images import find_images
    from mobilenets.tasks import task_of

    files = find_images(images)
    session = open_model(weights, threads=threads, runtime=runtime)
    task = task_of(session.card)
    with progress("predicting", len(files)) as advance:
        seen = list(
            predict(
                session,
                files,
                task,
                top=top,
                batch_size=batch_size,
                save_dir=save_dir,
                progress=advance,
            )
        )
    broken = [one for one in seen if one.error]
    for one in broken:
        err.print(f"left out: {one.error}", highlight=False, markup=False, soft_wrap=True)
    if json:
        print_json(
            [
                {"image": str(one.path), "error": one.error}
                if one.error
                else {"image": str(one.path), "predictions": task.to_json(one.decoded)}
                for one in seen
            ]
        )
    else:
        from rich.table import Table

        names = [one.path.name for one in seen]
        table = Table("image", "label", "score")
        for one in seen:
            name = one.path.name if names.count(one.path.name) == 1 else str(one.path)
            for row, (label, score) in enumerate(task.describe(one.decoded) if one.decoded else ()):
                table.add_row(name if row == 0 else "", label, f"{score:.3f}")
        if len(broken) < len(seen):
            out.print(table)
        if broken:
            out.print(f"{len(broken)} of {len(seen)} images could not be read")
    if len(broken) == len(seen):
        raise typer.Exit(1)
