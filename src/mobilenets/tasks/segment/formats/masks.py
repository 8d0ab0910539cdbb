"""One mask: the class of every pixel, as people store it."""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.errors import DataError
from mobilenets.runtime.images import opened, upright
from mobilenets.tasks.segment.formats.colours import ColourMap, codes_of
from mobilenets.tasks.segment.show.masks import palette

VOID = 255
"""In a target, a pixel of no known class: neither trained on nor measured."""
VOC_CLASSES = 21
VOC_BORDER = (224, 224, 192)
"""The colour of VOC's void, entry 255 of its palette."""

Ids = NDArray[np.uint8] | NDArray[np.uint16]
Storage = Literal["grey", "palette", "colours", "JPEG"]

_FAITHFUL = ("PNG", "TIFF", "BMP")
_GREY = 6
"""By how much the channels of a grey JPEG may differ."""
_UNSCALE = {"L;2": 85, "L;4": 17}
"""Pillow stretches grey of 2 and 4 bits to 0 .. 255."""


BLURRED = "a JPEG, which does not keep class numbers: expected palette or grey PNG"
_NUMBERS = "which does not keep class numbers: expected palette or grey PNG"
VOC_PALETTE = palette(256)


class Mask(NamedTuple):
    """A mask as it is in its file, turned as its own EXIF says."""

    ids: Ids
    """(H, W): what the file has for each pixel, not yet classes; 8 or 16 bits."""
    storage: Storage
    palette: NDArray[np.uint8] | None = None
    """(n, 3): the colours of the ids from 0 on, where it has colours."""
    by_colours: bool = False
    """Whether the ids are places in a list of colours that was given."""


def read_mask(path: Path, colours: ColourMap | None = None, *, blurred: bool = False) -> Mask:
    """A palette or grey file of 1 to 16 bits, whose values are ids; or one in VOC's colours.

    With `colours`, a file in colours or with a palette is read by them. `blurred` allows a grey
    JPEG, whose values are near those that were written: enough to tell two classes.

    Files that do not keep numbers are refused: JPEG and WEBP blur them, and who writes a GIF may
    renumber its colours; and so are colours that are not VOC's. DataError, as for a file that is
    damaged. Grey stored as RGB is grey.
    """
    with opened(path) as image:
        if blurred and image.format == "JPEG":
            image.load()
            return _blurred(upright(image))
        if image.format not in _FAITHFUL:
            raise DataError(f"a {image.format}, {_NUMBERS}")
        raw = _raw_mode(image)
        image.load()
        return _mask(upright(image), raw, colours)


def _blurred(image: Image.Image) -> Mask:
    values = np.asarray(image.convert("RGB")).astype(np.int16)
    if (values.max(2) - values.min(2) > _GREY).any():
        raise DataError(f"a JPEG in colours, {_NUMBERS}")
    return Mask(np.asarray(image.convert("L")), "JPEG")


def has_voc_colours(palette: NDArray[np.uint8] | None, ids: NDArray[np.integer]) -> bool:
    """Whether a palette's colours of some ids are VOC's; the colour of void may be any."""
    ids = ids[ids != VOID]
    if palette is None or (ids >= min(len(palette), VOC_CLASSES)).any():
        return False
    return bool((palette[ids] == VOC_PALETTE[ids]).all())


def _raw_mode(image: Image.Image) -> Any:
    """How Pillow's decoder calls what is stored."""
    tiles = getattr(image, "tile", [])
    return tiles[0].args if tiles else None


def _mask(image: Image.Image, raw: Any, colours: ColourMap | None) -> Mask:
    values = np.asarray(image)
    if image.mode == "P":
        palette = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
        if colours is not None:
            return Mask(colours.ids(np.asarray(image.convert("RGB"))), "palette", None, True)
        return Mask(values, "palette", palette)
    if image.mode in ("RGB", "RGBA") and colours is not None:
        return Mask(colours.ids(values[:, :, :3]), "colours", None, True)
    if image.mode == "L" and colours is not None and colours.is_grey:
        return Mask(colours.ids(np.repeat(values[:, :, None], 3, 2)), "grey", None, True)
    if image.mode == "L":
        return Mask(values // np.uint8(_UNSCALE.get(raw, 1)), "grey")
    if image.mode == "1":
        return Mask(values.astype(np.uint8), "grey")
    if image.mode == "LA":
        return Mask(values[:, :, 0], "grey")
    if image.mode.startswith("I;16"):
        return Mask(values.astype(np.uint16), "grey")
    if image.mode == "RGBA" and np.ptp(values[:, :, 3]) and not np.ptp(values[:, :, :3]):
        raise DataError("its classes are in its transparency: expected palette or grey PNG")
    if image.mode in ("RGB", "RGBA"):
        return _from_colours(values[:, :, :3])
    raise DataError(f"of mode {image.mode}: expected class numbers in a palette or grey PNG")


def _from_colours(values: NDArray[np.uint8]) -> Mask:
    """(H, W, 3) of VOC's colours, or of grey -> ids."""
    codes = codes_of(values)
    known = codes_of(np.vstack([VOC_PALETTE[:VOC_CLASSES], [VOC_BORDER]]))
    order = np.argsort(known)
    place = np.searchsorted(known[order], codes).clip(max=len(known) - 1)
    found = order[place]
    if (known[found] == codes).all():
        ids = np.where(found < VOC_CLASSES, found, VOID).astype(np.uint8)
        return Mask(ids, "colours", VOC_PALETTE)
    if (values == values[:, :, :1]).all():
        return Mask(values[:, :, 0], "grey")
    raise DataError(
        "in colours that are not VOC's: expected class numbers in a palette or grey PNG, or a "
        "class_dict.csv with columns name,r,g,b"
    )
