"""What is wrong with data of boxes or masks: counted and named, nothing lost in silence."""

from collections.abc import Iterable
from dataclasses import dataclass

from mobilenets.data.listing import count, few, one_line

KINDS: dict[str, tuple[str, str]] = {
    "broken": ("annotation file is broken, left out", "annotation files are broken, left out"),
    "missing": ("image is not on the disk, left out", "images are not on the disk, left out"),
    "unreadable": ("image cannot be opened, left out", "images cannot be opened, left out"),
    "narrow": (
        "image is one pixel wide or high, left out",
        "images are one pixel wide or high, left out",
    ),
    "unlisted": (
        "annotation file is in none of the lists of images, left out",
        "annotation files are in none of the lists of images, left out",
    ),
    "absent": (
        "name in the lists of images has no annotation file, left out",
        "names in the lists of images have no annotation file, left out",
    ),
    "overlap": (
        "image is in two parts, kept in the later of train, val and test",
        "images are in two parts, kept in the later of train, val and test",
    ),
    "repeated": (
        "image is listed more than once, its objects are taken together",
        "images are listed more than once, their objects are taken together",
    ),
    "unlabelled": (
        "image has no annotation file, left out",
        "images have no annotation file, left out",
    ),
    "no file": (
        "image has no label file, taken as without objects",
        "images have no label file, taken as without objects",
    ),
    "stray": ("label file has no image", "label files have no image"),
    "bad image": (
        "image entry has no id and file name of its own, left out",
        "image entries have no id and file name of their own, left out",
    ),
    "malformed": (
        "object has no class and box of four numbers, left out",
        "objects have no class and box of four numbers, left out",
    ),
    "orphan": (
        "object is of an image that is not listed, left out",
        "objects are of images that are not listed, left out",
    ),
    "unknown class": (
        "object is of a class that the training data does not declare, left out",
        "objects are of classes that the training data does not declare, left out",
    ),
    "not finite": (
        "box has a number that is not finite, left out",
        "boxes have numbers that are not finite, left out",
    ),
    "inverted": (
        "box ends before it begins, left out",
        "boxes end before they begin, left out",
    ),
    "empty": ("box has no area, left out", "boxes have no area, left out"),
    "outside": (
        "box lies outside its image, left out",
        "boxes lie outside their image, left out",
    ),
    "clipped": (
        "box lies partly outside its image, clipped",
        "boxes lie partly outside their image, clipped",
    ),
    "duplicate": (
        "object is there twice with the same class and box, kept once",
        "objects are there again with the same class and box, kept once",
    ),
    "polygon": (
        "object is an outline, its bounding box is used",
        "objects are outlines, their bounding boxes are used",
    ),
    "turned": (
        "image was annotated as it is stored, its boxes are turned upright",
        "images were annotated as they are stored, their boxes are turned upright",
    ),
    "swapped": (
        "image has width and height swapped in its annotation, the boxes are kept as they are",
        "images have width and height swapped in their annotation, the boxes are kept as they are",
    ),
    "scaled": (
        "image was annotated at another size, its boxes are scaled",
        "images were annotated at another size, their boxes are scaled",
    ),
    "no objects": ("image has no objects", "images have no objects"),
    "same name": (
        "image has the name of another, from which its mask cannot be told, left out",
        "images have the names of others, from which their masks cannot be told, left out",
    ),
    "no mask": ("image has no mask, left out", "images have no mask, left out"),
    "stray mask": ("mask has no image", "masks have no image"),
    "bad mask": (
        "mask cannot be used, left out with its image",
        "masks cannot be used, left out with their images",
    ),
    "other size": (
        "mask has another size than its image, left out with it",
        "masks have other sizes than their images, left out with them",
    ),
    "all void": (
        "mask is void everywhere, left out with its image",
        "masks are void everywhere, left out with their images",
    ),
    "out of range": (
        "mask has ids that are no class, which are taken as void",
        "masks have ids that are no class, which are taken as void",
    ),
    "storage": (
        "mask is stored in another way than most, its values are taken as ids all the same",
        "masks are stored in another way than most, their values are taken as ids all the same",
    ),
    "mask turned": (
        "mask lies as its image is stored, turned upright with it",
        "masks lie as their images are stored, turned upright with them",
    ),
    "turn unsure": (
        "image is turned by EXIF and its mask fits both ways, taken as upright",
        "images are turned by EXIF and their masks fit both ways, taken as upright",
    ),
}
"""A kind and its sentence for one and for many, in the order in which they are told."""


@dataclass(frozen=True)
class Problem:
    """One kind of thing that was found."""

    kind: str
    """One of `KINDS`."""
    count: int
    names: tuple[str, ...]
    """The images, files or classes concerned, each once."""

    @property
    def sentence(self) -> str:
        """What, how many, and the first names, in one line."""
        text = count(self.count, *KINDS[self.kind])
        return one_line(f"{text}: {few(self.names)}") if self.names else text


class Problems:
    """Collects what is found while a data set is read."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}

    def add(self, kind: str, names: Iterable[str], number: int | None = None) -> None:
        """Count `number` more of `kind`, or as many as there are names."""
        names = list(names)
        number = len(names) if number is None else number
        if number:
            self._counts[kind] = self._counts.get(kind, 0) + number
            self._names[kind].update(dict.fromkeys(names))

    def list(self) -> list[Problem]:
        """All of them, in the order of `KINDS`."""
        return [
            Problem(kind, self._counts[kind], tuple(names))
            for kind, names in self._names.items()
            if kind in self._counts
        ]
