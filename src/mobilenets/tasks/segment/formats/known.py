"""Public data sets whose masks are known by their files' names: CamVid and Cityscapes."""

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mobilenets.errors import DataError
from mobilenets.tasks.segment.formats.colours import Colour, ColourMap, find_colours
from mobilenets.tasks.segment.formats.masks import read_mask

CAMVID_NAMES = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign symbol", "fence", "car"),
    *("pedestrian", "bicyclist"),
)
"""Badrinarayanan et al., the SegNet tutorial's 11 classes of CamVid; id 11 is void."""
_CAMVID_FILE = re.compile(r"(0001TP|0006R0|0016E5|Seq05VD)_")
_CITYSCAPES_MASK = re.compile(r"_gt(?:Fine|Coarse)_(labelTrainIds|labelIds|color)\.")


class _City(NamedTuple):
    name: str
    id: int
    """In labelIds; its place in the list is the one in labelTrainIds."""
    colour: Colour


_CITY = (
    _City("road", 7, (128, 64, 128)),
    _City("sidewalk", 8, (244, 35, 232)),
    _City("building", 11, (70, 70, 70)),
    _City("wall", 12, (102, 102, 156)),
    _City("fence", 13, (190, 153, 153)),
    _City("pole", 17, (153, 153, 153)),
    _City("traffic light", 19, (250, 170, 30)),
    _City("traffic sign", 20, (220, 220, 0)),
    _City("vegetation", 21, (107, 142, 35)),
    _City("terrain", 22, (152, 251, 152)),
    _City("sky", 23, (70, 130, 180)),
    _City("person", 24, (220, 20, 60)),
    _City("rider", 25, (255, 0, 0)),
    _City("car", 26, (0, 0, 142)),
    _City("truck", 27, (0, 0, 70)),
    _City("bus", 28, (0, 60, 100)),
    _City("train", 31, (0, 80, 100)),
    _City("motorcycle", 32, (0, 0, 230)),
    _City("bicycle", 33, (119, 11, 32)),
)
"""The 19 classes that Cityscapes measures, in the order of their train ids (its `labels.py`)."""
_NOT_MEASURED: tuple[Colour, ...] = (
    *((0, 0, 0), (111, 74, 0), (81, 0, 81), (250, 170, 160), (230, 150, 140), (180, 165, 180)),
    *((150, 100, 100), (150, 120, 90), (0, 0, 90), (0, 0, 110)),
)
"""Colours of its other labels: void, as the benchmark has it."""


class Known(NamedTuple):
    """The names of a public data set's classes."""

    names: dict[int, str]
    """By the ids in its masks, void among them."""
    note: str


def known_names(files: Sequence[str], masks: Sequence[str], most: int) -> Known | None:
    """The names of Cityscapes' or CamVid's classes, where the files are called as theirs.

    `most` is the greatest id but 255 in the masks for training. None for other data.
    """
    kinds = {found[1] if (found := _CITYSCAPES_MASK.search(mask)) else "" for mask in masks}
    if len(kinds) == 1 and "" not in kinds:
        kind = kinds.pop()
        ids = {one.id if kind == "labelIds" else i: one.name for i, one in enumerate(_CITY)}
        other = {i: "void" for i in range(35 if kind == "labelIds" else 21) if i not in ids}
        note = f"masks are Cityscapes' {kind}: its {len(_CITY)} classes, and void for other ids"
        return Known({**ids, **other}, note)
    frames = all(_CAMVID_FILE.match(PurePosixPath(file).name) for file in files)
    if frames and most <= len(CAMVID_NAMES):
        note = (
            f"file names and ids are those of CamVid as the SegNet tutorial has it: its "
            f"{len(CAMVID_NAMES)} names are taken, and id {len(CAMVID_NAMES)} as void"
        )
        return Known(dict(enumerate((*CAMVID_NAMES, "void"))), note)
    return None


def colours_for(root: Path, masks: Sequence[str]) -> ColourMap | None:
    """The colours by which masks are read: Cityscapes', or those of a file beside them.

    None where masks are in none, or hold numbers: a file of colours only names those then.
    """
    found = [_CITYSCAPES_MASK.search(mask) for mask in masks]
    if found and all(one is not None and one[1] == "color" for one in found):
        void = ("void",) * len(_NOT_MEASURED)
        names, colours = zip(*((one.name, one.colour) for one in _CITY), strict=True)
        return ColourMap("Cityscapes", (*names, *void), (*colours, *_NOT_MEASURED))
    by_file = find_colours(root)
    return by_file if by_file and any(_fits(root / one, by_file) for one in masks[:9]) else None


def _fits(path: Path, colours: ColourMap) -> bool:
    """Whether a mask is in these colours, or in others but not in numbers."""
    try:
        return read_mask(path, colours).by_colours
    except DataError:
        try:
            read_mask(path)
        except DataError as error:
            return "in colours" in str(error)
        return False
