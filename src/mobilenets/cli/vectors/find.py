"""`mobilenets search`: the images of a file of vectors that are nearest to others."""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from mobilenets.cli.additions import extended
from mobilenets.cli.console import print_json, progress, say
from mobilenets.cli.console.tables import Column, Grid, show_table
from mobilenets.cli.options import AsJson, Force, Running
from mobilenets.cli.vectors.shared import Model, Sheets, VectorFile, open_checked, save_sheets

WRITER = "mobilenets search"
By = Literal["numpy", "usearch"]


@extended("vectors", before="threads")
def run(
    file: VectorFile,
    queries: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="What to look for.")],
    top: Annotated[int, typer.Option(min=1, help="Answers for each.")] = 10,
    by: Annotated[
        By | None,
        typer.Option(help="What searches; above a million vectors usearch, where installed."),
    ] = None,
    model: Model = None,
    save_dir: Sheets = None,
    *,
    running: Running,
    force: Force = False,
    json: AsJson = False,
) -> None:
    """The images that are nearest to IMAGE, with the cosine of their vectors: 1 is the same.

    The search is exact, by numpy alone. Above a million vectors usearch's graph finds nearly always
    the same, faster: it is built beside FILE, and says how often it does. The model that made FILE
    embeds the queries; it is tried on the package's own pictures first, and refused where it, the
    resizing or the runtime is another one.

    Example: `mobilenets search photos.embeddings bird.jpg --top 5 --save-dir seen`
    """
    from mobilenets.errors import DataError
    from mobilenets.index.graph import open_search
    from mobilenets.runtime.images import find_images
    from mobilenets.saved import names_in

    files = find_images(queries)
    index, embedder = open_checked(file, model, running)
    with progress("preparing the search", len(index.names)) as advance:
        search = open_search(index, file, by, advance)
    answers: list[dict[str, Any]] = []
    rows: list[list[str]] = []
    sheets: list[tuple[str, list[tuple[Path, str]]]] = []
    broken = 0
    names = [path.stem for path in names_in(Path(), files)]
    for path, name in zip(files, names, strict=True):
        try:
            found = search.nearest(embedder.one(path, exact=running.exact), top)
        except DataError as error:
            say(f"left out: {error}")
            answers.append({"image": str(path), "error": str(error)})
            broken += 1
            continue
        near = [{"image": index.names[i], "cosine": round(cosine, 6)} for i, cosine in found]
        answers.append({"image": str(path), "nearest": near, "by": search.how})
        rows += [[path.name, index.names[i], f"{cosine:.4f}"] for i, cosine in found]
        tiles = [(path, f"query: {path.name}")]
        tiles += [(index.path(i), f"{cosine:.3f} {index.names[i]}") for i, cosine in found]
        sheets.append((name, tiles))
    if save_dir is not None:
        saved = save_sheets(save_dir, sheets, WRITER, force=force, json=json)
        written = iter(saved)
        for one in answers:
            if "nearest" in one:
                one["saved"] = next(written)
    if json:
        print_json(answers)
    else:
        columns = [Column("query"), Column("image"), Column("cosine", figures=True)]
        show_table(Grid(columns, rows, once=True))
        say(f"searched by {search.how}")
    if broken == len(files):
        raise typer.Exit(1)
