"""Exact search and pairs of alike images, in blocks: nothing but numpy, memory flat."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.index.embedder import Vectors
from mobilenets.index.file import Index

BLOCK = 1 << 18
"""Vectors that are compared with a query at a time."""
TILE = 2048
"""The same, of many with many."""


class NearImage(NamedTuple):
    """An image of an index that is near."""

    image: int
    """Its number."""
    cosine: float


def search(index: Index, query: Vectors, top: int) -> list[NearImage]:
    """The `top` images nearest to a vector, the nearest first; of equal ones the first."""
    cosines = np.empty(len(index.names), np.float32)
    for first in range(0, len(cosines), BLOCK):
        part = index.vectors[first : first + BLOCK].astype(np.float32, copy=False)
        np.matmul(part, query, out=cosines[first : first + len(part)])
    return _first(np.arange(len(cosines)), cosines, top)


def exact_of(index: Index, query: Vectors, images: NDArray[np.int64], top: int) -> list[NearImage]:
    """The `top` nearest of some images alone, given by rising numbers."""
    return _first(images, index.vectors[images].astype(np.float32) @ query, top)


def _first(images: NDArray[np.int64], cosines: Vectors, top: int) -> list[NearImage]:
    """Of (N,) images with rising numbers those with the largest of (N,) cosines."""
    top = min(top, len(cosines))
    chosen = np.arange(len(cosines))
    if top < len(cosines):
        least = np.partition(cosines, len(cosines) - top)[len(cosines) - top]
        chosen = np.flatnonzero(cosines >= least)
    order = chosen[np.argsort(-cosines[chosen], kind="stable")][:top]
    return [NearImage(int(images[i]), float(cosines[i])) for i in order]


class AlikeImages(NamedTuple):
    """Images that are alike, directly or through others."""

    images: list[int]
    """The one to keep first, which is the largest file; then the others."""
    cosines: list[float]
    """Of each the cosine to the one that is kept."""


def duplicates(index: Index, least: float) -> list[AlikeImages]:
    """Groups of images with a cosine of `least` or more, the largest group first."""
    parent = np.arange(len(index.names))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    for first, second in pairs(index.vectors, least):
        a, b = root(first), root(second)
        parent[max(a, b)] = min(a, b)
    members: dict[int, list[int]] = {}
    for i in range(len(parent)):
        members.setdefault(root(i), []).append(i)
    groups = [_group(index, images) for images in members.values() if len(images) > 1]
    return sorted(groups, key=lambda group: (-len(group.images), group.images[0]))


def pairs(vectors: NDArray[Any], least: float) -> Iterator[tuple[int, int]]:
    """Pairs of numbers, the smaller first, of vectors with a cosine of `least` or more."""
    for row in range(0, len(vectors), TILE):
        one = vectors[row : row + TILE].astype(np.float32, copy=False)
        for column in range(row, len(vectors), TILE):
            other = vectors[column : column + TILE].astype(np.float32, copy=False)
            for i, j in np.argwhere(one @ other.T >= least).tolist():
                if row + i < column + j:
                    yield row + i, column + j


def _group(index: Index, images: list[int]) -> AlikeImages:
    first = max(images, key=lambda i: (index.sizes[i], -i))
    rest = [i for i in images if i != first]
    vectors = index.vectors[[first, *rest]].astype(np.float32)
    return AlikeImages([first, *rest], (vectors @ vectors[0]).tolist())
