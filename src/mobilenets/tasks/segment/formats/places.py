"""Where a file of a data set with masks lies: its folder, its part, and what its pair shares.

A pair has a key in common: the part and the rest of the path without the words that say what a
file is. Three readings of a path are tried, see `Reading`.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Literal, NamedTuple, get_args

from mobilenets.data.listing import Part, part_named
from mobilenets.runtime.images import SUFFIXES
from mobilenets.runtime.kinds import suffix_of

MASKS = re.compile(
    r"mask|label|annot|segment|stuffthing|pixelmap|panoptic|trimap|(^|[/_-])(segs?|segmaps?|gts?)(?![a-z])"
    r"|gtfine|gtcoarse|groundtruth|ground.truth"
)
IMAGES = re.compile(r"image|img|photo|picture")
_WORDS = (
    *("mask", "masks", "seg", "segmentation", "label", "labels", "lbl", "gt", "annot", "L", "P"),
)
ENDINGS = tuple(f"{before}{word}" for word in _WORDS for before in "_-")
"""What a mask's name may have behind its image's; of CamVid's and Oxford's, a letter."""
SURE_ENDINGS = ENDINGS[:-4]
"""Those that make a mask of a file that lies beside its image."""
_IMAGE_ENDINGS = ("_leftImg8bit", "_sat", "_image", "_img", "_rgb", "_0000")
"""What an image's name may have behind it, as in Cityscapes, DeepGlobe and nnU-Net."""
_CITYSCAPES = re.compile(r"(.+)_gt(?:Fine|Coarse)_(\w+)$")
_NNUNET = {"imagesTr": "train", "labelsTr": "train", "imagesTs": "test", "labelsTs": "test"}
_ROLES = frozenset(
    [*(word.lower() for word in _WORDS), "image", "img", "images", "photo", "rgb", "sat", "input"]
)
_SPLIT = re.compile(r"([_-])")
_GLUED = re.compile(r"(train|training|val|valid|validation|test|testing)([a-z]{3,})")

Key = tuple[Part, str]
"""The part that folders say, and the rest of a path without suffix: what a pair has in common."""
Group = dict[Key, str]
"""Key -> path, of the files that a kind of folder holds."""
Reading = Literal["first", "whole", "role"]
"""What names a group of files: the first folder that says no part; all of them; or the last folder
that is called after masks or images, wherever it is."""
READINGS: tuple[Reading, ...] = get_args(Reading)


class MaskPlace(NamedTuple):
    """A file's group and its key there."""

    group: str
    key: Key


def says_what(name: str) -> bool:
    """Whether a folder's name says a part, masks or images."""
    low = name.lower()
    return bool(part_named(name) or MASKS.search(low) or IMAGES.search(low))


def place(path: str, reading: Reading) -> MaskPlace:
    """Which group a file is in, apart from its part, and its key."""
    *folders, name = PurePosixPath(path).parts
    part: Part = ""
    group: list[str] = []
    rest: list[str] = []
    for folder in folders:
        rule, said = _part_in(folder)
        if said and not part:
            part = said
            words = [rule] if rule else []
        else:
            words = [folder]
        for word in words:
            if reading == "whole" or (reading == "first" and not group):
                group.append(word)
            elif reading == "role" and says_what(word):
                group = [word]
            else:
                rest.append(word)
    stem, variant = _stem(name)
    called = "/".join(group)
    return MaskPlace(f"{called}|{variant}" if variant else called, (part, "/".join([*rest, stem])))


def _stem(name: str) -> tuple[str, str]:
    """The name without suffixes; and of Cityscapes' masks, which of the kinds it is."""
    stem = PurePosixPath(name).stem
    if suffix_of(stem) in SUFFIXES:  # Supervisely: a.jpg.png
        stem = PurePosixPath(stem).stem
    found = _CITYSCAPES.fullmatch(stem)
    return (found[1], found[2]) if found else (stem.removesuffix("_leftImg8bit"), "")


