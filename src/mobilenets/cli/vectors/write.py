"""`mobilenets embed`: vectors of a folder's images, in a file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mobilenets.cli.additions import extended
from mobilenets.cli.console import out, print_json, progress, say
from mobilenets.cli.options import AsJson, Running, Weights, say_where

if TYPE_CHECKING:
    from mobilenets.index.build import Built


@extended("vectors", before="threads")
def run(
    weights: Weights,
    images: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of images.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="The file of vectors.")
    ],
    half: Annotated[
        bool, typer.Option("--half", help="Store float16: half the size, cosines to .001.")
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Also write .npy (and names as .txt) or .parquet."),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Embed all, also what the file has already.")
    ] = False,
    *,
    running: Running,
    json: AsJson = False,
) -> None:
    """Write a vector of unit length for each image of a folder: alike images have near ones.

    WEIGHTS is an embedding network, or any other network that the package reads: of that, the mean
    of the last map. A second run embeds only what is new or changed, and drops what is gone; a file
    of another model is refused, unless `--anew` is given. An image that cannot be read is named.

    Example: `mobilenets embed birds.onnx photos -o photos.embeddings`
    """
    from mobilenets.data.inventory import passed_over
    from mobilenets.index.build import build_index, export_vectors
    from mobilenets.index.embedder import Embedder
    from mobilenets.runtime.images import find_images

    check_asked(images, to)
    files = find_images([str(images)])
    left = passed_over([str(images)], files)
    if left:
        say(left)
    session = running.open(weights, many=True)
    embedder = Embedder(session)
    if embedder.note:
        say(f"note: {embedder.note}")
    where = say_where(session, json=json)
    with progress("embedding", len(files)) as advance:
        built = build_index(
            embedder,
            weights,
            images,
            files,
            output,
            half=half,
            anew=anew,
            batch_size=running.batch_size or 32,
            exact=running.exact,
            progress=advance,
        )
    for _, why in built.failures:
        say(f"left out: {why}")
    written = export_vectors(built.index, to) if to is not None else []
    if json:
        print_json({**to_json(built, [output, *written]), **where})
        return
    of = f"the mean of {embedder.layer}, " if embedder.layer else ""
    size = output.stat().st_size / 1e6
    dimensions = built.index.vectors.shape[1]
    out.line(f"{built.line}; {of}{dimensions} numbers each; {output}, {size:.1f} MB")
    for path in written:
        out.line(str(path))


def check_asked(images: Path, to: Path | None) -> None:
    """DataError where there is no such folder, ValueError for a file of a kind not written."""
    from mobilenets.errors import DataError

    if not images.is_dir():
        raise DataError(f"{images}: no such folder")
    if to is not None and to.suffix not in (".npy", ".parquet"):
        raise ValueError(f"to must end in .npy or .parquet, got {to.name!r}")


def to_json(built: "Built", files: list[Path]) -> dict[str, Any]:
    """What was embedded and written, for programs."""
    count, dimensions = built.index.vectors.shape
    return {
        "images": count,
        "dimensions": dimensions,
        "type": str(built.index.vectors.dtype),
        "embedded": built.embedded,
        "kept": built.kept,
        "gone": built.gone,
        "failures": [{"image": name, "error": why} for name, why in built.failures],
        "files": [str(path) for path in files],
    }
