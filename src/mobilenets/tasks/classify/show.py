"""Predictions for people and programs, and written under the picture they belong to."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from mobilenets.runtime.draw import (
    GROUND,
    LEAST,
    TEXT,
    Font,
    Pen,
    font_of,
    pen_on,
    printable,
    readable,
)
from mobilenets.tasks.classify.read import Prediction

_TRACK = (44, 48, 55)
_FIRST, _REST = (38, 132, 206), (78, 94, 112)


def describe(decoded: list[Prediction]) -> list[tuple[str, float]]:
    """Rows (label, probability), the likeliest first."""
    return [(p.label, p.score) for p in decoded]


def to_json(decoded: list[Prediction]) -> list[dict[str, Any]]:
    """[{"label", "index", "score"}, ...]."""
    return [{"label": p.label, "index": p.index, "score": p.score} for p in decoded]


def draw(image: Image.Image, decoded: list[Prediction]) -> Image.Image:
    """The image over a band with the labels and their probabilities."""
    return annotate(image, decoded)


def mask(decoded: list[Prediction]) -> None:
    """None: JSON has all that is known."""


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
    canvas = Image.new("RGB", (width, picture.height + band), GROUND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    pen = pen_on(canvas)
    font = font_of(round(row * 0.62))
    for i, prediction in enumerate(predictions):
        top = picture.height + gap + i * (row + gap)
        frame = (gap, top, width - gap, top + row)
        _draw_row(pen, frame, font, prediction, _FIRST if i == 0 else _REST)
    return canvas


def _draw_row(
    pen: Pen,
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
    pen.text((left + pad, middle), label, TEXT, font, anchor="lm")
    pen.text((right - pad, middle), score, TEXT, font, anchor="rm")
