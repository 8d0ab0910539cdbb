"""Truth and answer side by side, as a file whose name begins with the image's rank."""

import re
from functools import partial
from pathlib import Path, PurePosixPath

from PIL import Image, ImageDraw, ImageFont

from mobilenets.files import replace_file
from mobilenets.runtime.draw import GROUND, TEXT

GAP = 8
"""Pixels around and between the two."""
LONGEST = 100
"""Letters of an image's name in that of its picture."""


def beside(*pictures: tuple[str, Image.Image]) -> Image.Image:
    """Pictures in a row, each under its title."""
    widest = max(picture.width for _, picture in pictures)
    high = max(14, round(widest / 28))
    font = ImageFont.load_default(high)
    top = round(high * 1.6)
    width = sum(picture.width + GAP for _, picture in pictures) + GAP
    tallest = max(picture.height for _, picture in pictures)
    canvas = Image.new("RGB", (width, top + tallest + GAP), GROUND)
    pen = ImageDraw.Draw(canvas)
    left = GAP
    for title, picture in pictures:
        pen.text((left, top / 2), title, TEXT, font, anchor="lm")
        canvas.paste(picture, (left, top))
        left += picture.width + GAP
    return canvas


def file_name(rank: int, digits: int, name: str) -> str:
    """`007-IMG_1.jpg`: letters that every system takes in a file's name."""
    stem = re.sub(r"[^\w.-]+", "_", PurePosixPath(name).stem, flags=re.ASCII)[:LONGEST] or "image"
    return f"{rank:0{digits}d}-{stem}.jpg"


def save(picture: Image.Image, path: Path) -> None:
    """Write a picture as JPEG, whole or not at all."""
    replace_file(path, partial(picture.save, format="JPEG", quality=90))
