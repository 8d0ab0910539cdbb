"""What images of known classes look like, and from where on an image looks like none of them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.classify.read import STEPS

RECALL = 0.95
"""Share of known images that are to look known."""
FEW = 50
"""Images on which a floor rests badly: of 50, two or three decide it."""
EVEN = 0.7
"""What is added to the spread of all directions alike, as a share: of few images it is not known
well. From 0.5 to 0.9 told unknown birds as well."""
Numbers = NDArray[np.float64]


class Familiar(NamedTuple):
    """The numbers that `architecture.classifier.Likeness` holds."""

    mean: Numbers
    """(features,)"""
    middle: Numbers
    """(features,) the mean of the square roots."""
    centroids: Numbers
    """(classes, features): a row times a vector of unit length is the likeness."""


def fit(features: NDArray[Any], classes: NDArray[Any], count: int) -> Familiar:
    """From (N, features) of images and (N,) classes, numbers below `count`.

    In square roots less their mean, the whole spread of the images is made as even as `EVEN` says
    (shrunk whitening), and there each class has its mean, of length 1. A class without images has
    a row of zeros. Measured on birds by `bench/birds_by_class.py`.
    """
    roots = roots_of(features)
    middle = roots.mean(0)
    apart = roots - middle
    spread = apart.T @ apart / len(apart)
    values, vectors = np.linalg.eigh(spread)
    even = max(float(values.mean()), 1e-12)
    lengths = (1 - EVEN) * np.maximum(values, 0) + EVEN * even
    whiten = (vectors * np.sqrt(EVEN * even / lengths)) @ vectors.T  # at most 1 in any direction
    means = np.zeros((count, features.shape[1]))
    for k in np.unique(classes):
        means[k] = apart[classes == k].mean(0)
    return Familiar(features.mean(0), middle, unit(means @ whiten) @ whiten)


def roots_of(features: NDArray[Any]) -> Numbers:
    """Square roots of features, of those below 0 as well as of 0."""
    return np.sqrt(np.maximum(features.astype(np.float64), 0))


def unit(rows: Numbers) -> Numbers:
    """Rows of length 1; those of zeros stay."""
    found: Numbers = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return found


def likeness(features: NDArray[Any], middle: Numbers, centroids: Numbers) -> Numbers:
    """(N, classes) as the network gives it, of (N, features)."""
    found: Numbers = unit(roots_of(features) - middle) @ centroids.T
    return found


def measured_floor(familiarity: Numbers) -> dict[str, Any]:
    """What a card keeps: the likeness that `RECALL` of (N,) known images have at least.

    The lowest likenesses are there too, for the share of known images below one
    (`read.unknown_shares`), and what is `typical`: the one in the middle.
    """
    rising = np.sort(familiarity)
    floor = float(rising[math.floor((1 - RECALL) * len(rising))])
    parts = np.arange(round((1 - RECALL) * STEPS)) / STEPS
    lowest = [round(float(value), 6) for value in np.quantile(rising, parts) if value < floor]
    return {
        "floor": floor,
        "lowest": lowest,
        "recall": RECALL,
        "images": len(rising),
        "typical": float(np.median(rising)),
    }


def imprinted(own: NDArray[Any], weight: Numbers, bias: Numbers, mean: Numbers | None) -> Any:
    """A row and a bias for a class with (N, features) images, beside (classes, features) of others.

    Qi et al. 2018 (https://arxiv.org/abs/1712.07136): the row is the mean feature of length 1. For
    a head whose rows have other lengths it is as long as these are on the average; and what all
    images have in common is taken away first, else an image of anything would be of the new class:
    their `mean`, or where it is not known the same number for every feature. Of that common image
    the new class is as likely as the others are on the average.
    """
    centre = own.astype(np.float64).mean(0)
    common = np.full_like(centre, centre.mean()) if mean is None else mean
    length = np.linalg.norm(weight, axis=1).mean()
    row = length * unit((centre - common)[None])[0]
    return row, float((weight @ common + bias).mean() - row @ common)


def grown(own: NDArray[Any], known: Familiar, typical: float) -> Numbers:
    """A row of centroids for a class with (N, features) images, beside those of others.

    It points where the images do. It is as long as makes each image, where it is left out of the
    mean, look as much like it as `typical`, what known images do on the average; one image alone
    gives no such measure, and the row is as long as the others are.
    """
    apart = unit(roots_of(own) - known.middle)
    row: Numbers = unit(apart.mean(0)[None])[0]
    longest = float(np.linalg.norm(known.centroids, axis=1).max(initial=0.0)) or 1.0
    if len(apart) < 2:
        return np.asarray(row * longest)
    others = unit((apart.sum(0) - apart) / (len(apart) - 1))
    seen = float(np.einsum("nf,nf->n", apart, others).mean())
    return np.asarray(row * min(typical / max(seen, 1e-6), 1.0))
