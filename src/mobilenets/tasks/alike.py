"""Images that are there twice or nearly: in two parts of a data set, or with two labels.

Each image is reduced to 32 x 32 greys, of which each one's difference from those around it is
compared: what JPEG, another size or another exposure leaves as it is. On photographs that have
nothing to do with each other the correlation stays below 0.7; copies at half the size and quality
40 have 0.9 and more, neighbouring frames of a film about 0.8.
"""

import filecmp
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.data.files import ImagesOnDisk
from mobilenets.data.listing import count
from mobilenets.data.problems import Kinds, Problem, Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import opened, upright
from mobilenets.tasks.report import Progress

KINDS: Kinds = {
    "two parts": ("image is in two parts", "images are in two parts"),
    "two labels": ("image is there with two labels", "images are there with two labels"),
    "twice": ("image is there twice in one part", "images are there twice in one part"),
    "alike in two parts": (
        "image looks like one in another part",
        "images look like one in another part",
    ),
    "alike with two labels": (
        "image looks like one with another label",
        "images look like one with another label",
    ),
}
"""The same bytes first, then what looks alike."""
SIDE = 32
LEAST = 0.8
"""Correlation from which two images are called alike."""
LEAST_SMALL = 0.95
"""The same for images below 64 pixels, such as digits, of which many are alike."""
SMALL = 64
MOST = 20_000
"""Images of one part that are compared with each other; beyond, only parts are compared."""
_BLOCK = 2048

Greys = NDArray[np.uint8]


class _Twin(NamedTuple):
    """An image and the earlier one that it looks like most, by their places among all."""

    image: int
    other: int
    same: bool
    """Whether their files have the same bytes."""


def find_alike(parts: Mapping[str, Any], progress: Progress) -> tuple[list[Problem], list[str]]:
    """What is there twice or nearly, as problems and notes; nothing of data not on disk.

    Every image is opened once, by all cores. One that cannot be read is passed over.
    """
    there = {name: part for name, part in parts.items() if isinstance(part, ImagesOnDisk)}
    paths = [part.root / file for part in there.values() for file in part.files]
    if len(paths) < 2:
        return [], []
    names = [name for name, part in there.items() for _ in part.files]
    with progress("comparing", len(paths)) as advance:
        greys, small = _reduce(paths, advance)
    twins = list(_twins(greys, small, names, paths))
    labels = [
        part.label(i) if hasattr(part, "label") else ""
        for part in there.values()
        for i in range(len(part))
    ]
    called = [part.name(i) for part in there.values() for i in range(len(part))]
    return _tell(twins, names, labels, called)


def _tell(
    twins: Sequence[_Twin], names: Sequence[str], labels: Sequence[str], called: Sequence[str]
) -> tuple[list[Problem], list[str]]:
    problems = Problems(KINDS)
    near = []
    for i, j, same in twins:
        both = (f"{called[k]} ({labels[k]})" if labels[k] else called[k] for k in (j, i))
        text = " and ".join(both)
        if labels[i] != labels[j]:
            problems.add("two labels" if same else "alike with two labels", [text])
        if names[i] != names[j]:
            problems.add("two parts" if same else "alike in two parts", [text])
        elif labels[i] == labels[j]:
            if same:
                problems.add("twice", [text])
            near.append(text)
    notes = []
    if near and len(set(names)) == 1:
        what = count(len(near), "image looks", "images look")
        notes.append(
            f"{what} like another, so that what is held out for validation can have a twin that is "
            f"trained on: {near[0]}"
        )
    return problems.list(), notes


def _reduce(
    paths: Sequence[Path], advance: Callable[[int], None]
) -> tuple[Greys, NDArray[np.bool_]]:
    """(n, 32, 32) greys, 0 where an image cannot be read; and whether each is small."""
    greys = np.zeros((len(paths), SIDE, SIDE), np.uint8)
    small = np.zeros(len(paths), bool)

    def one(i: int) -> None:
        try:
            with opened(paths[i]) as image:
                small[i] = min(image.size) < SMALL
                image.draft("L", (2 * SIDE, 2 * SIDE))
                image.load()
                picture = upright(image).convert("L")
        except DataError:
            return
        greys[i] = np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BOX))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(one, range(len(paths))):
            advance(1)
    return greys, small


def _details(greys: Greys) -> NDArray[np.float32]:
    """(n, 32, 32) -> (n, 1024) of length 1: each grey less the mean of the 5 x 5 around it.

    0 where there is next to nothing to see.
    """
    values = greys.astype(np.float32)
    sums = np.pad(values, ((0, 0), (2, 2), (2, 2)), mode="edge").cumsum(1).cumsum(2)
    sums = np.pad(sums, ((0, 0), (1, 0), (1, 0)))
    around = sums[:, 5:, 5:] - sums[:, :-5, 5:] - sums[:, 5:, :-5] + sums[:, :-5, :-5]
    details = (values - around / 25).reshape(len(greys), -1)
    length = np.sqrt((details**2).sum(1, keepdims=True))
    return np.asarray(details / np.where(length < SIDE, np.inf, length), np.float32)


def _twins(
    greys: Greys, small: NDArray[np.bool_], names: Sequence[str], paths: Sequence[Path]
) -> Iterator[_Twin]:
    """Each image that looks like an earlier one, with the one that it looks like most.

    Of another part if there is such a one; of its own part only where that is not too large.
    """
    order = list(dict.fromkeys(names))
    part = np.array([order.index(name) for name in names])
    large = (np.bincount(part) > MOST)[part]
    for first in range(0, len(greys), _BLOCK):
        rows = slice(first, first + _BLOCK)
        details = _details(greys[rows])
        places = np.arange(first, first + len(details))
        best = np.zeros((2, len(details)), np.float32)  # of another part, of its own
        found = np.full((2, len(details)), -1)
        for begin in range(0, first + len(details), _BLOCK):
            columns = slice(begin, begin + _BLOCK)
            alike = details @ _details(greys[columns]).T
            limit = np.where(small[rows, None] | small[None, columns], LEAST_SMALL, LEAST)
            earlier = np.arange(begin, begin + alike.shape[1]) < places[:, None]
            alike[~earlier | (alike < limit)] = 0
            same = part[rows, None] == part[None, columns]
            for k, wanted in enumerate((~same, same & ~large[rows, None])):
                values = np.where(wanted, alike, 0)
                most = values.max(1)
                better = most > best[k]
                found[k, better] = begin + values.argmax(1)[better]
                best[k, better] = most[better]
        for i, (other, own) in zip(places.tolist(), found.T.tolist(), strict=True):
            j = other if other >= 0 else own
            if j >= 0:
                yield _Twin(i, j, filecmp.cmp(paths[i], paths[j], shallow=False))
