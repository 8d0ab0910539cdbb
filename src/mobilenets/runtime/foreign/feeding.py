"""How the input of a file without a card is prepared: by what its graph, metadata and maker say."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx

from mobilenets.card import INCEPTION, TORCHVISION, ColourOrder, Preprocessing
from mobilenets.runtime.foreign.beginning import Factors, beginning
from mobilenets.runtime.foreign.prepared import PREPARED


class Scale(NamedTuple):
    """What a graph's input can be: pixels p as (p / 255 - mean) / std."""

    words: str
    low: float
    high: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


_BYTES = Scale("0 to 255", 0, 255, (0.0,) * 3, (1 / 255,) * 3)
_UNIT = Scale("0 to 1", 0, 1, (0.0,) * 3, (1.0,) * 3)
_SIGNED = Scale("-1 to 1", -1, 1, INCEPTION.mean, INCEPTION.std)
_IMAGENET = Scale("ImageNet's mean and deviation", -2.0, 2.44, TORCHVISION.mean, TORCHVISION.std)
_STUDIO = Scale("16 to 235", 16, 235, (-16 / 219,) * 3, (1 / 219,) * 3)
_SCALES = (_BYTES, _UNIT, _SIGNED, _IMAGENET)
_WANTED = (
    *((-1, 1), (0, 1), (-2.0, 2.44), (-2, 2), (0, 2), (-0.5, 0.5), (-0.45, 0.55)),
    *((0, 255), (-128, 127), (-115, 140)),
)
"""What networks want behind that: Google's, plain, ImageNet's, Caffe's with a mean of 115."""
_UNSAID = "that does not say how its input is prepared;"
_SURE = 0.35
_NEAR = 1e-3
_ORDERED = 0.02
"""Of the scale: how far the means of red and blue are apart where they tell which is which."""

_RANGES = {
    "nominalrange_0_255": _BYTES,
    "nominalrange_16_235": _STUDIO,
    "normalized_0_1": _UNIT,
    "normalized_1_1": _SIGNED,
}
"""ONNX's words for images in a file's metadata, where capitals do not count (MetadataProps.md)."""
_ORDERS: dict[str, ColourOrder] = {"rgb8": "RGB", "bgr8": "BGR", "rgba8": "RGB", "bgra8": "BGR"}
_GOOGLES = ("tf2onnx", "keras2onnx", "keras")
_TORCHS = ("pytorch",)


def feeding(
    model: onnx.ModelProto,
    name: str,
    size: tuple[int, int],
    *,
    channels_last: bool,
    whole: bool,
    beside: Preprocessing | None = None,
) -> tuple[Preprocessing, str]:
    """The preparation of input `name` at `size`, and how that is known, in words.

    `channels_last` is the input's layout, `whole` that it takes whole numbers (uint8). `beside` is
    what a file of transformers says: that is taken where the graph and its metadata are silent.
    """
    told = {entry.key.lower(): entry.value.lower() for entry in model.metadata_props}
    base, maker = _base(model, channels_last)
    scale, why = _IMAGENET if base is TORCHVISION else _SIGNED, maker
    order: ColourOrder = "RGB"
    made = beginning(model.graph, name, channels_last)
    if made is not None and not _plain(made):
        scale, order, why = _by_arithmetic(made, scale)
    if "ultralytics" in told.get("author", ""):
        scale, why = _UNIT, "Ultralytics does: 0 to 1, the short side as long as the input"
        base = Preprocessing(resize="torchvision", crop_fraction=1.0)
    if whole:
        scale, why = _BYTES, "0 to 255: its input takes whole numbers"
    pixels = _ORDERS.get(told.get("image.bitmappixelformat", ""))
    # Where only the order of colours is said, the format's own range is meant: 0 to 255.
    named = told.get("image.nominalpixelrange", "nominalrange_0_255" if pixels else "")
    if named in _RANGES:
        scale = _RANGES[named]
        why = f"{scale.words}, as its metadata says"
    order = pixels or order
    strange = _strange(told)
    if beside is not None:
        if why == maker and order == "RGB" and not strange:
            return beside, f"an ONNX file whose input is taken as {PREPARED} beside it says"
        strange += f"; {PREPARED} beside it left aside"
    mean, std = scale.mean, scale.std
    if order == "BGR":
        why, mean, std = f"{why}; blue first", mean[::-1], std[::-1]
    made_of = Preprocessing(
        size=size, resize=base.resize, crop_fraction=base.crop_fraction,
        interpolation=base.interpolation, mean=mean, std=std, order=order,
    )  # fmt: skip
    known = _UNSAID if why == maker else "whose input is"
    return made_of, f"an ONNX file {known} taken as {why}{strange}"


