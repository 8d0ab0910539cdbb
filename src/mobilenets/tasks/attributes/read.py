"""From a network's outputs to the attributes that an image has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, Output
from mobilenets.errors import WeightsError
from mobilenets.runtime.numbers import sigmoid, softmax
from mobilenets.tasks.values import Arrays, Size, first_output

LOGITS = (Output("logits", "attribute logits", "(N, attributes)"),)
SCORES = (Output("scores", "attribute scores", "(N, attributes)"),)
"""Each from 0 to 1 by itself; those of a group that exclude each other sum to 1."""
HALF = 0.5
"""The threshold of an attribute for which none was chosen."""
THRESHOLDS, GROUPS = "thresholds", "groups"
"""What a card keeps: attribute -> the score from which it is seen; lists of attributes of which
an image has one."""

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class SeenAttribute:
    """One of the attributes that a model sees in an image."""

    label: str
    """The attribute in words; its number where the model has no labels."""
    index: int
    """The output."""
    score: float
    """From 0 to 1."""
    threshold: float
    """The score from which it was to be seen."""


def decode(
    outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
) -> list[list[SeenAttribute]]:
    """The attributes of each image, the surest first, `top` at most.

    With a `threshold` of 0 each has its own, as the card keeps it, and of a group that excludes
    each other the likeliest is seen. Any other threshold takes their place.
    """
    scores = scores_of(outputs, card)
    labels = labels_of(card, scores.shape[1])
    limits = thresholds_of(card, labels) if threshold <= 0 else np.full(len(labels), threshold)
    seen = marks_of(scores, limits, groups_of(card, labels) if threshold <= 0 else [])
    found = []
    for row, there in zip(scores, seen, strict=True):
        places = np.flatnonzero(there)
        best = places[np.argsort(-row[places], kind="stable")][:top].tolist()
        found.append([SeenAttribute(labels[i], i, float(row[i]), float(limits[i])) for i in best])
    return found


def scores_of(outputs: Arrays, card: ModelCard) -> Scores:
    """(N, attributes) scores from 0 to 1; WeightsError for outputs that are not finite."""
    values = first_output(outputs, card)
    values = values.reshape(len(values), -1)
    if not np.isfinite(values).all():
        raise WeightsError(
            "the model's outputs are not finite numbers: its weights are damaged or overflow"
        )
    if card.output.meaning == SCORES[0].meaning:
        return values.astype(np.float64)
    if card.output.meaning != LOGITS[0].meaning:
        known = " or ".join(one[0].meaning for one in (LOGITS, SCORES))
        raise ValueError(f"the card's outputs must be {known}, got {card.output.meaning!r}")
    scores = sigmoid(values)
    for group in groups_of(card, labels_of(card, values.shape[1])):
        scores[:, group] = softmax(values[:, group])
    return scores


def labels_of(card: ModelCard, outputs: int) -> tuple[str, ...]:
    """The attributes' names; numbers where the card has none. WeightsError for too few or many."""
    if card.labels and len(card.labels) != outputs:
        raise WeightsError(f"the model has {outputs} outputs but {len(card.labels)} labels")
    return card.labels or tuple(str(i) for i in range(outputs))


def thresholds_of(card: ModelCard, labels: Sequence[str]) -> Scores:
    """(attributes,) the score from which each is seen: the card's own, else a half."""
    kept: Any = card.kept.get(THRESHOLDS, {})
    numbers = isinstance(kept, Mapping) and all(isinstance(v, (int, float)) for v in kept.values())
    if not numbers or not all(0 <= value <= 1 for value in kept.values()):
        raise WeightsError(f"the card's thresholds must be numbers from 0 to 1, got {kept!r:.80}")
    return np.array([float(kept.get(label, HALF)) for label in labels])


def groups_of(card: ModelCard, labels: Sequence[str]) -> list[list[int]]:
    """The outputs of each group of attributes of which an image has exactly one."""
    kept: Any = card.kept.get(GROUPS, [])
    return places_of(kept, labels, WeightsError, "the card's groups")


def places_of(
    groups: Sequence[Sequence[str]],
    labels: Sequence[str],
    error: type[Exception],
    what: str,
) -> list[list[int]]:
    """Groups of names as groups of places; `error` for a name that is none, or is in two."""
    known = {label: i for i, label in enumerate(labels)}
    found: list[list[int]] = []
    for group in groups:
        for name in group:
            if name not in known:
                raise error(f"{what} must be of attributes, got {name!r}")
            if any(known[name] in other for other in found):
                raise error(f"{what} must not share an attribute, {name!r} is in two")
        found.append([known[name] for name in group])
    return found


def marks_of(scores: Scores, limits: Scores, groups: Sequence[Sequence[int]]) -> NDArray[np.bool_]:
    """(N, attributes) whether each is seen: from its limit on; of a group the likeliest alone."""
    seen = scores >= limits
    for group in groups:
        best = np.argmax(scores[:, group], axis=1)
        seen[:, group] = best[:, None] == np.arange(len(group))
    return seen
