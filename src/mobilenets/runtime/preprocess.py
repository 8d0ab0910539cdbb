"""An image becomes a model's input: the one implementation that evaluation and prediction use."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import Preprocessing

_RESAMPLE = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
_MOST_PIXELS = 1 << 26


def preprocess(image: Image.Image, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """(3, height, width), C-contiguous: (pixel / 255 - mean) / std, as the card says.

    - `crop`: scaled until it just covers round(size / crop_fraction) both ways (for a square
      input: the short side has that length), the other side rounded; then the centre, an odd pixel
      left over right or below.
    - `torchvision`: the same as torchvision's Resize and CenterCrop do it: the other side rounded
      down, the place of the centre rounded half to even.
    - `squash`: each side scaled by itself.
    - `pad`: the largest that fits, sides rounded; zeros, which is the mean, right and below.

    Scaling is Pillow's, antialiased. For BGR, mean and std are in that order too. `image` must be
    RGB (as `read_image` gives it); a ValueError says so otherwise.
    """
    return prepare(Picture(image, image.size), preprocessing)


class Picture(NamedTuple):
    """An upright RGB picture, perhaps decoded smaller than it is stored."""

    image: Image.Image
    size: tuple[int, int]
    """(width, height) as it is stored, upright: what answers are measured in."""
    box: tuple[float, float, float, float] | None = None
    """The part of `image` that is the picture: left, top, right, bottom; None for all of it.

    A picture of 4001 pixels decoded at half its size has 2001, the last of them half empty.
    """


def prepare(picture: Picture, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """As `preprocess`, of a picture that may have been decoded smaller."""
    image, size, box = picture
    if image.mode != "RGB":
        raise ValueError(f"image must have mode RGB, got {image.mode}")
    height, width = preprocessing.size
    resample = _RESAMPLE[preprocessing.interpolation]
    if preprocessing.resize in ("crop", "torchvision"):
        return _normalise(_crop(picture, preprocessing, resample), preprocessing)
    scaled = image.resize(fitted(size, preprocessing), resample, box=box)
    values = _normalise(scaled, preprocessing)
    if preprocessing.resize == "squash":
        return values
    canvas = np.zeros((3, height, width), np.float32)
    canvas[:, : values.shape[1], : values.shape[2]] = values
    return canvas


def scaled_size(image: tuple[int, int], pre: Preprocessing) -> tuple[int, int]:
    """(width, height) that an image of (width, height) is scaled to, before it is cut."""
    if pre.resize in ("crop", "torchvision"):
        return _centre(image, pre)[:2]
    return fitted(image, pre)


def shown(image: tuple[int, int], pre: Preprocessing) -> tuple[float, float, float, float]:
    """The part of an image of (width, height) that its input shows: left, top, right, bottom.

    In the image's pixels. With `crop` and `torchvision` it is smaller than the image, with `pad`
    it goes on right or below, where the mean is.
    """
    height, width = pre.size
    left, top = 0, 0
    if pre.resize == "squash":
        w, h = width, height
    elif pre.resize == "pad":
        w, h = _fit(image, (width, height))
    else:
        w, h, left, top = _centre(image, pre)
    x, y = image[0] / w, image[1] / h
    return left * x, top * y, (left + width) * x, (top + height) * y


def fitted(image: tuple[int, int], pre: Preprocessing) -> tuple[int, int]:
    """(width, height) that an image of (width, height) has in its input, by `squash` or `pad`.

    ValueError where the rule cuts images.
    """
    height, width = pre.size
    if pre.resize == "squash":
        return width, height
    if pre.resize == "pad":
        return _fit(image, (width, height))
    raise ValueError(f"resize must be 'squash' or 'pad' for masks, got {pre.resize!r}")


def nearest(mask: NDArray[np.uint8], pre: Preprocessing, void: int) -> NDArray[np.uint8]:
    """A mask (H, W) of an image as one of its input, (height, width); `void` where that is padded.

    Scaled as `scaled_mask` does.
    """
    width, height = fitted((mask.shape[1], mask.shape[0]), pre)
    found: NDArray[np.uint8] = np.full(pre.size, void, np.uint8)
    found[:height, :width] = scaled_mask(mask, (width, height))
    return found


def scaled_mask(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """A mask (H, W) at the size (width, height): (height, width).

    Each pixel has the value of the one that its centre lies in, as Pillow scales images by their
    pixels' centres.
    """
    width, height = size
    rows = (np.arange(height) * 2 + 1) * mask.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * mask.shape[1] // (2 * width)
    scaled: NDArray[Any] = mask[rows].take(columns, 1)
    return scaled


def _crop(picture: Picture, pre: Preprocessing, resample: Image.Resampling) -> Image.Image:
    height, width = pre.size
    w, h, left, top = _centre(picture.size, pre)
    if w * h <= _MOST_PIXELS:
        resized = picture.image.resize((w, h), resample, box=picture.box)
        return resized.crop((left, top, left + width, top + height))
    # A strip of a few pixels by thousands would become gigabytes: scale only the part we keep.
    # The same picture but for rounding: Pillow then orders its two passes by the part's shape.
    # No picture was decoded smaller to become larger: it is whole.
    return picture.image.resize((width, height), resample, box=shown(picture.size, pre))


def _centre(image: tuple[int, int], pre: Preprocessing) -> tuple[int, int, int, int]:
    """(width, height) that the image is scaled to, and (left, top) of its centre in that."""
    height, width = pre.size
    theirs = pre.resize == "torchvision"
    least = (round(width / pre.crop_fraction), round(height / pre.crop_fraction))
    w, h = _cover(image, least, math.floor if theirs else round)
    if theirs:
        return w, h, round((w - width) / 2), round((h - height) / 2)
    return w, h, (w - width) // 2, (h - height) // 2


def _cover(
    image: tuple[int, int], least: tuple[int, int], whole: Callable[[Fraction], int]
) -> tuple[int, int]:
    """The smallest (width, height) of the image's proportions that covers `least`."""
    w, h = image
    width, height = least
    if w * height <= h * width:
        return width, whole(Fraction(width * h, w))
    return whole(Fraction(height * w, h)), height


def _fit(image: tuple[int, int], most: tuple[int, int]) -> tuple[int, int]:
    """The largest (width, height) of the image's proportions inside `most`."""
    scale = min(most[0] / image[0], most[1] / image[1])
    width, height = (
        max(1, min(limit, round(side * scale))) for side, limit in zip(image, most, strict=True)
    )
    return width, height


def _normalise(image: Image.Image, pre: Preprocessing) -> NDArray[np.float32]:
    pixels = np.asarray(image, np.float32).transpose(2, 0, 1)
    if pre.order == "BGR":
        pixels = pixels[::-1]
    values: NDArray[np.float32] = np.ascontiguousarray(pixels)
    values = values / np.float32(255)
    values -= np.asarray(pre.mean, np.float32)[:, None, None]
    values /= np.asarray(pre.std, np.float32)[:, None, None]
    return values