def _strange(told: Mapping[str, str]) -> str:
    """In words, what the metadata says of images that is not known here; '' for nothing."""
    said = (
        (told.get("image.nominalpixelrange"), _RANGES),
        (told.get("image.bitmappixelformat"), _ORDERS),
    )
    unknown = [word for word, known in said if word and word not in known]
    return f"; its metadata says {' and '.join(unknown)!r:.80}, left aside" if unknown else ""


def _base(model: onnx.ModelProto, channels_last: bool) -> tuple[Preprocessing, str]:
    """What the maker's networks are used to, where nothing else is known."""
    maker = model.producer_name.lower()
    google = maker in _GOOGLES or (channels_last and maker not in _TORCHS)
    return (INCEPTION, "[-1, 1], as Google does") if google else (TORCHVISION, "torchvision does")


def _plain(made: Factors) -> bool:
    """Whether the first layer gets the input as it is, in its own order."""
    return made.shape == (3, 4) and bool(np.abs(made - np.eye(3, 4)).max() < _NEAR)


def _by_arithmetic(made: Factors, usual: Scale) -> tuple[Scale, ColourOrder, str]:
    """The scale, the order of colours, and words, by what the graph does to them first."""
    if not np.isfinite(made).all() or not np.abs(made[:, :3]).sum(1).all():
        return usual, "RGB", f"{usual.words}: its graph begins with arithmetic that is unclear"
    order = _order(made)
    if np.allclose(np.abs(made[:, :3]).sum(1), 1, atol=_NEAR) and not made[:, 3].any():
        return usual, order, f"{usual.words}: its graph only exchanges colours"
    scores = {scale: _distance(made, scale) for scale in _SCALES}
    best = min(_SCALES, key=scores.__getitem__)
    doubt = "" if scores[best] < _SURE else ", which is the nearest that it fits"
    return best, order, f"{best.words}: its graph begins with the normalisation itself{doubt}"


def _distance(made: Factors, scale: Scale) -> float:
    """How far what comes out for this input is from the nearest that a network wants."""
    factors, shift = made[:, :3], made[:, 3]
    up, down = np.maximum(factors, 0).sum(1), np.minimum(factors, 0).sum(1)
    low = float((up * scale.low + down * scale.high + shift).mean())
    high = float((up * scale.high + down * scale.low + shift).mean())
    return min(
        abs(math.log((high - low) / (b - a))) + abs((low + high) - (a + b)) / 2 / (b - a)
        for a, b in _WANTED
    )


def _order(made: Factors) -> ColourOrder:
    """RGB or BGR for the input, by which channel has red's mean; else by what is exchanged.

    A network behind an exchange of colours is one that was trained on RGB.
    """
    if len(made) == 1:  # grey: blue counts least
        return "RGB" if made[0, 0] >= made[0, 2] else "BGR"
    sources = np.abs(made[:, :3]).argmax(1)
    if sorted(sources) != [0, 1, 2]:
        return "RGB"
    factors = made[np.arange(3), sources]
    means = np.empty(3)
    means[sources] = -made[:, 3] / factors
    spread = (means[0] - means[2]) / max(1e-12, float(np.abs(means).max()))
    if abs(spread) > _ORDERED:
        return "RGB" if spread > 0 else "BGR"
    return "BGR" if list(sources) == [2, 1, 0] else "RGB"
