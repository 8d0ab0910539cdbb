"""An image, however it is given, becomes a model's input, decoded no larger than that needs.

Of a photograph of 12 megapixels a network sees 0.05, and decoding the others takes longer than the
network. JPEG can be decoded at a half, a quarter or an eighth of its size, which is faster. It is
where three times the size that the picture is scaled to is left: then what comes out is nearly the
same (41.7 dB or more on 40 photographs). So pictures under six times that size, ImageNet's among
them, are decoded as they always were.
"""

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import Preprocessing
from mobilenets.errors import DataError
from mobilenets.runtime.images import (
    SIDEWAYS,
    File,
    opened,
    read_image,
    to_rgb,
    turn_of,
    upright,
)
from mobilenets.runtime.preprocess import Picture, prepare, scaled_size

Given = File | Image.Image | NDArray[Any]
"""An image: a file's path or all its bytes, a Pillow image, or an array as `to_image` says."""

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


def read_input(given: Given, preprocessing: Preprocessing, *, exact: bool = False) -> Input:
    """An image as a model takes it: `to_image`, then `preprocess`.

    With `exact` just that; else a large JPEG in a file is decoded smaller. DataError and ValueError
    as from `to_image`.
    """
    if isinstance(given, (str, os.PathLike, bytes)):
        picture = read_picture(given, None if exact else preprocessing)
    else:
        image = to_image(given)
        picture = Picture(image, image.size)
    return Input(prepare(picture, preprocessing), picture.size)


def to_image(given: Given) -> Image.Image:
    """Any image upright, as RGB with 8 bits a channel.

    A file, and a Pillow image of any mode, as `read_image` says; neither is changed. An array is
    (H, W, 3) RGB, (H, W, 4) with transparency, or (H, W) grey: uint8, or floats from 0 to 1, or
    floats that are whole numbers from 0 to 255. ValueError for any other array, DataError for a
    file or a Pillow image that cannot be read.
    """
    if isinstance(given, (str, os.PathLike, bytes)):
        return read_image(given)
    if isinstance(given, np.ndarray):
        return to_rgb(Image.fromarray(_levels(given)))
    if not isinstance(given, Image.Image):
        kind = f"{type(given).__module__}.{type(given).__name__}".removeprefix("builtins.")
        raise ValueError(
            f"image must be a path, a file's bytes, a Pillow image or a numpy array, got {kind}"
        )
    try:
        given.load()
        image = to_rgb(upright(given))
    except Exception as error:  # Pillow's decoders raise anything on damaged files
        raise DataError(f"{name_of(given)}: cannot be decoded ({error})") from error
    if not image.width or not image.height:
        raise ValueError(
            "image must have pixels, got a Pillow image of {} x {}".format(*image.size)
        )
    return image


def name_of(given: Given) -> str:
    """What to call an image in a message: its file's path where there is one."""
    if isinstance(given, (str, os.PathLike)):
        return os.fspath(given)
    return str(getattr(given, "filename", "") or "an image")


def _levels(array: NDArray[Any]) -> NDArray[np.uint8]:
    """An image array as (H, W), (H, W, 3) or (H, W, 4) of uint8; ValueError for any other."""
    shape = array.shape
    if array.ndim == 3 and shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or 0 in shape or (array.ndim == 3 and shape[2] not in (3, 4)):
        first = array.ndim == 3 and shape[0] in (1, 3, 4)
        hint = "; colours come last: array.transpose(1, 2, 0)" if first else ""
        raise ValueError(
            f"an image array must be (H, W, 3), (H, W, 4) or (H, W), got {shape}{hint}"
        )
    if array.dtype != np.uint8:
        array = _scaled(array)
    return np.ascontiguousarray(array)


def _scaled(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Floats whose range can only mean one thing, as 0 to 255."""
    wanted = "an image array must be uint8, or floats from 0 to 1"
    if array.dtype.kind != "f":
        raise ValueError(f"{wanted}, got {array.dtype}")
    low, high = float(array.min()), float(array.max())
    if low >= 0 and high <= 1:
        levels: NDArray[np.uint8] = np.rint(array * np.float64(255)).astype(np.uint8)
        return levels
    if low >= 0 and high <= 255 and np.array_equal(array, np.rint(array)):
        return array.astype(np.uint8)
    hint = "; values that are prepared for a network go to model.session" if low < 0 else ""
    raise ValueError(f"{wanted}, got {array.dtype} from {low:g} to {high:g}{hint}")


def is_image(given: Any) -> bool:
    """Whether this is one image, and not several of them."""
    if isinstance(given, np.ndarray):
        return given.ndim in (0, 2, 3)
    return isinstance(given, (str, os.PathLike, bytes, bytearray, memoryview, Image.Image))


def path_of(given: Given) -> Path | None:
    """The file of an image; None where it is in memory."""
    return Path(given) if isinstance(given, (str, os.PathLike)) else None


def read_picture(path: File, preprocessing: Preprocessing | None) -> Picture:
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
