"""`mobilenets duplicates`: images of a file of vectors that are there twice, or nearly."""

from pathlib import Path
from typing import Annotated

import typer

from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.options import AsJson, Force, Running
from mobilenets.cli.vectors.shared import Model, Sheets, VectorFile, open_checked, save_sheets

WRITER = "mobilenets duplicates"
LEAST = 0.95


@extended("vectors", before="threads")
def run(
    file: VectorFile,
    least: Annotated[
        float, typer.Option(min=-1, max=1, help="The cosine from which images are alike.")
    ] = LEAST,
    model: Model = None,
    save_dir: Sheets = None,
    *,
    running: Running,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """Groups of images that are alike; of each, the largest file stands first, to be kept.

    An image belongs to a group by its likeness to any other of it. Nothing is deleted. The model
    that made FILE is tried first, as `search` does.

    Example: `mobilenets duplicates photos.embeddings --least 0.97 --save-dir seen`
    """
    from mobilenets.data.listing import count
    from mobilenets.index.search import duplicates

    index, _ = open_checked(file, model, running)
    with out.status("comparing"):
        groups = duplicates(index, least)
    saved: list[str] = []
    if save_dir is not None:
        sheets: list[tuple[str, list[tuple[Path, str]]]] = [
            (
                f"{number:04}",
                [
                    (index.path(i), f"{cosine:.3f} {index.names[i]}")
                    for i, cosine in zip(group.images, group.cosines, strict=True)
                ],
            )
            for number, group in enumerate(groups, 1)
        ]
        saved = save_sheets(save_dir, sheets, WRITER, force=force, json=json)
    if json:
        print_json(
            {
                "least": least,
                "groups": [
                    [
                        {"image": index.names[i], "cosine": round(cosine, 6)}
                        for i, cosine in zip(group.images, group.cosines, strict=True)
                    ]
                    for group in groups
                ],
                **({"saved": saved} if saved else {}),
            }
        )
        return
    rows = [
        [str(number), index.names[i], f"{cosine:.4f}"]
        for number, group in enumerate(groups, 1)
        for i, cosine in zip(group.images, group.cosines, strict=True)
    ]
    if rows:
        columns = [Column("group", figures=True), Column("image"), Column("cosine", figures=True)]
        show_table(Grid(columns, rows, once=True))
    more = sum(len(group.images) - 1 for group in groups)
    images = count(len(index.names), "image", "images")
    out.line(f"{count(more, 'image', 'images')} of {images} could go, from {least:g} on")
