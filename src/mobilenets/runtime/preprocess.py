"""An image becomes a model's input: the one implementation that evaluation and prediction use."""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.card import Preprocessing
from mobilenets.engine import Cut, scale
from mobilenets.runtime.pixels import pixels_of

Array = NDArray[np.float32]

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
    if picture.image.mode != "RGB":
        raise ValueError(f"image must have mode RGB, got {picture.image.mode}")
    w, h, left, top = _placed(picture.size, preprocessing)
    width, height = _kept((w, h), preprocessing)
    values: NDArray[np.float32] = np.zeros((3, *preprocessing.size), np.float32)
    place = values[:, :height, :width]
    if not _in_one_go(picture, preprocessing, (w, h, left, top), place):
        place[:] = _by_pillow(picture, preprocessing, (w, h, left, top))
    return values


def _in_one_go(
    picture: Picture, pre: Preprocessing, scaled: tuple[int, int, int, int], out: Array
) -> bool:
    """Scale, cut and normalise by the engine's own code, which gives Pillow's and numpy's bits.

    False, and nothing done, for what that does not take.
    """
    w, h, left, top = scaled
    how = pre.interpolation
    pixels = None if how == "nearest" or w * h > _MOST_PIXELS else pixels_of(picture.image)
    if pixels is None or how == "nearest":
        return False
    x0, y0, x1, y1 = picture.box or (0, 0, *picture.image.size)
    return scale(
        pixels,
        Cut(x0, x1, w, left, out.shape[2]),
        Cut(y0, y1, h, top, out.shape[1]),
        how,
        np.asarray(pre.mean, np.float32),
        np.asarray(pre.std, np.float32),
        out,
        bgr=pre.order == "BGR",
    )


def _by_pillow(picture: Picture, pre: Preprocessing, scaled: tuple[int, int, int, int]) -> Array:
    """The same in steps: the slow twin, and what takes any picture."""
    image, size, box = picture
    w, h, left, top = scaled
    width, height = _kept((w, h), pre)
    how = _RESAMPLE[pre.interpolation]
    if w * h <= _MOST_PIXELS or (width, height) == (w, h):
        part = image.resize((w, h), how, box=box).crop((left, top, left + width, top + height))
        return _normalise(part, pre)
    # A strip of a few pixels by thousands would become gigabytes: scale only the part we keep.
    # The same picture but for rounding: Pillow then orders its two passes by the part's shape.
    # No picture was decoded smaller to become larger: it is whole.
    return _normalise(image.resize((width, height), how, box=shown(size, pre)), pre)


def _placed(image: tuple[int, int], pre: Preprocessing) -> tuple[int, int, int, int]:
    """(width, height) that an image is scaled to, and (left, top) of what is kept of that."""
    if pre.resize in ("crop", "torchvision"):
        return _centre(image, pre)
    return *fitted(image, pre), 0, 0


def _kept(scaled: tuple[int, int], pre: Preprocessing) -> tuple[int, int]:
    """(width, height) of the scaled image that the input shows."""
    height, width = pre.size
    return min(scaled[0], width), min(scaled[1], height)


def scaled_size(image: tuple[int, int], pre: Preprocessing) -> tuple[int, int]:
    """(width, height) that an image of (width, height) is scaled to, before it is cut."""
    return _placed(image, pre)[:2]


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
