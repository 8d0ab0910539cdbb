"""Images with masks, each looked at once, and the data set that is made of them."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.data.contents.hashes import short_hash
from mobilenets.data.files import ImagesOnDisk
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import count, few
from mobilenets.data.problems import Problem, Problems
from mobilenets.errors import DataError
from mobilenets.processors import processors
from mobilenets.runtime.images import SIDEWAYS, Header, read_header
from mobilenets.tasks.segment.formats.colours import ColourMap
from mobilenets.tasks.segment.formats.files import Pairs
from mobilenets.tasks.segment.formats.masks import BLURRED, Storage, has_voc_colours, read_mask
from mobilenets.tasks.segment.formats.names import Naming
from mobilenets.tasks.segment.formats.problems import KINDS

Turn = Image.Transpose


class Look(NamedTuple):
    """What is known of an image and its mask."""

    wrong: str = ""
    """A kind of problem for which the pair is left out."""
    why: str = ""
    size: tuple[int, int] = (0, 0)
    """(width, height) of the upright image."""
    turn: Turn | None = None
    """What makes the mask upright; None where it is."""
    unsure: bool = False
    """Whether EXIF turns the image and the mask's size does not say how the mask lies."""
    storage: Storage = "grey"
    is_voc: bool = False
    ids: NDArray[np.uint16] = np.zeros(0, np.uint16)
    """What the mask's file has, sorted."""
    counts: NDArray[np.int64] = np.zeros(0, np.int64)
    """Pixels of each of `ids`."""
    digest: bytes = b""
    """A hash of the mask's ids, each in its place."""


@dataclass(frozen=True, eq=False)
class MaskedImages(ImagesOnDisk):
    """Images on disk with their masks; implements `MaskDataset`."""

    masks: tuple[str, ...]
    """One for each image, relative to the root."""
    turns: tuple[Turn | None, ...]
    """What makes each mask upright."""
    table: NDArray[np.uint8]
    """(65536,): id in a mask -> class, or 255."""
    counted: NDArray[np.int64]
    """(images, classes + 1): pixels of each class in each image, void last."""
    digests: tuple[bytes, ...]
    """Of each mask, a hash of its ids."""
    colours: ColourMap | None = None
    """The classes' colours, where masks are read by them."""

    def without(self, left: Mapping[str, str], problems: Sequence[Problem]) -> "MaskedImages":
        """The same, where other parts' images are left out for a reason, and problems of theirs."""
        if not left or self.taken is None:
            return self
        return replace(
            self,
            taken=replace(self.taken, left={**self.taken.left, **left}),
            problems=[*self.problems, *problems],
            notes=[*self.notes, *(problem.sentence for problem in problems)],
        )

    def target(self, i: int) -> NDArray[np.uint8]:
        """(H, W) of the upright picture: the class of each pixel, 255 for void."""
        path = self.root / self.masks[i]
        target = self.table[read_mask(path, self.colours, blurred=True).ids]
        turn = self.turns[i]
        if turn is not None:
            target = np.asarray(Image.fromarray(target).transpose(turn))
        if target.shape != self.image_size(i)[::-1]:
            raise DataError(f"{path}: it has changed since the data was opened")
        return target

    def labels_digest(self) -> str:
        """A hash of every mask, and of what its ids mean."""
        return short_hash(self.table.tobytes(), *self.digests)

    def pixels_of(self, i: int) -> NDArray[np.int64]:
        """(classes + 1,): pixels of each class in a picture; the last is void."""
        return np.asarray(self.counted[i])

    def pixels(self) -> NDArray[np.int64]:
        """(classes + 1,): pixels of each class in all pictures; the last is void."""
        return np.asarray(self.counted.sum(0))


def look_at(found: Pairs, images: Sequence[int]) -> list[Look]:
    """Read the masks of some images, by their numbers, and the images' headers.

    A process looks at a file once: what was seen is kept until the file changes.
    """

    def one(i: int) -> Look:
        return _look(found.root / found.files[i], found.root / found.masks[i], found.colours)

    with ThreadPoolExecutor(processors()) as pool:
        return list(pool.map(one, images))


def _look(image: Path, mask: Path, colours: ColourMap | None) -> Look:
    stamps = []
    for path, wrong in ((image, "missing"), (mask, "bad mask")):
        try:
            stat = path.stat()
        except OSError as error:  # a link to nowhere
            return Look(wrong, error.strerror or "")
        stamps.append((stat.st_mtime_ns, stat.st_size))
    return _looked(image, mask, tuple(stamps), colours)


@lru_cache(maxsize=2**17)
def _looked(
    image: Path, mask: Path, stamps: tuple[tuple[int, int], ...], colours: ColourMap | None
) -> Look:
    try:
        header = read_header(image)
    except DataError:
        return Look("unreadable")
    try:
        return _read(header, mask, colours)
    except DataError as error:
        return Look("bad mask", str(error).removeprefix(f"{mask}: "))


def _read(header: Header, path: Path, colours: ColourMap | None) -> Look:
    size = read_header(path).size
    stored = header.size[::-1] if header.turn in SIDEWAYS else header.size
    if size not in (header.size, stored):
        said = " instead of ".join(f"{width} x {height}" for width, height in (size, header.size))
        return Look("other size", said)
    mask = read_mask(path, colours, blurred=True)
    counts = np.bincount(mask.ids.ravel())
    ids = np.flatnonzero(counts)
    return Look(
        size=header.size,
        turn=None if size == header.size else header.turn,
        unsure=header.turn is not None and header.size == stored,
        storage=mask.storage,
        is_voc=has_voc_colours(mask.palette, ids),
        ids=ids.astype(np.uint16),
        counts=counts[ids],
        digest=hashlib.blake2b(mask.ids.tobytes(), digest_size=8).digest(),
    )


