"""From a classifier's outputs to names and scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard
from mobilenets.errors import WeightsError


@dataclass(frozen=True)
class Prediction:
    """One of the classes a model sees in an image."""

    label: str
    """The class in words; its number where the model has no labels."""
    index: int
    """The output."""
    score: float
    """Probability, 0..1."""


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities over the last axis; large logits do not overflow."""
    values = logits.astype(np.float64)
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))


def decode(outputs: NDArray[np.floating], card: ModelCard, top: int) -> list[list[Prediction]]:
    """The `top` classes of each row of `outputs` (N, classes), likeliest first.

    Softmax is applied where the card says logits. Of equal scores the lower output comes first.
    WeightsError for outputs that are not finite or do not fit the card's labels.
    """
    if top < 1:
        raise ValueError(f"top must be positive, got {top!r}")
    if outputs.ndim != 2:
        raise ValueError(f"outputs must be (N, classes), got shape {outputs.shape}")
    count = outputs.shape[1]
    if card.labels and len(card.labels) != count:
        raise WeightsError(f"the model has {count} outputs but {len(card.labels)} labels")
    bad = np.flatnonzero(~np.isfinite(outputs).all(axis=1))
    if len(bad):
        raise WeightsError(
            f"the model's outputs are not finite for {len(bad)} of {len(outputs)} images "
            f"(the first is number {bad[0]} of its batch): its weights are damaged or overflow"
        )
    scores = softmax(outputs) if card.outputs == "logits" else outputs.astype(np.float64)
    labels = card.labels or tuple(str(i) for i in range(count))
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top]
    return [
        [Prediction(labels[i], int(i), float(row[i])) for i in best]
        for row, best in zip(scores, order, strict=True)
    ]
