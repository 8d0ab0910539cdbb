"""From a detector's outputs to boxes in the picture: decoding and non-maximum suppression."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, one_output
from mobilenets.errors import WeightsError
from mobilenets.runtime.preprocess import shown
from mobilenets.tasks.values import Arrays, Size, first_output

LOGITS = one_output("logits", "(N, anchors, 4 + 1 + classes)")
"""In training: box codes and logits for each anchor, the background's first."""
BOXES = one_output("boxes", "(N, anchors, 4 + classes)")
"""Decoded: left, top, right, bottom in shares of the input, then scores."""
DETECTIONS = one_output("detections", "(N, most, 6)")
"""After non-maximum suppression: box, score, class."""

CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
NMS_IOU = 0.6
MOST = 100
LEAST_SCORE = 0.01
"""Where evaluation, and suppression in a file, begin: what scores less changes no figure of use."""
_BLOCK = 64
"""Boxes that suppression looks at together: their overlaps with thousands stay in the cache."""

Array = NDArray[np.floating]


class Located(NamedTuple):
    """The objects seen in one image, by falling score."""

    boxes: Array
    """(n, 4): left, top, right, bottom."""
    scores: Array
    """(n,)."""
    classes: NDArray[np.int64]
    """(n,): places in the card's labels."""


@dataclass(frozen=True)
class Detection:
    """One object that a model sees in an image."""

    label: str
    """The class in words; its number where the model has no labels."""
    index: int
    """The class."""
    score: float
    """0..1."""
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the image, inside it."""


def decode(
    outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
) -> list[list[Detection]]:
    """The objects in each image of a batch, by falling score: `locate`, with names."""
    values = first_output(outputs, card)

    def name(index: int) -> str:
        return card.labels[index] if card.labels else str(index)

    return [
        [
            Detection(name(index), index, score, (left, top, right, bottom))
            for (left, top, right, bottom), score, index in zip(
                seen.boxes.tolist(), seen.scores.tolist(), seen.classes.tolist(), strict=True
            )
        ]
        for seen in locate(values, card, sizes, threshold=threshold, most=top)
    ]


def read_with(card: ModelCard, *, iou: float) -> ModelCard:
    """The card of a network whose boxes are suppressed from the overlap `iou` on.

    ValueError for another share than 0 to 1, and for a file that suppresses them itself.
    """
    if not 0 <= iou <= 1:
        raise ValueError(f"iou must be in [0, 1], got {iou!r}")
    if card.output.meaning == DETECTIONS[0].meaning:
        raise ValueError(
            "iou cannot be changed for this file: the suppression is inside it; export it "
            "without nms"
        )
    return card.replace(reading={"iou": iou})


def locate(
    outputs: Array,
    card: ModelCard,
    sizes: Sequence[tuple[int, int]],
    *,
    threshold: float,
    most: int = MOST,
) -> list[Located]:
    """What is seen in each image with a score from `threshold` on, at most `most` objects.

    `outputs` are (N, anchors, 4 + classes) where the card says `boxes`, which go through
    `suppress` at the overlap that `read_with` set, or (N, any, 6) where it says `detections`.
    `sizes` are the images' (width, height) as they were before preprocessing; the boxes come back
    in their pixels, clipped to them, and one that lies outside is left out. WeightsError for
    outputs that are not finite or do not fit the card's labels.
    """
    _check(outputs, card, sizes, threshold, most)
    if card.output.meaning == "boxes":
        iou = card.reading.get("iou", NMS_IOU)
        found = [suppress(image, threshold=threshold, iou=iou, most=most) for image in outputs]
    else:
        found = [_chosen(image, threshold, most) for image in outputs]
    return [
        _placed(seen, size, shown(size, card.preprocessing))
        for seen, size in zip(found, sizes, strict=True)
    ]


def suppress(
    decoded: Array,
    *,
    threshold: float,
    iou: float = NMS_IOU,
    per_class: int = MOST,
    most: int = MOST,
) -> Located:
    """Non-maximum suppression in each class by itself: (anchors, 4 + classes) -> what is left.

    Of the scores from `threshold` on, at most `per_class` of a class and `most` in all. Of equal
    scores the lower class comes first, then the earlier anchor. Boxes stay in the units that
    they came in.
    """
    scores = decoded[:, 4:].T.ravel()  # class after class
    candidates = np.flatnonzero(scores >= threshold)
    considered = 4 * most
    # Whether a box stays depends only on those that score higher, so the first `most` are found
    # without a look at the thousands of anchors that hardly score at all.
    while True:
        best = candidates[_falling(scores[candidates], considered)]
        classes, anchors = np.divmod(best, len(decoded))
        kept = nms(decoded[anchors, :4], scores[best], iou, classes)
        kept = kept[rank(classes[kept]) < per_class][:most]
        if len(kept) == most or len(best) == len(candidates):
            return Located(decoded[anchors[kept], :4], scores[best[kept]], classes[kept])
        considered *= 4


def nms(
    boxes: Array, scores: Array, iou: float, classes: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    """Places of the boxes that stay, by falling score; of equal scores the earlier first.

    A box (n, 4) goes where its overlap with one that stays is above `iou`; with `classes` (n,),
    only where both are of one class. What `torchvision.ops.nms` gives, to the same rounding.
    """
    left: NDArray[np.int64] = np.argsort(-scores, kind="stable")
    kept = [left[:0]]

    def over(rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.bool_]:
        # In float64, as torchvision compares: a float32 of 0.6 is above 0.6.
        above: NDArray[np.bool_] = box_iou(boxes[rows], boxes[columns]).astype(np.float64) > iou
        if classes is not None:
            above &= classes[rows, None] == classes[columns]
        return above

    while len(left):
        block, left = left[:_BLOCK], left[_BLOCK:]
        within = over(block, block)
        stays = np.ones(len(block), bool)
        for i in range(len(block)):
            if stays[i]:
                stays[i + 1 :] &= ~within[i, i + 1 :]
        kept.append(block[stays])
        left = left[~over(kept[-1], left).any(0)]
    return np.concatenate(kept)


def box_iou(a: Array, b: Array) -> Array:
    """Intersection over union of boxes (n, 4) with boxes (m, 4), left, top, right, bottom: (n, m).

    0 where the union is empty.
    """
    one, two = a.T[:, :, None], b.T[:, None, :]
    with np.errstate(over="ignore", invalid="ignore"):
        inter = np.minimum(one[2], two[2]) - np.maximum(one[0], two[0])
        np.maximum(inter, 0, out=inter)
        inter *= np.maximum(np.minimum(one[3], two[3]) - np.maximum(one[1], two[1]), 0)
        union = _areas(one) + _areas(two) - inter
        shares: Array = np.divide(inter, union, out=np.zeros_like(inter), where=union > 0)
    return shares


def decode_boxes(codes: Array, anchors: Array) -> Array:
    """Boxes (..., 4), left, top, right, bottom, from SSD's codes: the twin of `architecture.ssd`'s.

    `anchors` (..., 4) are centre x, centre y, width, height. A code too large for its exponential
    gives a box that is not finite, and no warning.
    """
    codes = codes / np.asarray(CODE_WEIGHTS, codes.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        centres = codes[..., :2] * anchors[..., 2:] + anchors[..., :2]
        half = np.exp(codes[..., 2:]) * (anchors[..., 2:] / 2)
        return np.concatenate([centres - half, centres + half], -1)


def _areas(boxes: Array) -> Any:
    return (boxes[2] - boxes[0]) * (boxes[3] - boxes[1])


def _falling(scores: Array, most: int) -> NDArray[np.int64]:
    """Places of the `most` highest scores, by falling score; of equal scores the earlier first."""
    places = np.arange(len(scores))
    if most < len(scores):
        least = np.partition(scores, -most)[-most]
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        places = np.concatenate([above, equal[: most - len(above)]])
    return places[np.argsort(-scores[places], kind="stable")]


def rank(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the same class come before each."""
    order = np.argsort(classes, kind="stable")
    together = classes[order]
    ranks = np.empty_like(order)
    ranks[order] = np.arange(len(order)) - np.searchsorted(together, together)
    return ranks


