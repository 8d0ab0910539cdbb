"""What the commands that read a file of vectors share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mobilenets.cli.console import say
from mobilenets.cli.overwriting import check_pictures

if TYPE_CHECKING:
    from mobilenets.cli.options import Running
    from mobilenets.index.embedder import Embedder
    from mobilenets.index.file import Index

VectorFile = Annotated[Path, typer.Argument(metavar="FILE", help="Made by `mobilenets embed`.")]
Model = Annotated[
    str | None,
    typer.Option("--model", metavar="WEIGHTS", help="What made it, where that has moved."),
]
Sheets = Annotated[Path | None, typer.Option(help="Also write contact sheets here.")]


def open_checked(file: Path, model: str | None, running: Running) -> tuple[Index, Embedder]:
    """An index and the model that made it; DataError where it is not that one any more."""
    from mobilenets.index.embedder import Embedder
    from mobilenets.index.file import read_index
    from mobilenets.index.probes import check

    index = read_index(file)
    embedder = Embedder(running.open(model or index.weights, many=True))
    if embedder.note:
        say(f"note: {embedder.note}")
    check(str(file), index.made, index.probes, embedder)
    return index, embedder


def save_sheets(
    folder: Path,
    sheets: list[tuple[str, list[tuple[Path, str]]]],
    writer: str,
    *,
    force: bool,
    json: bool,
) -> list[str]:
    """Write a sheet for each (name, pictures with their texts); the files."""
    from mobilenets.index.sheet import SheetTile, sheet
    from mobilenets.saved import save_picture

    targets = [folder / f"{name}.jpg" for name, _ in sheets]
    check_pictures(targets, writer, force=force, json=json)
    for target, (_, tiles) in zip(targets, sheets, strict=True):
        save_picture(sheet([SheetTile(*one) for one in tiles]), target, writer)
    return [str(target) for target in targets]
