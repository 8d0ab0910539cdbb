"""An image file becomes a model's input, decoded no larger than that needs.

Of a photograph of 12 megapixels a network sees 0.05, and decoding the others takes longer than the
network. JPEG can be decoded at a half, a quarter or an eighth of its size, which is faster. It is
where three times the size that the picture is scaled to is left: then what comes out is nearly the
same (41.7 dB or more on 40 photographs). So pictures under six times that size, ImageNet's among
them, are decoded as they always were.
"""

import os
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import Preprocessing
from mobilenets.runtime.images import SIDEWAYS, opened, to_rgb, turn_of, upright
from mobilenets.runtime.preprocess import Picture, prepare, scaled_size

LEAST = 3
"""Times the size that a picture is scaled to: what is left of it when it is decoded smaller."""
_FORMATS = ("JPEG", "MPO")
Box = tuple[float, float, float, float]


class Input(NamedTuple):
    """What a model takes, and what its answers are measured in."""

    values: NDArray[np.float32]
    """(3, height, width), as `preprocess` says."""
    size: tuple[int, int]
    """(width, height) of the whole picture, upright."""


def read_input(
    path: str | os.PathLike[str], preprocessing: Preprocessing, *, exact: bool = False
) -> Input:
    """A file's picture as a model takes it: `read_image`, then `preprocess`.

    With `exact` just that; else a large JPEG is decoded smaller. DataError as from `read_image`.
    """
    picture = read_picture(path, None if exact else preprocessing)
    return Input(prepare(picture, preprocessing), picture.size)


def read_picture(path: str | os.PathLike[str], preprocessing: Preprocessing | None) -> Picture:
    """A file's picture for `prepare`, as large as `preprocessing` needs; None: as it is stored."""
    with opened(path) as image:
        stored, box = image.size, None
        if preprocessing is not None and image.format in _FORMATS:
            box = _decode_smaller(image, preprocessing)
        image.load()
        if box is None:
            whole = to_rgb(upright(image))
            return Picture(whole, whole.size)
        turn = turn_of(image)
        size = stored[::-1] if turn in SIDEWAYS else stored
        return Picture(to_rgb(upright(image)), size, turned(box, image.size, turn))


def _decode_smaller(image: Image.Image, pre: Preprocessing) -> Box | None:
    """Let the decoder leave out what nobody will see; where the picture lies in what it gives.

    None where it decodes all.
    """
    if pre.interpolation == "nearest":  # takes single pixels: any other decoding gives others
        return None
    sideways = turn_of(image) in SIDEWAYS
    width, height = scaled_size(image.size[::-1] if sideways else image.size, pre)
    wanted = (height, width) if sideways else (width, height)
    before = image.size
    if min(a // (2 * LEAST * b) for a, b in zip(before, wanted, strict=True)) < 1:
        return None
    found = image.draft(None, (LEAST * wanted[0], LEAST * wanted[1]))
    return found[1] if found is not None and image.size != before else None


def turned(box: Box, size: tuple[int, int], turn: Image.Transpose | None) -> Box:
    """Where a box at the upper left of a picture of (width, height) comes to lie by a turn."""
    _, _, right, bottom = box
    width, height = size
    across, down = (width - right, width), (height - bottom, height)  # from the other end
    left = {
        Image.Transpose.FLIP_LEFT_RIGHT: (*across, 0.0, bottom),
        Image.Transpose.ROTATE_180: (*across, *down),
        Image.Transpose.FLIP_TOP_BOTTOM: (0.0, right, *down),
        Image.Transpose.TRANSPOSE: (0.0, bottom, 0.0, right),
        Image.Transpose.ROTATE_270: (*down, 0.0, right),
        Image.Transpose.TRANSVERSE: (*down, *across),
        Image.Transpose.ROTATE_90: (0.0, bottom, *across),
    }
    x0, x1, y0, y1 = (0.0, right, 0.0, bottom) if turn is None else left[turn]
    return x0, y0, x1, y1
