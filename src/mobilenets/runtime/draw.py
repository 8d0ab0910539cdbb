"""Predictions written under the picture they belong to."""

import unicodedata
from collections.abc import Callable, Sequence

from PIL import Image, ImageDraw, ImageFont

from mobilenets.runtime.classify import Prediction

LEAST, _MOST = 360, 1280
"""Pixels of the picture's longer side."""
_GROUND, _TRACK, _TEXT = (24, 26, 30), (44, 48, 55), (240, 242, 245)
_FIRST, _REST = (38, 132, 206), (78, 94, 112)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def annotate(image: Image.Image, predictions: Sequence[Prediction]) -> Image.Image:
    """A copy of an RGB image with a band below: a row for each prediction, its bar, its score.

    The longer side is brought to 360 to 1280 pixels, so that the text can be read and the file
    stays small; the text's size follows the width. Labels too long are cut with an ellipsis, and
    labels lose their accents, which Pillow's built-in font does not have.
    """
    picture = readable(image)
    width = max(picture.width, LEAST)
    row = max(22, round(width / 18))
    gap = row // 4
    band = len(predictions) * (row + gap) + gap if predictions else 0
    canvas = Image.new("RGB", (width, picture.height + band), _GROUND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    pen = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(round(row * 0.62))
    for i, prediction in enumerate(predictions):
        top = picture.height + gap + i * (row + gap)
        frame = (gap, top, width - gap, top + row)
        _draw_row(pen, frame, font, prediction, _FIRST if i == 0 else _REST)
    return canvas


def readable(image: Image.Image) -> Image.Image:
    """An RGB copy, its longer side 360 to 1280 pixels, so that text on it can be read."""
    longer = max(image.size)
    scale = min(max(longer, LEAST), _MOST) / longer
    if scale == 1:
        return image.convert("RGB")
    width, height = (max(1, round(side * scale)) for side in image.size)
    return image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)


def _draw_row(
    pen: ImageDraw.ImageDraw,
    frame: tuple[int, int, int, int],
    font: Font,
    prediction: Prediction,
    colour: tuple[int, int, int],
) -> None:
    left, top, right, bottom = frame
    pen.rectangle(frame, fill=_TRACK)
    share = min(max(prediction.score, 0.0), 1.0)
    if share * (right - left) >= 1:
        pen.rectangle((left, top, left + round(share * (right - left)), bottom), fill=colour)
    pad, middle = (bottom - top) // 3, (top + bottom) / 2
    score = f"{prediction.score:.1%}"
    room = right - left - 3 * pad - pen.textlength(score, font)
    label = printable(prediction.label, lambda text: pen.textlength(text, font) <= room)
    pen.text((left + pad, middle), label, _TEXT, font, anchor="lm")
    pen.text((right - pad, middle), score, _TEXT, font, anchor="rm")


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
