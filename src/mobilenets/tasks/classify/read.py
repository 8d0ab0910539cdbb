"""From a classifier's outputs to names and scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, one_output
from mobilenets.errors import WeightsError
from mobilenets.runtime.numbers import softmax
from mobilenets.tasks.values import Arrays, Size, first_output

LOGITS = one_output("logits", "(N, classes)")
PROBABILITIES = one_output("probabilities", "(N, classes)")


@dataclass(frozen=True)
class Prediction:
    """One of the classes a model sees in an image."""

    label: str
    """The class in words; its number where the model has no labels."""
    index: int
    """The output."""
    score: float
    """Probability, 0..1."""


def decode(
    outputs: Arrays, card: ModelCard, sizes: Sequence[Size], *, top: int, threshold: float
) -> list[list[Prediction]]:
    """The `top` labels of each image with a score from `threshold` on, best first."""
    seen = best_classes(rows(outputs, card), card, top)
    return [[one for one in image if one.score >= threshold] for image in seen]


def check_meaning(card: ModelCard) -> None:
    """ValueError unless the card says that the first output's numbers are a classifier's."""
    meaning = card.output.meaning
    if meaning not in ("logits", "probabilities"):
        raise ValueError(f"the card's outputs must be logits or probabilities, got {meaning!r}")


def rows(outputs: Arrays, card: ModelCard) -> NDArray[np.float32]:
    """(N, classes) of the first output, which some files give as (N, classes, 1, 1)."""
    values = first_output(outputs, card)
    return values.reshape(len(values), -1)


def best_classes(
    outputs: NDArray[np.floating], card: ModelCard, top: int
) -> list[list[Prediction]]:
    """The `top` classes of each row of `outputs` (N, classes), likeliest first.

    Softmax is applied where the card says logits. Of equal scores the lower output comes first.
    WeightsError for outputs that are not finite or do not fit the card's labels.
    """
    if top < 1:
        raise ValueError(f"top must be positive, got {top!r}")
    if outputs.ndim != 2:
        raise ValueError(f"outputs must be (N, classes), got shape {outputs.shape}")
    check_meaning(card)
    count = outputs.shape[1]
    if card.labels and len(card.labels) != count:
        raise WeightsError(f"the model has {count} outputs but {len(card.labels)} labels")
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(bad):
        raise WeightsError(
            f"the model's outputs are not finite for {len(bad)} of {len(outputs)} images "
            f"(the first is number {bad[0]} of its batch): its weights are damaged or overflow"
        )
    scores = softmax(outputs) if card.output.meaning == "logits" else outputs.astype(np.float64)
    labels = card.labels or tuple(str(i) for i in range(count))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(labels[i], int(i), float(row[i])) for i in best]
        for row, best in zip(scores, order, strict=True)
    ]
