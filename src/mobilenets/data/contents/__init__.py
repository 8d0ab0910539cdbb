"""What a data set holds, in few bytes: which images, whatever they are called, and which labels.

A checkpoint says by it what it was trained on, and a run that is resumed that its data is the same.
A key of an image is 48 bits: 16 of a hash of its size in bytes, then 32 of a hash of its bytes. So
the least keys of a large set are those of images of some sizes, and only these need to be read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mobilenets.card import TrainedOn
from mobilenets.data.contents.hashes import (
    Source,
    bytes_of,
    keys_of,
    prefix_of,
    short_hash,
    size_of,
)
from mobilenets.data.dataset import Dataset
from mobilenets.errors import DataError

LOOKED_AT = 1000
"""Targets that are hashed of a data set that has no `labels_digest`."""


@dataclass(frozen=True)
class SeenBefore:
    """How many of the images at hand a network was trained on."""

    images: int
    """All that are asked about."""
    known: int
    """Of these, those whose keys tell: all, or a sample of them."""
    hits: int
    """Of the known ones, those that it was trained on."""

    @property
    def exact(self) -> bool:
        """Whether every image could be looked up."""
        return self.known == self.images

    @property
    def trained_on(self) -> int:
        """How many it was trained on: counted, or estimated from the known ones."""
        return self.hits if self.exact else round(self.images * self.hits / max(self.known, 1))

    def to_json(self) -> dict[str, Any]:
        """For programs: `images` of those measured, and whether that was counted."""
        return {"images": self.trained_on, "exact": self.exact}


class Contents:
    """The images of a data set: their sizes in bytes, and the keys of a sample of them.

    What an image is, its data set says by an optional method `source(i)`: a file's path, or bytes
    that stand for it. Where it has none its pixels are taken, and of more images than a card keeps
    keys of nothing is known.
    """

    def __init__(self, dataset: Dataset) -> None:
        count, most = len(dataset), TrainedOn.MOST
        sources = sources_of(dataset, range(count)) or []
        self.sizes = [size_of(source) for source in sources]
        prefixes = [prefix_of(size) for size in self.sizes]
        bound = sorted(prefixes)[most - 1] if len(prefixes) > most else None
        sample = [s for s, p in zip(sources, prefixes, strict=True) if bound is None or p <= bound]
        self.keys = [key for key in keys_of(sample) if key is not None]
        below = None if bound is None else (bound + 1) << 32
        self.trained_on = TrainedOn.of(count, self.keys, below) if sources else None
        """What a checkpoint says of them; None where nothing is known."""

    def digest(self) -> str:
        """A hash of all sizes in their order, and of the sample's contents."""
        numbers = np.array([len(self.sizes), *self.sizes, *self.keys], np.int64)
        return short_hash(numbers.tobytes())


def count_trained_on(
    trained_on: TrainedOn | None, dataset: Dataset, indices: Sequence[int]
) -> SeenBefore | None:
    """How many of some images of a data set are among those that a network was trained on.

    Only files are read whose size is that of one of them. None where nothing is known.
    """
    sources = sources_of(dataset, indices) if trained_on is not None else None
    if trained_on is None or sources is None:
        return None
    keys, every = trained_on.numbers(), trained_on.below is None
    least_sizes = {key >> 32 for key in keys}
    bound = trained_on.below or 1 << 48
    known, unsure = 0, []
    for source in sources:
        prefix = prefix_of(size_of(source))
        if prefix in least_sizes or prefix == bound >> 32:
            unsure.append(source)
        else:
            known += every or prefix < bound >> 32
    found = keys_of(unsure)
    known += sum(every if key is None else key < bound for key in found)
    return SeenBefore(len(sources), known, sum(key in keys for key in found))


def labels_digest(dataset: Dataset) -> str:
    """A hash of what is known of the images, by the data set's own method of this name.

    Where it has none, of the targets of at most `LOOKED_AT` images, evenly over the data.
    """
    own = getattr(type(dataset), "labels_digest", None)
    if own is not None:
        return str(own(dataset))
    count = min(len(dataset), LOOKED_AT)
    return short_hash(*(target_of(dataset, k * len(dataset) // count) for k in range(count)))


def target_of(dataset: Dataset, i: int) -> bytes:
    """What is known of an image; of one whose file is damaged, what is said of that."""
    try:
        return bytes_of(dataset.target(i))
    except DataError as error:
        return str(error).encode(errors="surrogateescape")


def sources_of(dataset: Dataset, indices: Sequence[int]) -> list[Source] | None:
    """What tells each image from all others; None where that would be to read too many."""
    own = getattr(type(dataset), "source", None)
    if own is not None:
        return [own(dataset, i) for i in indices]
    if len(indices) > TrainedOn.MOST:
        return None
    return [pixels_of(dataset, i) for i in indices]


def pixels_of(dataset: Dataset, i: int) -> bytes:
    """An image's size and pixels; nothing of one that cannot be read."""
    try:
        image = dataset.image(i)
    except DataError:
        return b""
    return np.array(image.size, np.int64).tobytes() + image.tobytes()
