"""Arithmetic on a network's outputs that more than one use needs."""

import numpy as np
from numpy.typing import NDArray


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """The logistic function of each number; large logits do not overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64)))


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities over the last axis; large logits do not overflow."""
    values = logits.astype(np.float64)
    exponentials = np.exp(values - values.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True))
