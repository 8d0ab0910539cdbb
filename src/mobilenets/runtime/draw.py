"""What pictures of answers have in common: a size that can be read, text, colours of classes."""

import colorsys
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from PIL import Image

if TYPE_CHECKING:  # who draws nothing starts without them
    from PIL import ImageDraw, ImageFont

LEAST, _MOST = 360, 1280
"""Pixels of the picture's longer side."""
GROUND, TEXT = (24, 26, 30), (240, 242, 245)
"""Colours of a band below a picture, and of what is written on it."""

_PALETTE = (
    (255, 92, 80),
    (64, 156, 255),
    (255, 204, 51),
    (64, 200, 110),
    (190, 110, 255),
    (255, 140, 40),
    (40, 210, 210),
    (255, 120, 190),
    (170, 220, 60),
    (165, 85, 25),
)
_GOLDEN = 0.618034

Colour = tuple[int, int, int]
Font: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"
Pen: TypeAlias = "ImageDraw.ImageDraw"


def pen_on(picture: Image.Image) -> Pen:
    """What draws on a picture."""
    from PIL import ImageDraw

    return ImageDraw.Draw(picture)


def font_of(size: float) -> Font:
    """Pillow's built-in font, `size` pixels high."""
    from PIL import ImageFont

    return ImageFont.load_default(size)


def readable(image: Image.Image) -> Image.Image:
    """An RGB copy, its longer side 360 to 1280 pixels, so that text on it can be read."""
    longer = max(image.size)
    scale = min(max(longer, LEAST), _MOST) / longer
    if scale == 1:
        return image.convert("RGB")
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def printable(text: str, fits: Callable[[str], bool]) -> str:
    """`text` without accents, which Pillow's font lacks, cut with an ellipsis until it `fits`."""
    plain = unicodedata.normalize("NFKD", " ".join(text.split()))
    text = "".join(c for c in plain if not unicodedata.combining(c))
    if fits(text):
        return text
    kept, most = 0, len(text)
    while kept < most:  # halving: a name of thousands of letters would take seconds otherwise
        middle = (kept + most + 1) // 2
        kept, most = (middle, most) if fits(f"{text[:middle]}...") else (kept, middle - 1)
    return f"{text[:kept].rstrip()}..."


def colour_of(index: int) -> Colour:
    """A class's colour: ten that are told apart easily, then hues in between."""
    if 0 <= index < len(_PALETTE):
        return _PALETTE[index]
    hue = index * _GOLDEN % 1
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.55 + 0.15 * (index % 3), 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
