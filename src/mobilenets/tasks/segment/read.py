"""From a segmentation network's outputs to the class of every pixel of the image."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, one_output
from mobilenets.errors import WeightsError
from mobilenets.runtime.preprocess import fitted
from mobilenets.tasks.values import Arrays, Size, first_output

LOGITS = one_output("logits", "(N, classes, height, width)")
PROBABILITIES = one_output("probabilities", "(N, classes, height, width)")
CLASSES = one_output("classes", "(N, height, width)")
"""The best class of each pixel."""

MOST = 100
_CLASSES = 1 << 16
"""The most that a mask tells apart."""
_BLOCK = 4096
"""Pixels interpolated together: the logits of 21 classes for them stay in the cache."""

Values = NDArray[Any]
Mask = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Region:
    """All the pixels of one class in an image, in one piece or many."""

    label: str
    """The class in words."""
    index: int
    """The class."""
    score: float
    """The share of the image's pixels, 0..1."""


class Segmented(NamedTuple):
    """What is seen in one image."""

    mask: Mask
    """(H, W), the image's own size: places in the card's labels, uint8; uint16 above 255."""
    regions: list[Region]
    """By falling share."""
    labels: tuple[str, ...]
    """The classes in words; their numbers where the model has no labels."""


class _Axis(NamedTuple):
    """Where the pixels along one side of an image lie among the cells of a map."""

    low: NDArray[np.intp]
    """(pixels,): the cell whose centre is the last before the pixel's."""
    high: NDArray[np.intp]
    """(pixels,): the next cell that shows the image, or the same at the edge."""
    share: NDArray[np.float32]
    """(pixels,): how far from `low` to `high` the pixel's centre is, 0..1."""
    nearest: NDArray[np.intp]
    """(pixels,): the cell that the pixel's centre lies in."""


def decode(
    outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
) -> list[Segmented]:
    """The mask of each image of a batch, with its `regions`; the rest as `full_size`."""
    values = first_output(outputs, card)
    masks = full_size(values, card, sizes)
    labels = card.labels or tuple(str(i) for i in range(_classes(values, card)))
    return [
        Segmented(mask, regions(mask, labels, threshold=threshold, most=top), labels)
        for mask in masks
    ]


