"""Attributes for people and programs, and written under the picture that they belong to."""

from collections.abc import Sequence
from typing import Any

from PIL import Image

from mobilenets.runtime.draw import (
    GROUND,
    LEAST,
    TEXT,
    Font,
    Pen,
    colour_of,
    font_of,
    pen_on,
    printable,
    readable,
)
from mobilenets.tasks.attributes.read import SeenAttribute

MOST = 12
"""Rows below a picture; a last one says how many more there are."""
_TRACK = (44, 48, 55)


def describe(decoded: list[SeenAttribute]) -> list[tuple[str, float]]:
    """Rows (attribute, score), the surest first."""
    return [(one.label, one.score) for one in decoded]


def to_json(decoded: list[SeenAttribute]) -> list[dict[str, Any]]:
    """[{"label", "index", "score", "threshold"}, ...]."""
    return [
        {"label": one.label, "index": one.index, "score": one.score, "threshold": one.threshold}
        for one in decoded
    ]


def draw(image: Image.Image, decoded: Sequence[SeenAttribute]) -> Image.Image:
    """A copy over a band: a row for each attribute, its score as a bar.

    The longer side is 360 to 1280 pixels. Where nothing is seen a row says so.
    """
    picture = readable(image)
    width = max(picture.width, LEAST)
    row = max(20, round(width / 20))
    gap = row // 5
    rows = [(one.label, one.score, colour_of(one.index)) for one in decoded[:MOST]]
    if not rows:
        rows = [("nothing", 0.0, _TRACK)]
    if len(decoded) > MOST:
        rows.append((f"and {len(decoded) - MOST} more", 0.0, _TRACK))
    band = len(rows) * (row + gap) + gap
    canvas = Image.new("RGB", (width, picture.height + band), GROUND)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    pen, font = pen_on(canvas), font_of(round(row * 0.62))
    for i, (label, score, colour) in enumerate(rows):
        top = picture.height + gap + i * (row + gap)
        _draw_row(pen, (gap, top, width - gap, top + row), font, label, score, colour)
    return canvas


def mask(decoded: list[SeenAttribute]) -> None:
    """None: JSON has all that is known."""


def _draw_row(
    pen: Pen,
    frame: tuple[int, int, int, int],
    font: Font,
    label: str,
    score: float,
    colour: tuple[int, int, int],
) -> None:
    left, top, right, bottom = frame
    pen.rectangle(frame, fill=_TRACK)
    high = max((bottom - top) // 6, 2)
    reach = left + round(min(max(score, 0.0), 1.0) * (right - left))
    if score > 0:
        pen.rectangle((left, bottom - high, reach, bottom), fill=colour)
    pad, middle = (bottom - top) // 3, (top + bottom - high) / 2
    said = f"{score:.0%}" if score > 0 else ""
    room = right - left - 3 * pad - pen.textlength(said, font)
    text = printable(label, lambda words: pen.textlength(words, font) <= room)
    pen.text((left + pad, middle), text, TEXT, font, anchor="lm")
    pen.text((right - pad, middle), said, TEXT, font, anchor="rm")
