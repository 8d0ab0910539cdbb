"""From a classifier's outputs to names and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import INDEPENDENT, ModelCard, Output, one_output
from mobilenets.errors import WeightsError
from mobilenets.runtime.numbers import sigmoid, softmax
from mobilenets.tasks.values import Arrays, Size, first_output

LOGITS = one_output("logits", "(N, classes)")
PROBABILITIES = one_output("probabilities", "(N, classes)")
INDEPENDENT_LOGITS = INDEPENDENT
"""A sigmoid makes a score of each output by itself; a softmax over them would be wrong."""
INDEPENDENT_PROBABILITIES = (Output("probabilities", "independent probabilities", "(N, classes)"),)
"""Such scores. One alone stands for two classes: its score is that of the second."""
LIKENESS = Output("likeness", "likeness", "(N, classes)")
"""A second output: how much an image looks like those of each class, -1 to 1."""
UNKNOWN = "unknown"
"""What an image is called that looks like none of the classes; of `ModelCard.kept`, what is known
of that: `floor`, the least likeness of what is known, and `lowest`, see `unknown_shares`."""
STEPS = 1000
"""Equal parts of the known images that `lowest` tells apart."""
_FORMS = (LOGITS, PROBABILITIES, INDEPENDENT_LOGITS, INDEPENDENT_PROBABILITIES)
_MEANINGS = tuple(outputs[0].meaning for outputs in _FORMS)


@dataclass(frozen=True)
class Prediction:
    """One of the classes a model sees in an image."""

    label: str
    """The class in words; its number where the model has no labels."""
    index: int
    """The output; -1 for `unknown`."""
    score: float
    """Probability, 0..1; of `unknown`, the share of known images that look more like a class."""


def decode(
    outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
) -> list[list[Prediction]]:
    """The `top` labels of each image with a score from `threshold` on, best first.

    Where the card knows how alike images of its classes are, `unknown` comes first for an image
    that looks like none of them.
    """
    seen = best_classes(rows(outputs, card), card, top)
    for i, share in enumerate(unknown_shares(outputs, card)):
        if share > 0:
            seen[i] = [Prediction(UNKNOWN, -1, float(share)), *seen[i]][:top]
    return [[one for one in image if one.score >= threshold] for image in seen]


def says_unknown(card: ModelCard) -> bool:
    """Whether a model tells images that look like none of its classes."""
    return UNKNOWN in card.kept and LIKENESS in card.outputs


def floor_of(card: ModelCard) -> tuple[float, NDArray[np.float64]]:
    """The least likeness of what is known, and `lowest`; WeightsError for a damaged card."""
    kept = card.kept[UNKNOWN]
    try:
        return float(kept["floor"]), np.asarray(kept["lowest"], np.float64).reshape(-1)
    except (TypeError, KeyError, ValueError, IndexError) as error:
        said = f"{kept!r:.80}"
        raise WeightsError(
            f"the card's {UNKNOWN} must have floor and lowest, got {said}"
        ) from error


def unknown_shares(outputs: Arrays, card: ModelCard) -> NDArray[np.float64]:
    """(N,) 0 where an image looks like one of the classes, else the share of images that look more.

    Of the images that the floor was measured on: `lowest` has the likeness that each next one of a
    thousand equal parts of them begins with, up to the floor. (0,) for a model that does not tell.
    """
    if not says_unknown(card):
        return np.zeros(0)
    likeness = familiarity(outputs)
    floor, lowest = floor_of(card)
    below = np.searchsorted(lowest, likeness, side="right")
    return np.asarray(np.where(likeness < floor, 1 - below / STEPS, 0.0))


def familiarity(outputs: Arrays) -> NDArray[np.float64]:
    """(N,) the likeness to the nearest class, from the output `likeness`."""
    values = outputs[LIKENESS.name]
    return np.asarray(values.reshape(len(values), -1).max(1), np.float64)


def check_meaning(card: ModelCard) -> None:
    """ValueError unless the card says that the first output's numbers are a classifier's."""
    meaning = card.output.meaning
    if meaning not in _MEANINGS:
        raise ValueError(f"the card's outputs must be {', '.join(_MEANINGS)}, got {meaning!r}")


def are_independent(card: ModelCard) -> bool:
    """Whether each output is a score by itself (a sigmoid), not a share of one (a softmax)."""
    return card.output.meaning.startswith("independent")


def labels_of(card: ModelCard, outputs: int) -> tuple[str, ...]:
    """The classes' names for a network of so many outputs; numbers where the card has none.

    One independent output has two classes: where the card names only what it sees, `cat`, the
    other is `not cat`. WeightsError where the card has another number of labels.
    """
    classes, labels = outputs, card.labels
    if outputs == 1 and are_independent(card):
        classes = 2
        labels = (f"not {labels[0]}", *labels) if len(labels) == 1 else labels
    if labels and len(labels) != classes:
        raise WeightsError(f"the model has {outputs} outputs but {len(labels)} labels")
    return labels or tuple(str(i) for i in range(classes))


def scores_of(outputs: NDArray[np.floating], card: ModelCard) -> NDArray[np.float64]:
    """(N, classes) scores from 0 to 1 of (N, outputs), as the card says what these are.

    Probabilities that sum to 1, or independent scores. Of one independent output p the classes
    are two, 1 - p and p.
    """
    check_meaning(card)
    meaning = card.output.meaning
    scores = outputs.astype(np.float64)
    if meaning.endswith("logits"):
        scores = sigmoid(outputs) if are_independent(card) else softmax(outputs)
    if outputs.shape[1] == 1 and are_independent(card):
        scores = np.concatenate([1 - scores, scores], axis=1)
    return scores


def rows(outputs: Arrays, card: ModelCard) -> NDArray[np.float32]:
    """(N, classes) of the first output, which some files give as (N, classes, 1, 1)."""
    values = first_output(outputs, card)
    return values.reshape(len(values), -1)


def best_classes(
    outputs: NDArray[np.floating], card: ModelCard, top: int
) -> list[list[Prediction]]:
    """The `top` classes of each row of `outputs` (N, classes), likeliest first.

    Scores are as `scores_of` has them. Of equal scores the lower output comes first.
    WeightsError for outputs that are not finite or do not fit the card's labels.
    """
    if top < 1:
        raise ValueError(f"top must be positive, got {top!r}")
    if outputs.ndim != 2:
        raise ValueError(f"outputs must be (N, classes), got shape {outputs.shape}")
    check_meaning(card)
    labels = labels_of(card, outputs.shape[1])
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(bad):
        raise WeightsError(
            f"the model's outputs are not finite for {len(bad)} of {len(outputs)} images "
            f"(the first is number {bad[0]} of its batch): its weights are damaged or overflow"
        )
    scores = scores_of(outputs, card)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(labels[i], int(i), float(row[i])) for i in best]
        for row, best in zip(scores, order, strict=True)
    ]
