"""Vectors for people and programs."""

from typing import Any

import numpy as np
from PIL import Image

from mobilenets.runtime.draw import LEAST, readable
from mobilenets.tasks.embed.read import Embedded

_BAND = 12
"""The picture's width over the height of the band."""
_NEGATIVE, _ZERO, _POSITIVE = (64, 156, 255), (24, 26, 30), (255, 140, 40)


def describe(decoded: Embedded) -> list[tuple[str, float]]:
    """Rows (dimension, value): the vector's first numbers."""
    shown = decoded.vector[: decoded.shown].tolist()
    return [(f"dimension {i}", value) for i, value in enumerate(shown)]


def to_json(decoded: Embedded) -> dict[str, Any]:
    """{"embedding": [...]}: all numbers."""
    return {"embedding": [float(value) for value in decoded.vector]}


def draw(image: Image.Image, decoded: Embedded) -> Image.Image:
    """The image over a band with a stripe for each number: blue below 0, orange above."""
    picture = readable(image)
    width = max(picture.width, LEAST)
    values = decoded.vector / max(float(np.abs(decoded.vector).max(initial=0)), 1e-12)
    ends = np.where(values[:, None] < 0, [_NEGATIVE], [_POSITIVE])
    shares = np.abs(values)[:, None]
    colours = np.array(_ZERO) * (1 - shares) + ends * shares  # (dimensions, 3)
    stripes = Image.fromarray(colours.astype(np.uint8)[None])
    band = stripes.resize((width, max(width // _BAND, 1)), Image.Resampling.NEAREST)
    canvas = Image.new("RGB", (width, picture.height + band.height), _ZERO)
    canvas.paste(picture, ((width - picture.width) // 2, 0))
    canvas.paste(band, (0, picture.height))
    return canvas


def mask(decoded: Embedded) -> None:
    """None: JSON has all that is known."""