def regions(
    mask: Mask, labels: Sequence[str], *, threshold: float = 0.0, most: int = MOST
) -> list[Region]:
    """The classes in a mask with a share from `threshold` on, at most `most`, by falling share.

    Of equal shares the lower class comes first. Classes that are not there are never among them.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold!r}")
    if most < 1:
        raise ValueError(f"most must be positive, got {most!r}")
    counts = np.bincount(mask.ravel())
    order = np.argsort(-counts, kind="stable")[:most]
    found = ((int(i), int(counts[i]) / mask.size) for i in order if counts[i])
    return [Region(labels[index], index, share) for index, share in found if share >= threshold]


def full_size(outputs: Values, card: ModelCard, sizes: Sequence[tuple[int, int]]) -> Iterator[Mask]:
    """The mask of each image of a batch, (H, W) classes, one after the other.

    `sizes` are the images' (width, height) as they were before preprocessing. Outputs (N, classes,
    h, w), where the card says `logits` or `probabilities`, are interpolated bilinearly at the
    centres of the image's pixels, and the best class is taken, the first of equal ones; of
    `classes` (N, h, w) the nearest is taken. What padding added is left out before. Nothing is
    averaged where the image is smaller than the outputs: this is the answer at each pixel's
    centre, what other libraries report, and it costs no accuracy. WeightsError for outputs that
    are not finite or do not fit the card's labels, ValueError where the card's preprocessing
    does not show the whole image.
    """
    _check(outputs, card, sizes)
    places = [_axes(outputs.shape[-2:], card, size) for size in sizes]
    best = _nearest if card.output.meaning == "classes" else _interpolated
    kind = np.uint8 if _classes(outputs, card) <= 255 else np.uint16
    return (
        best(image, rows, columns).astype(kind, copy=False)
        for image, (rows, columns) in zip(outputs, places, strict=True)
    )


def _axes(cells: Sequence[int], card: ModelCard, size: tuple[int, int]) -> tuple[_Axis, _Axis]:
    """Rows and columns of an image of (width, height) among the (h, w) cells of its outputs."""
    width, height = fitted(size, card.preprocessing)
    whole = card.preprocessing.size
    rows = _axis(size[1], Fraction(cells[0] * height, whole[0]))
    return rows, _axis(size[0], Fraction(cells[1] * width, whole[1]))


def _axis(pixels: int, cells: Fraction) -> _Axis:
    """The centres of `pixels` pixels that the first `cells` cells show."""
    last = math.ceil(cells) - 1
    centres = (np.arange(pixels) + 0.5) * float(cells / pixels)
    places = np.clip(centres - 0.5, 0, last)
    low = np.minimum(places.astype(np.intp), max(last - 1, 0))
    nearest = np.minimum(centres.astype(np.intp), last)
    return _Axis(low, np.minimum(low + 1, last), (places - low).astype(np.float32), nearest)


def _nearest(image: Values, rows: _Axis, columns: _Axis) -> NDArray[Any]:
    return image[rows.nearest].take(columns.nearest, 1)


def _interpolated(image: Values, rows: _Axis, columns: _Axis) -> NDArray[Any]:
    """The best class of each pixel: what interpolating every class and comparing them gives.

    Where one class is the best in all four cells around a pixel it is the best between them too,
    so only pixels along boundaries are interpolated: a fraction of the time and of the memory.
    """
    labels = _best(image[:, : rows.high[-1] + 1, : columns.high[-1] + 1])
    across = labels[:, columns.low] != labels[:, columns.high]  # (h, W)
    down = labels[rows.low] != labels[rows.high]  # (H, w)
    mixed = across[rows.low] | across[rows.high] | down[:, columns.low]
    mask = labels[rows.low].take(columns.low, 1)
    values = image.reshape(len(image), -1)  # (classes, h * w)
    width = image.shape[2]
    places = np.flatnonzero(mixed)
    for start in range(0, len(places), _BLOCK):
        block = places[start : start + _BLOCK]
        y, x = np.divmod(block, mask.shape[1])
        left, right = columns.low[x], columns.high[x]
        above, below = rows.low[y] * width, rows.high[y] * width
        along, between = columns.share[x], rows.share[y]
        upper = _mix(values, above + left, above + right, along)
        lower = _mix(values, below + left, below + right, along)
        mask.ravel()[block] = _best(upper * (1 - between) + lower * between)
    return mask


def _mix(
    values: Values, one: NDArray[np.intp], other: NDArray[np.intp], share: NDArray[np.float32]
) -> Values:
    """(classes, pixels): from the values in cells `one` to those in cells `other`."""
    mixed: Values = values.take(one, 1) * (1 - share) + values.take(other, 1) * share
    return mixed


def _best(scores: Values) -> NDArray[Any]:
    """The best of (classes, ...), the first of equal ones: argmax over the first axis, quicker."""
    kind = np.uint8 if len(scores) <= 256 else np.uint16
    best, places = scores[0].copy(), np.zeros(scores.shape[1:], kind)
    for index, score in enumerate(scores[1:], 1):
        above = (score > best).astype(kind)
        np.maximum(best, score, out=best)
        np.maximum(places, above * kind(index), out=places)
    return places


def _classes(outputs: Values, card: ModelCard) -> int:
    """How many classes a mask may have."""
    if card.output.meaning != "classes":
        return int(outputs.shape[1])
    return len(card.labels) or int(outputs.max(initial=0)) + 1


def _check(outputs: Values, card: ModelCard, sizes: Sequence[tuple[int, int]]) -> None:
    meaning = card.output.meaning
    if meaning not in ("logits", "probabilities", "classes"):
        raise ValueError(
            f"the card's outputs must be logits, probabilities or classes, got {meaning!r}"
        )
    wanted = "h, w" if card.output.meaning == "classes" else "classes, h, w"
    if outputs.ndim != wanted.count(",") + 2 or len(outputs) != len(sizes):
        raise ValueError(
            f"outputs must be ({len(sizes)}, {wanted}) for {len(sizes)} images, "
            f"got shape {outputs.shape}"
        )
    if not all(outputs.shape[1:]):
        raise WeightsError(f"the model's outputs are empty, shape {outputs.shape}")
    bad = [i for i, image in enumerate(outputs) if not np.isfinite(image).all()]
    if bad:
        raise WeightsError(
            f"the model's outputs are not finite for {len(bad)} of {len(outputs)} images "
            f"(the first is number {bad[0]} of its batch): its weights are damaged or overflow"
        )
    if card.output.meaning == "classes":
        _check_places(outputs, len(card.labels))
    elif outputs.shape[1] > _CLASSES or len(card.labels) not in (0, outputs.shape[1]):
        wanted = str(len(card.labels) or f"1 to {_CLASSES}")
        raise WeightsError(
            f"a pixel must have {wanted} classes, the model gives {outputs.shape[1]}"
        )


def _check_places(outputs: Values, labels: int) -> None:
    most = (labels or _CLASSES) - 1
    wrong = outputs[(outputs < 0) | (outputs > most) | (outputs % 1 != 0)]
    if len(wrong):
        raise WeightsError(f"a pixel's class must be 0 to {most}, the model gives {wrong[0]}")