def usable(
    found: Pairs, images: Sequence[int], looks: Sequence[Look], problems: Problems, split: str
) -> dict[int, Look]:
    """The pairs that can be used, by number; the others are named. DataError where none can."""
    for i, look in zip(images, looks, strict=True):
        if look.wrong:
            file = (found.masks if look.wrong in ("bad mask", "other size") else found.files)[i]
            problems.add(look.wrong, [f"{file} ({look.why})" if look.why else file])
    kept = {i: look for i, look in zip(images, looks, strict=True) if not look.wrong}
    if not kept:
        raise _nothing_left(found, problems, split)
    return kept


def _nothing_left(found: Pairs, problems: Problems, split: str) -> DataError:
    why = "; ".join(problem.sentence for problem in [*found.problems.list(), *problems.list()])
    return DataError(f"{found.root}: no images for {split} that can be used: {why}")


def gather(
    found: Pairs, images: Sequence[int], looks: Sequence[Look], naming: Naming, split: str
) -> MaskedImages:
    """The data set of some of the images, by their numbers; `split` is for messages.

    Pairs that cannot be used are left out and named. DataError where none is left.
    """
    problems = Problems(KINDS)
    kept = usable(found, images, looks, problems, split)
    counts = {i: _by_class(look, naming) for i, look in kept.items()}
    blurred = [i for i in kept if kept[i].storage == "JPEG" and not naming.halves]
    problems.add("bad mask", [f"{found.masks[i]} ({BLURRED})" for i in blurred])
    for i in blurred:
        del kept[i]
    void = [i for i in kept if not counts[i][:-1].any()]
    problems.add("all void", [found.masks[i] for i in void])
    for i in void:
        del kept[i]
    _tell(found, kept, naming, problems)
    if not kept:
        raise _nothing_left(found, problems, split)
    counted = np.stack([counts[i] for i in kept])
    _check_several(found, naming, counted, split)
    every = [*found.problems.list(), *problems.list()]
    absent = _absent(naming.classes, counted, split)
    return MaskedImages(
        kind=found.kind,
        root=found.root,
        classes=naming.classes,
        named=naming.named,
        files=tuple(found.files[i] for i in kept),
        sizes=np.array([look.size for look in kept.values()]),
        notes=[*found.notes, *naming.notes, *absent, *(problem.sentence for problem in every)],
        problems=every,
        masks=tuple(found.masks[i] for i in kept),
        turns=tuple(look.turn for look in kept.values()),
        table=naming.table,
        counted=counted,
        digests=tuple(look.digest for look in kept.values()),
        colours=found.colours,
        taken=Taken(
            found.root,
            frozenset(found.files),
            frozenset([*found.masks, *found.lists, *naming.files]),
            {
                **found.left,
                **{found.files[i]: "whose mask cannot be used" for i in images if i not in kept},
            },
        ),
    )


def _check_several(found: Pairs, naming: Naming, counted: NDArray[np.int64], split: str) -> None:
    """DataError where masks for training have pixels of one class alone: nothing can be learned."""
    there = np.flatnonzero(counted.sum(0)[:-1])
    if split == "train" and len(there) == 1:
        share = counted[:, -1].sum() / counted.sum()
        raise DataError(
            f"{found.root}: every pixel of the masks for training is {naming.classes[there[0]]} or "
            f"void ({share:.0%}); the classes are {few(naming.classes)}"
        )


def _by_class(look: Look, naming: Naming) -> NDArray[np.int64]:
    """(classes + 1,): pixels of each class, the last of void."""
    classes = len(naming.classes)
    place = np.minimum(naming.table[look.ids], classes)
    counts = np.zeros(classes + 1, np.int64)
    np.add.at(counts, place, look.counts)
    return counts


def _tell(found: Pairs, kept: Mapping[int, Look], naming: Naming, problems: Problems) -> None:
    """What is odd in masks that are used."""
    storages = Counter(look.storage for look in kept.values())
    usual = max(storages, key=storages.__getitem__, default="grey")
    for i, look in kept.items():
        strange = [str(one) for one in look.ids.tolist() if one not in naming.known]
        if strange:
            what = f"id {strange[0]}" if len(strange) == 1 else f"ids {few(strange, 3)}"
            problems.add("out of range", [f"{found.masks[i]} ({what})"])
        if look.storage != usual:
            problems.add("storage", [f"{found.masks[i]} ({look.storage}, not {usual})"])
        if min(look.size) < 2:
            problems.add("narrow", [found.files[i]])
        if look.turn is not None:
            problems.add("mask turned", [found.masks[i]])
        if look.unsure:
            problems.add("turn unsure", [found.files[i]])


def _absent(classes: Sequence[str], counted: NDArray[np.int64], split: str) -> list[str]:
    pixels = counted.sum(0).tolist()[:-1]
    absent = [name for name, number in zip(classes, pixels, strict=True) if not number]
    what = count(len(absent), "class has", "classes have")
    return [f"{what} no pixels in {split}: {few(absent)}"] if absent else []
