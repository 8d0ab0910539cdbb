"""COCO's annotations, taken from the JSON parser one by one as numbers."""

import math
from array import array
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mobilenets.data.listing import count, one_line
from mobilenets.tasks.detect.formats.boxes import Boxes, BoxTable
from mobilenets.tasks.detect.formats.coco.entries import same_id
from mobilenets.tasks.detect.formats.coco.outlines import box_around

_KEYS = {"bbox", "category_id", "segmentation"}
"""What tells an annotation, beside its image's id."""
TAKEN = object()
"""What stands in a list of annotations for one that was taken."""


@dataclass
class Columns:
    """The annotations of a file; no object of it outlives its parsing.

    Ids of images and of categories are numbered as they appear, in the form of `same_id`.
    """

    images: dict[Hashable, int] = field(default_factory=dict)
    categories: dict[Hashable, int] = field(default_factory=dict)
    image: "array[int]" = field(default_factory=lambda: array("q"))
    label: "array[int]" = field(default_factory=lambda: array("q"))
    box: "array[float]" = field(default_factory=lambda: array("d"))
    area: "array[float]" = field(default_factory=lambda: array("d"))
    crowd: "array[int]" = field(default_factory=lambda: array("b"))
    malformed: list[str] = field(default_factory=list)
    outlines: int = 0
    """Objects without a box of their own, of which the outline's is used."""

    def __call__(self, value: dict[str, Any]) -> Any:
        """An object of the JSON file: as it is, or `TAKEN` where it is an annotation."""
        if "image_id" not in value or not _KEYS & value.keys():
            return value  # an image may have its own id twice
        try:
            self._add(value)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError):
            self.malformed.append(one_line(f"annotation {value.get('id', '?')}")[:40])
        return TAKEN

    def _add(self, value: dict[str, Any]) -> None:
        ids = same_id(value["category_id"]), same_id(value["image_id"])
        if None in ids:
            raise TypeError("an id is null")
        corners = self._corners(value)
        area = value.get("area")
        label = self.categories.setdefault(ids[0], len(self.categories))
        image = self.images.setdefault(ids[1], len(self.images))
        self.label.append(label)
        self.image.append(image)
        self.box.extend(corners)
        self.area.append(_number(area) if isinstance(area, int | float) else math.nan)
        self.crowd.append(value.get("iscrowd") in (1, True, "1"))

    def _corners(self, value: dict[str, Any]) -> Sequence[float]:
        said = value.get("bbox")
        if isinstance(said, str):
            said = said.strip("[]() ").replace(",", " ").split()
        if not said or (value.get("segmentation") and not any(map(_number, said))):
            around = box_around(value["segmentation"])
            if around is None:
                raise ValueError("neither box nor outline")
            self.outlines += 1
            return around
        x, y, width, height = map(_number, said)
        return x, y, x + width, y + height

    def table(self) -> BoxTable:
        """All objects; images and labels are numbers in the order of appearance."""
        return BoxTable.of(
            np.asarray(self.image, np.int64),
            np.asarray(self.box),
            np.asarray(self.label, np.int64),
            crowd=np.asarray(self.crowd, bool),
            areas=np.asarray(self.area),
        )


def _number(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:  # a whole number beyond 1e308
        return math.inf


def as_written(boxes: Boxes, sizes: Boxes, name: str) -> tuple[Boxes, list[str]]:
    """(n, 4) corners of what was read as x, y, width, height, put right where that cannot be.

    `sizes` are (n, 2): width and height of each box's image, 0 where not said. Boxes that are
    corners themselves, or shares of the image's sides, are seen by all of them together: half of
    them would reach over their image's edge, or none would be a pixel wide.
    """
    known = np.flatnonzero((sizes > 0).all(axis=1) & np.isfinite(boxes).all(axis=1))
    if not len(known):
        return boxes, []
    some, most = boxes[known], np.tile(sizes[known], 2)
    first, second = some[:, :2], some[:, 2:] - some[:, :2]  # as they stand in the file
    what = count(len(some), "box", "boxes")
    if (most >= 16).all() and (second > 0).all() and (first >= 0).all() and (some <= 1.01).all():
        note = f"{name}: its {what} are shares of the images' sides, not pixels as in COCO"
        return boxes * np.tile(np.where(sizes > 0, sizes, 1), 2), [note]
    reach = int(np.any(some > most + 1, axis=1).sum())
    corners = (second > first).all() and (second <= most[:, :2] + 1).all() and (first >= 0).all()
    if corners and 2 * reach >= len(some) and len(some) > 1:
        ours = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
        note = f"{name}: its {what} are taken as x1, y1, x2, y2: as x, y, width, height most would "
        return ours, [f"{note}reach over their image's edge"]
    return boxes, []
