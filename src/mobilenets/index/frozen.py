"""How much the features of any weights know of any labelled data: nearest neighbours, a line.

Nothing is trained but a linear layer: the features are those of `embedder.Embedder`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.dataset import Dataset
from mobilenets.data.folders import open_classification
from mobilenets.errors import DataError
from mobilenets.evaluation import batches
from mobilenets.index.embedder import Embedder, Vectors

KINDS = ("knn", "linear")
NEIGHBOURS, TEMPERATURE = 20, 0.07
"""As DINO's evaluation has them (Caron et al. 2021, arXiv 2104.14294)."""
STEP = 1024
Integers = NDArray[np.int64]


class Features(NamedTuple):
    """Vectors of a part of a data set, and the class of each."""

    vectors: Vectors
    labels: Integers
    failures: list[tuple[str, str]]


def kinds_of(text: str) -> list[str]:
    """`knn,linear` as a list; ValueError for other words."""
    found = [word.strip() for word in text.split(",") if word.strip()]
    if not found or any(word not in KINDS for word in found):
        raise ValueError(f"probe must be {', '.join(KINDS)} or both, got {text!r}")
    return found


def open_parts(data: str | Path) -> tuple[Dataset, Dataset]:
    """The images to learn from and those to measure on, as a classifier has them."""
    return open_classification(data, "train"), open_classification(data, "eval")


def features(
    embedder: Embedder,
    dataset: Dataset,
    *,
    batch_size: int = 32,
    exact: bool = False,
    progress: Callable[[int], None] = lambda images: None,
) -> Features:
    """The vectors of all images of a part; DataError where none can be read."""
    vectors: list[Vectors] = []
    labels: list[int] = []
    failures: list[tuple[str, str]] = []
    preprocessing = embedder.card.preprocessing
    for batch in batches(dataset, range(len(dataset)), preprocessing, batch_size, exact=exact):
        if len(batch.inputs):
            vectors.append(embedder(batch.inputs))
            labels += map(int, batch.targets)
        failures += batch.failures
        progress(len(batch.inputs) + len(batch.failures))
    if not vectors:
        raise DataError(f"none of {len(dataset)} images could be read; the first: {failures[0][1]}")
    return Features(np.concatenate(vectors), np.array(labels, np.int64), failures)


def measure(
    kinds: Sequence[str], train: Features, tested: Features, classes: int
) -> Iterator[tuple[str, float]]:
    """The share that each kind has right of the images measured on: `knn` and `linear`."""
    if "knn" in kinds:
        seen = nearest_classes(train, tested.vectors, classes)
        yield "knn", float((seen == tested.labels).mean())
    if "linear" in kinds:
        seen = linear_classes(train, tested.vectors, classes)
        yield "linear", float((seen == tested.labels).mean())


def nearest_classes(train: Features, vectors: Vectors, classes: int) -> Integers:
    """The class with the most votes of the 20 nearest, each weighing e to the cosine / .07."""
    count = min(NEIGHBOURS, len(train.labels))
    found = []
    for first in range(0, len(vectors), STEP):
        cosines = vectors[first : first + STEP] @ train.vectors.T
        order = np.argsort(-cosines, axis=1, kind="stable")[:, :count]
        weights = np.exp(np.take_along_axis(cosines, order, 1).astype(np.float64) / TEMPERATURE)
        votes = np.zeros((len(order), classes))
        np.add.at(votes, (np.arange(len(order))[:, None], train.labels[order]), weights)
        found.append(votes.argmax(1))
    return np.concatenate(found)


def linear_classes(train: Features, vectors: Vectors, classes: int) -> Integers:
    """What logistic regression says, its strength chosen by folds of the images learned from."""
    import torch

    from mobilenets.tasks.probe import fit_classes

    rows, labels = torch.from_numpy(train.vectors), torch.from_numpy(train.labels)
    layer = fit_classes(rows, labels, classes).layer
    scores = torch.from_numpy(vectors).double() @ layer.weight.T + layer.bias
    found: Integers = scores.argmax(1).numpy()
    return found
