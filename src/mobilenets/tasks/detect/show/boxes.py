"""Boxes and their captions drawn on the picture that they belong to."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.runtime import draw

Frame = tuple[float, float, float, float]
"""Left, top, right, bottom."""

_DARK, _LIGHT, _EDGE = (16, 18, 22), (250, 250, 250), (0, 0, 0)


def draw_boxes(
    image: Image.Image,
    boxes: NDArray[np.floating],
    captions: Sequence[str],
    colours: Sequence[int],
) -> Image.Image:
    """A copy of an RGB image with a frame for each box and its caption on a filled tag.

    `boxes` are (n, 4): left, top, right, bottom in pixels of `image`; `colours` are classes, each
    with a colour of its own. The first boxes lie on top, and choose first where their tags go:
    above the box, below, beside or in it, where no other tag is. The longer side is brought to
    360 to 1280 pixels, and lines and text are in proportion. An empty caption has no tag.
    ValueError where captions or colours are not as many as the boxes.
    """
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    for name, values in (("captions", captions), ("colours", colours)):
        if len(values) != len(corners):
            wanted = f"as many as boxes, {len(corners)}"
            raise ValueError(f"{name} must be {wanted}, got {len(values)}")
    picture = draw.readable(image)
    scale = np.array(picture.size) / image.size
    frames = [_inside(box, picture.size) for box in (corners * np.tile(scale, 2)).tolist()]
    paint = [draw.colour_of(index) for index in colours]
    pen = draw.pen_on(picture)
    line = max(2, round(max(picture.size) / 320))
    for frame, colour in reversed(list(zip(frames, paint, strict=True))):
        _draw_frame(pen, frame, colour, line)
    font = draw.font_of(max(12, round(max(picture.size) / 48)))
    tags = _place_tags(pen, frames, captions, font, picture.size)
    for tag, colour in reversed(list(zip(tags, paint, strict=True))):
        if tag is not None:
            _draw_tag(pen, *tag, colour, font)
    return picture


def _inside(box: Sequence[float], size: tuple[int, int]) -> Frame:
    """The pixels of a box, at least one, inside the picture."""
    width, height = size
    left = min(max(round(box[0]), 0), width - 1)
    top = min(max(round(box[1]), 0), height - 1)
    right = min(max(round(box[2]) - 1, left), width - 1)
    bottom = min(max(round(box[3]) - 1, top), height - 1)
    return left, top, right, bottom


def _draw_frame(pen: draw.Pen, frame: Frame, colour: draw.Colour, line: int) -> None:
    """The line lies inside the box, with a thin dark edge around for grounds of its own colour."""
    left, top, right, bottom = frame
    pen.rectangle((left - 1, top - 1, right + 1, bottom + 1), outline=_EDGE)
    line = int(max(1, min(line, (right - left) // 3, (bottom - top) // 3)))
    pen.rectangle(frame, outline=colour, width=line)


def _place_tags(
    pen: draw.Pen,
    frames: Sequence[Frame],
    captions: Sequence[str],
    font: draw.Font,
    size: tuple[int, int],
) -> list[tuple[Frame, str] | None]:
    """Where each caption goes, and how much of it there is room for; None for an empty one."""
    _, above, _, below = font.getbbox("Agjy|")
    pad = max(2, round((below - above) / 5))
    taken: list[Frame] = []
    tags: list[tuple[Frame, str] | None] = []
    for frame, caption in zip(frames, captions, strict=True):
        if not caption.strip():
            tags.append(None)
            continue
        text = draw.printable(caption, lambda text: pen.textlength(text, font) <= size[0] - 2 * pad)
        wide, high = pen.textlength(text, font) + 2 * pad, below - above + 2 * pad
        choices = [_shifted(x, y, wide, high, size) for x, y in _corners(frame, wide, high)]
        free = [c for c in choices if not any(_overlap(c, other) for other in taken)]
        taken.append((free or choices)[0])
        tags.append((taken[-1], text))
    return tags


def _corners(frame: Frame, wide: float, high: float) -> list[tuple[float, float]]:
    """Left top corners of a tag, the best first: above the box, below, beside it, in it."""
    left, top, right, bottom = frame
    above = [(left, top - high), (right - wide, top - high)] if top >= high else []
    inside = [(left, top), (right - wide, top), (left, bottom - high)]
    if not above and right - left > wide and bottom - top > 2 * high:
        above, inside = inside, []
    below = [(left, bottom + 1), (right - wide, bottom + 1)]
    return [*above, *below, (right + 1, top), (left - wide, top), *inside]


def _shifted(x: float, y: float, wide: float, high: float, size: tuple[int, int]) -> Frame:
    """A tag inside the picture."""
    x = max(min(x, size[0] - wide), 0)
    y = max(min(y, size[1] - high), 0)
    return x, y, x + wide, y + high


def _overlap(one: Frame, other: Frame) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _draw_tag(pen: draw.Pen, tag: Frame, text: str, colour: draw.Colour, font: draw.Font) -> None:
    left, top, right, bottom = tag
    pen.rectangle((left, top, right - 1, bottom - 1), fill=colour)
    bright = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = _DARK if bright > 130 else _LIGHT
    pen.text(((left + right) / 2, (top + bottom) / 2), text, ink, font, anchor="mm")
