"""Contact sheets: small pictures in rows, with a line below each."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from mobilenets.errors import DataError
from mobilenets.runtime.draw import GROUND, TEXT, font_of, pen_on, printable
from mobilenets.runtime.images import read_image

SIDE, COLUMNS, LINE, GAP = 200, 5, 22, 8


class SheetTile(NamedTuple):
    """A picture on a sheet."""

    path: Path
    text: str
    """What stands below it."""


def sheet(tiles: Sequence[SheetTile]) -> Image.Image:
    """All of them, five in a row; one that cannot be read is an empty place that says so."""
    columns = min(COLUMNS, max(len(tiles), 1))
    rows = -(-len(tiles) // columns)
    size = (columns * (SIDE + GAP) + GAP, rows * (SIDE + LINE + GAP) + GAP)
    canvas = Image.new("RGB", size, GROUND)
    pen, font = pen_on(canvas), font_of(LINE * 0.6)
    for place, tile in enumerate(tiles):
        row, column = divmod(place, columns)
        x, y = GAP + column * (SIDE + GAP), GAP + row * (SIDE + LINE + GAP)
        text = tile.text
        try:
            picture = read_image(tile.path)
            picture.thumbnail((SIDE, SIDE))
            corner = (x + (SIDE - picture.width) // 2, y + (SIDE - picture.height) // 2)
            canvas.paste(picture, corner)
        except (DataError, OSError):
            text = f"not there: {text}"
        shown = printable(text, lambda words: pen.textlength(words, font) <= SIDE)
        pen.text((x, y + SIDE + LINE // 2), shown, TEXT, font, anchor="lm")
    return canvas