def _part_in(folder: str) -> tuple[str, Part]:
    """`train2017` -> ('', train), `val_masks` -> ('*_masks', val), `cats` -> ('cats', '')."""
    if folder in _NNUNET:
        return folder[:-2], "train" if _NNUNET[folder] == "train" else "test"
    words = _SPLIT.split(folder)
    for i, word in enumerate(words):
        part = part_named(word.rstrip("0123456789"))
        rule = "".join([*words[:i], "*", *words[i + 1 :]])
        if part and (len(words) == 1 or says_what(rule)):
            return ("" if len(words) == 1 else rule), part
    glued = _GLUED.fullmatch(folder.lower())
    if glued and says_what(glued[2]):  # the SegNet tutorial's trainannot
        return f"*{glued[2]}", part_named(glued[1]) or ""
    return folder, ""


def groups_of(
    paths: Iterable[str], twice: dict[str, list[str]], reading: Reading
) -> dict[str, Group]:
    """The files by folder; masks beside their images are a group of their own, with a `|`.

    Where a name is there `twice`, the first file counts.
    """
    groups: dict[str, Group] = {}
    for path in paths:
        group, key = place(path, reading)
        files = groups.setdefault(group, {})
        other = files.setdefault(key, path)
        if other == path:
            continue
        if is_png(path) != is_png(other):  # of a photograph and a PNG, that is the mask
            png, files[key] = (path, other) if is_png(path) else (other, path)
            group, path = f"{group}|png", png
            other = groups.setdefault(group, {}).setdefault(key, path)
        if other != path:
            twice.setdefault(group, []).append(path)
    for group, files in list(groups.items()):
        for key in [key for key in files if without_ending(key, files, SURE_ENDINGS)]:
            groups.setdefault(f"{group}|mask", {})[key] = files.pop(key)
    return {group: files for group, files in groups.items() if files}


def is_png(path: str) -> bool:
    """Whether a file is called a PNG."""
    return path.lower().endswith(".png")


def without_ending(key: Key, images: Group, endings: Sequence[str]) -> Key | None:
    """The image's key where a mask's has an ending behind it, and the image's perhaps another."""
    part, name = key
    for end in endings:
        if name.endswith(end):
            short = name.removesuffix(end)
            for one in (short, *(short + other for other in _IMAGE_ENDINGS)):
                if (part, one) in images:
                    return part, one
    return None


def matched(images: Group, masks: Group, *, exact: bool = False) -> dict[Key, Key]:
    """Image's key -> mask's key; where only one side has folders of parts, by the rest.

    Where no name is the same, and `exact` is not asked for, by the names without the words for
    images and masks in them.
    """
    by_name: dict[str, list[Key]] = {}
    if not any(part for part, _ in images) or not any(part for part, _ in masks):
        for key in images:
            by_name.setdefault(key[1], []).append(key)
    found: dict[Key, Key] = {}
    for key in masks:
        image = key if key in images else without_ending(key, images, ("", *ENDINGS))
        if image is None:
            alone = by_name.get(key[1], [])
            image = alone[0] if len(alone) == 1 else None
        if image is not None:
            found.setdefault(image, key)
    return found if found or exact else _by_core(images, masks)


def _by_core(images: Group, masks: Group) -> dict[Key, Key]:
    """Pairs such as img_7 and mask_7; {} where the words that remain are not each pair's own."""
    cores: list[dict[Key, Key]] = []
    for files in (images, masks):
        core = {(part, _core(name)): (part, name) for part, name in files}
        if len(core) < len(files) or any(not name.strip("/") for _, name in core):
            return {}
        cores.append(core)
    here, there = cores
    return {here[core]: there[core] for core in here if core in there}


def _core(name: str) -> str:
    """A path's last name without the words that say what it is: `img_7` and `mask-7` are `7`."""
    *folders, last = name.split("/")
    words = re.findall(r"[A-Za-z]+|\d+|[^A-Za-z\d]+", last)
    kept = [word for word in words if word.lower() not in _ROLES and word.strip("_-. ")]
    return "/".join([*folders, " ".join(kept)])