def _chosen(detections: Array, threshold: float, most: int) -> Located:
    """Rows (box, score, class) from the threshold on, by falling score; 0 is a row not used."""
    scores = detections[:, 4]
    rows = detections[(scores >= threshold) & (scores > 0)]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")[:most]]
    return Located(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def _placed(
    seen: Located, size: tuple[int, int], window: tuple[float, float, float, float]
) -> Located:
    """From shares of the input, which shows `window` of the image, to pixels inside the image."""
    left, top, right, bottom = window
    width, height = size
    offset = np.array([left, top] * 2)
    boxes = seen.boxes * np.array([right - left, bottom - top] * 2) + offset
    boxes = np.clip(boxes, 0, np.array([width, height] * 2))
    inside = (boxes[:, 2:] > boxes[:, :2]).all(1)
    return Located(boxes[inside], seen.scores[inside], seen.classes[inside])


def _check(
    outputs: Array,
    card: ModelCard,
    sizes: Sequence[tuple[int, int]],
    threshold: float,
    most: int,
) -> None:
    if card.output.meaning not in ("boxes", "detections"):
        got = card.output.meaning
        raise ValueError(f"the card's outputs must be boxes or detections, got {got!r}")
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold must be in [0, 1], got {threshold!r}")
    if most < 1:
        raise ValueError(f"most must be positive, got {most!r}")
    if outputs.ndim != 3 or len(outputs) != len(sizes):
        raise ValueError(
            f"outputs must be ({len(sizes)}, boxes, values) for {len(sizes)} images, "
            f"got shape {outputs.shape}"
        )
    values = outputs.shape[2]
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=(1, 2)))
    if len(bad):
        raise WeightsError(
            f"the model's outputs are not finite for {len(bad)} of {len(outputs)} images "
            f"(the first is number {bad[0]} of its batch): its weights are damaged or overflow"
        )
    if card.output.meaning == "boxes":
        _check_classes(values - 4, len(card.labels))
    else:
        _check_detections(outputs, len(card.labels))


def _check_classes(classes: int, labels: int) -> None:
    if classes < 1 or (labels and classes != labels):
        wanted = f"4 + {labels}" if labels else "4 + classes"
        raise WeightsError(f"a box must have {wanted} values, the model gives {4 + classes}")


def _check_detections(outputs: Array, labels: int) -> None:
    if outputs.shape[2] != 6:
        raise WeightsError(f"a detection must have 6 values, the model gives {outputs.shape[2]}")
    classes = outputs[outputs[..., 4] > 0][:, 5]
    wrong = classes[(classes % 1 != 0) | (classes < 0) | (classes >= (labels or np.inf))]
    if len(wrong):
        allowed = f"0 to {labels - 1}" if labels else "whole numbers from 0"
        raise WeightsError(f"a detection's class must be {allowed}, the model gives {wrong[0]}")
