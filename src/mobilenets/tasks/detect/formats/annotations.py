"""What COCO JSON, VOC XML and YOLO text have in common, and the data set that is made of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mobilenets.data.contents.hashes import short_hash
from mobilenets.data.files import ImagesOnDisk
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import Part, alike, count, few
from mobilenets.data.paths import is_file
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import SIDEWAYS, Header, read_header
from mobilenets.tasks.detect.formats.boxes import Boxes, BoxTable, Cleaner
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.formats.problems import KINDS

Sizes = NDArray[np.int64]


@dataclass
class Annotations:
    """All that is on disk, before a split is chosen and before the images are looked at."""

    kind: str
    """`COCO JSON`, `VOC XML` or `YOLO text`."""
    root: Path
    files: list[str]
    """The images, relative to the root, with `/`."""
    parts: list[Part]
    """Of each image; '' where the data does not say."""
    sizes: Sizes
    """(images, 2): width and height in which the boxes are measured; 0: the image's own."""
    table: BoxTable
    """Every object; `labels` are places in `words`."""
    words: list[str]
    """What the files call the classes, declared or not."""
    classes: tuple[str, ...]
    """The data set's classes in their order: those of the train part where there is one."""
    problems: Problems
    notes: list[str] = field(default_factory=list)
    named: bool = True
    """False where the data has no names for its classes, only numbers."""
    shares: bool = False
    """Whether boxes are shares of the upright image's sides, not pixels."""
    labels: list[str] = field(default_factory=list)
    """The files with boxes, lists and names that were read, relative to the root."""
    left: dict[str, str] = field(default_factory=dict)
    """A folder -> why its other images are left out, in words that follow `images`."""


@dataclass(frozen=True, eq=False)
class AnnotatedImages(ImagesOnDisk):
    """Images on disk with their objects; implements `ObjectDataset`."""

    table: BoxTable
    """Every object, by image."""

    def labels_digest(self) -> str:
        """A hash of every object."""
        return short_hash(*(np.ascontiguousarray(column).tobytes() for column in self.table))

    def target(self, i: int) -> Objects:
        """The objects of picture i, in pixels of the upright image."""
        i = range(len(self))[i]
        start, end = np.searchsorted(self.table.image, [i, i + 1])
        rows = self.table.take(np.arange(start, end))
        return Objects(
            rows.boxes.astype(np.float32),
            rows.labels,
            rows.crowd,
            rows.difficult,
            rows.areas.astype(np.float32),
        )


def gather(found: Annotations, images: Sequence[int], split: str) -> AnnotatedImages:
    """The data set of some of the images, by their numbers; `split` is for messages.

    The images' headers are read: those that cannot be used are left out and named, boxes are
    brought to pixels of the upright image, and those that cannot be used are left out, counted.
    DataError where no image is left, or no object to train on.
    """
    problems = Problems(KINDS)
    headers = _read_headers(found, images, problems)
    if not headers:
        why = "; ".join(problem.sentence for problem in problems.list())
        raise DataError(f"{found.root}: no images for {split} that can be used: {why}")
    kept = np.array(list(headers))
    place = np.full(len(found.files), -1)
    place[kept] = np.arange(len(kept))
    table = found.table.take(place[found.table.image] >= 0)
    table = table._replace(image=place[table.image])
    files = tuple(found.files[i] for i in headers)
    sizes = np.array([header.size for header in headers.values()])
    cleaner = Cleaner(table, files, problems)
    cleaner.relabel(found.words, found.classes)
    _to_upright(cleaner, found.sizes[kept], list(headers.values()), shares=found.shares)
    cleaner.check_boxes(sizes)
    table = cleaner.table
    if split == "train" and not len(table.image):
        why = "".join(f"; {p.sentence}" for p in [*found.problems.list(), *problems.list()])
        raise DataError(f"{found.root}: no objects in {count(len(files), 'image', 'images')}{why}")
    objects = np.bincount(table.image, minlength=len(files))
    problems.add("no objects", [files[i] for i in np.flatnonzero(objects == 0).tolist()])
    every = [*found.problems.list(), *problems.list()]
    notes = [
        *found.notes,
        *alike(found.classes),
        *_absent(found.classes, table, split),
        *(p.sentence for p in every),
    ]
    return AnnotatedImages(
        found.kind,
        found.root,
        found.classes,
        found.named,
        files,
        sizes,
        notes,
        every,
        table,
        taken=Taken(found.root, frozenset(found.files), frozenset(found.labels), found.left),
    )


def _read_headers(
    found: Annotations, images: Sequence[int], problems: Problems
) -> dict[int, Header]:
    headers = {}
    for i in images:
        path = found.root / found.files[i]
        try:
            header = read_header(path)
        except DataError:
            kind = "unreadable" if is_file(path) else "missing"
            problems.add(kind, [found.files[i]])
            continue
        if min(header.size) < 2:
            problems.add("narrow", [found.files[i]])
        else:
            headers[i] = header
    return headers


def _to_upright(cleaner: Cleaner, said: Sizes, headers: Sequence[Header], *, shares: bool) -> None:
    """Bring boxes to pixels of the upright images, by the sizes in which they were measured.

    Where the size that was said is the upright image's, or none was said, they are. Where it is
    that of the picture as it is stored and EXIF turns it, the boxes are turned with it. Sides
    that are swapped without EXIF are a slip of the pen. Any other size is a scale.
    """
    table = cleaner.table
    sizes = np.array([header.size for header in headers])
    if shares:
        cleaner.table = table._replace(boxes=table.boxes * np.tile(sizes, 2)[table.image])
        return
    differs = (said > 0).all(1) & (said != sizes).any(1)
    reversed_ = differs & (said == sizes[:, ::-1]).all(1)
    sideways = reversed_ & [header.turn in SIDEWAYS for header in headers]
    scaled = differs & ~reversed_
    for kind, which in (
        ("turned", sideways),
        ("swapped", reversed_ & ~sideways),
        ("scaled", scaled),
    ):
        cleaner.problems.add(kind, [cleaner.files[i] for i in np.flatnonzero(which).tolist()])
    scale = np.where(scaled[:, None], sizes / np.where(said > 0, said, 1), 1.0)  # (images, 2)
    boxes = table.boxes * np.tile(scale, 2)[table.image]
    for turn in SIDEWAYS:
        which = sideways & [header.turn == turn for header in headers]
        rows = which[table.image]
        boxes[rows] = turn_boxes(boxes[rows], said[table.image[rows]], turn)
    areas = table.areas * scale.prod(1)[table.image]
    cleaner.table = table._replace(boxes=boxes, areas=areas)


def turn_boxes(boxes: Boxes, sizes: Sizes, turn: Image.Transpose) -> Boxes:
    """(n, 4) in stored pictures of (n, 2: width, height) -> in those pictures turned sideways."""
    left, top, right, bottom = boxes.T
    width, height = sizes.T
    # The axes change places; then one or both run the other way.
    if turn in (Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE):
        top, bottom = height - bottom, height - top
    if turn in (Image.Transpose.ROTATE_90, Image.Transpose.TRANSVERSE):
        left, right = width - right, width - left
    return np.stack([top, left, bottom, right], 1)


def _absent(classes: Sequence[str], table: BoxTable, split: str) -> list[str]:
    present = np.bincount(table.labels, minlength=len(classes)) > 0
    absent = [name for name, there in zip(classes, present, strict=True) if not there]
    what = count(len(absent), "class has", "classes have")
    return [f"{what} no objects in {split}: {few(absent)}"] if absent else []
