"""The part that a folder or a file of labels is for, by its name."""

import re
from collections.abc import Iterable

from mobilenets.data.listing import Part, part_named

_NEUTRAL = {
    *("image", "images", "img", "imgs", "jpg", "data", "dataset", "set", "split", "obj", "photos"),
    *("label", "labels", "annotation", "annotations", "ann", "anns", "xml", "xmls", "json", "csv"),
    *("yolo", "coco", "voc", "bbox", "boxes", "instances", ""),
}
"""Words beside a part's that say nothing else: `train_images`, `obj_train_data`."""


def part_in(name: str) -> Part:
    """The part that some word of a name says, as in `instances_train2017`; '' for none."""
    words = re.split(r"[\W_\d]+", name)
    return next((part for word in words if (part := part_named(word))), "")


def folder_part(name: str) -> Part:
    """The part that a folder is for: `train`, `train2017`, `train_images`; '' for none.

    `crash_test` is none: its other word says what the folder is of.
    """
    words = re.split(r"[\W_\d]+", name)
    if all(part_named(word) or word.casefold() in _NEUTRAL for word in words):
        return part_in(name)
    return ""


def path_part(folders: Iterable[str]) -> Part:
    """The part of the first folder that says one."""
    return next((part for name in folders if (part := folder_part(name))), "")
