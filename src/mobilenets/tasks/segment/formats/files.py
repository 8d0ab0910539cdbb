"""Images and masks on disk, found by their folders and paired by their names."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mobilenets.data.image_sets import read_image_sets
from mobilenets.data.listing import Part, count, few, part_named
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, opened, walk_images
from mobilenets.tasks.segment.formats.problems import KINDS

VOC_MASKS = "SegmentationClass"
_MASKS = re.compile(
    r"mask|label|annot|segment|stuffthing|pixelmap|panoptic|trimap|(^|[/_-])(seg|gt)"
)
_IMAGES = re.compile(r"image|img|photo|picture")
_SHOWN = re.compile(r"colou?r|overlay|preview|visual|object|instance|boundar|panoptic(_\*)?$")
"""Masks that are for looking at, or whose values are single objects."""
_WORDS = ("mask", "masks", "seg", "label", "labels", "gt", "L", "P")
_ENDINGS = tuple(f"{before}{word}" for word in _WORDS for before in "_-")
"""What a mask's name may have behind its image's; of CamVid's and Oxford's, a letter."""
_SPLIT = re.compile(r"([_-])")


@dataclass
class Pairs:
    """Images and their masks, before a split is chosen and before any is looked at."""

    kind: str
    """`VOC masks`, `COCO masks` or `images and masks`."""
    root: Path
    files: list[str]
    """The images, relative to the root, with `/`."""
    masks: list[str]
    """The mask of each image."""
    parts: list[Part]
    """Of each image; '' where the data does not say."""
    problems: Problems
    notes: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    """Files that say which image is in which part."""
    left: dict[str, str] = field(default_factory=dict)
    """A file -> why it is left out, in words that follow `image`."""


Key = tuple[Part, str]
"""The part that folders say, and the rest of a path without suffix: what a pair has in common."""
Group = dict[Key, str]
"""Key -> path, of the files that a kind of folder holds."""
Rank = tuple[bool, bool, bool, int, bool, bool]


def find_pairs(path: Path) -> Pairs | None:
    """The images and masks of a folder; None where it has no masks.

    - VOC: `JPEGImages/`, `SegmentationClass/` and the lists of `ImageSets/Segmentation/`;
    - COCO: `stuffthingmaps/train2017/` or `annotations/*train2017*/` beside `train2017/`;
    - any two folders with files of the same names, one of them called after masks, labels,
      annotations or segmentation, or else of files of one channel; with or without folders of
      parts, around or inside; or masks beside their images, as PNG beside JPEG or as NAME_mask.

    DataError where several data sets are there.
    """
    root, paths = _images_below(path)
    for deep in (False, True):
        twice: dict[str, list[str]] = {}
        groups = _groups(paths, twice, deep=deep)
        chosen = _choose(root, groups)
        if chosen:
            problems = Problems(KINDS)
            second = [path for group in chosen for path in twice.get(group, [])]
            beside = f"{chosen[0]}|png"  # not the masks: images that others have the name of
            if beside != chosen[1]:
                second += groups.pop(beside, {}).values()
            problems.add("same name", second)
            return _pair(root, groups, *chosen, problems)
    return None


def unpaired(path: Path) -> str:
    """Why `find_pairs` found none, where folders called after masks and others are there; or ''."""
    _, paths = _images_below(path)
    groups = _groups(paths, {}, deep=False)
    called = {name: len(files) for name, files in groups.items() if _MASKS.search(name.lower())}
    others = {name: len(files) for name, files in groups.items() if name not in called}
    if not called or not others:
        return ""
    image, mask = (max(sizes, key=lambda name: sizes[name]) for sizes in (others, called))
    first, second = (next(iter(groups[name].values())) for name in (image, mask))
    return f"no image and mask have a name in common, such as {first} and {second}"


def _images_below(path: Path) -> tuple[Path, list[str]]:
    """Where a data set begins, and its images and masks relative to that."""
    root = _root(path)
    found = (f.relative_to(root).as_posix() for f in walk_images(root))
    return root, sorted(found, key=natural_key)


def _root(path: Path) -> Path:
    """The folder of a VOC below `path`, or where a lone folder inside leads."""
    below = [f for f in [*path.glob("*"), *path.glob("*/*")] if f.is_dir()]
    found = sorted(f for f in [path, *below] if (f / VOC_MASKS).is_dir())
    if len(found) > 1:
        names = few([f.relative_to(path).as_posix() for f in found])
        raise DataError(f"{path}: it holds several data sets, give one of them: {names}")
    if found:
        return found[0]
    inner = [f for f in path.iterdir() if not f.name.startswith((".", "__"))]
    if len(inner) == 1 and inner[0].is_dir() and not _says_what(inner[0].name):
        return _root(inner[0])
    return path


def _says_what(name: str) -> bool:
    return bool(part_named(name) or _MASKS.search(name.lower()) or _IMAGES.search(name.lower()))


class _MaskPlace(NamedTuple):
    group: str
    key: Key


def _place(path: str, *, deep: bool) -> _MaskPlace:
    """Which folder a file is in, apart from its part; `deep` takes the folders below to it too."""
    *folders, name = PurePosixPath(path).parts
    part: Part = ""
    group: list[str] = []
    rest: list[str] = []
    for folder in folders:
        rule, said = _part_in(folder)
        if said and not part:
            part = said
            group += [rule] if rule else []
        elif deep or not group:
            group.append(folder)
        else:
            rest.append(folder)
    return _MaskPlace("/".join(group), (part, "/".join([*rest, PurePosixPath(name).stem])))


def _part_in(folder: str) -> tuple[str, Part]:
    """`train2017` -> ('', train), `val_masks` -> ('*_masks', val), `cats` -> ('cats', '')."""
    words = _SPLIT.split(folder)
    for i, word in enumerate(words):
        part = part_named(word.rstrip("0123456789"))
        rule = "".join([*words[:i], "*", *words[i + 1 :]])
        if part and (len(words) == 1 or _says_what(rule)):
            return ("" if len(words) == 1 else rule), part
    return folder, ""


def _groups(paths: Iterable[str], twice: dict[str, list[str]], *, deep: bool) -> dict[str, Group]:
    """The files by folder; masks beside their images are a group of their own, with a `|`.

    Where a name is there `twice`, the first file counts.
    """
    groups: dict[str, Group] = {}
    for path in paths:
        group, key = _place(path, deep=deep)
        files = groups.setdefault(group, {})
        other = files.setdefault(key, path)
        if other == path:
            continue
        if _is_png(path) != _is_png(other):  # of a photograph and a PNG, that is the mask
            png, files[key] = (path, other) if _is_png(path) else (other, path)
            group, path = f"{group}|png", png
            other = groups.setdefault(group, {}).setdefault(key, path)
        if other != path:
            twice.setdefault(group, []).append(path)
    for group, files in list(groups.items()):
        for key in [key for key in files if _without_ending(key, files, _ENDINGS[:-4])]:
            groups.setdefault(f"{group}|mask", {})[key] = files.pop(key)
    return groups


def _is_png(path: str) -> bool:
    return path.lower().endswith(".png")


def _without_ending(key: Key, images: Group, endings: Sequence[str] = _ENDINGS) -> Key | None:
    """The image's key where a mask's has an ending behind it."""
    part, name = key
    shorter = ((part, name.removesuffix(end)) for end in endings if name.endswith(end))
    return next((one for one in shorter if one in images), None)


def _choose(root: Path, groups: dict[str, Group]) -> tuple[str, str] | None:
    """The groups of the images and of the masks: the two that have most in common."""
    called = [name for name in groups if "|" in name or _MASKS.search(name.lower())]
    plain = [name for name in groups if name not in called and _is_plain(root, groups[name])]
    for masks in (called, plain):
        found = [
            (_rank(image, mask, groups, called), image, mask)
            for mask in masks
            for image in groups
            if image != mask and image not in plain and _matched(groups[image], groups[mask])
        ]
        if found:
            return max(found)[1:]
    return None


def _rank(image: str, mask: str, groups: dict[str, Group], called: Sequence[str]) -> Rank:
    """How likely it is that these are the images and these the masks; what counts most first."""
    return (
        image not in called,
        not _SHOWN.search(mask.lower()),
        _is_png(next(iter(groups[mask].values()))),
        len(_matched(groups[image], groups[mask])),
        bool(_IMAGES.search(image.lower())),
        "mask" in mask.lower() or mask == VOC_MASKS,
    )


def _is_plain(root: Path, files: Group) -> bool:
    """Whether a group's first file has one lossless channel."""
    try:
        with opened(root / next(iter(files.values()))) as image:
            return image.format == "PNG" and image.mode in ("P", "L", "1", "I;16")
    except DataError:
        return False


def _matched(images: Group, masks: Group) -> dict[Key, Key]:
    """Image's key -> mask's key; where only one side has folders of parts, by the rest."""
    by_name: dict[str, list[Key]] = {}
    if not any(part for part, _ in images) or not any(part for part, _ in masks):
        for key in images:
            by_name.setdefault(key[1], []).append(key)
    found: dict[Key, Key] = {}
    for key in masks:
        image = key if key in images else _without_ending(key, images)
        if image is None:
            alone = by_name.get(key[1], [])
            image = alone[0] if len(alone) == 1 else None
        if image is not None:
            found.setdefault(image, key)
    return found


def _pair(root: Path, groups: dict[str, Group], image: str, mask: str, problems: Problems) -> Pairs:
    images, masks = groups[image], groups[mask]
    matched = _matched(images, masks)
    parts = {key: key[0] or matched[key][0] for key in matched}
    wanted = set(images)
    if (root / "ImageSets" / "Segmentation").is_dir():
        listed = _listed(root, images, masks, problems)
        if listed:
            parts, wanted = listed, set(listed)
    problems.add("no mask", [images[key] for key in images if key in wanted and key not in matched])
    used = set(matched.values())
    if wanted == set(images):
        problems.add("stray mask", [path for key, path in masks.items() if key not in used])
    kept = [key for key in images if key in parts and key in matched]
    lists = (root / "ImageSets" / "Segmentation").glob("*.txt")
    return Pairs(
        _kind(mask, images),
        root,
        [images[key] for key in kept],
        [masks[matched[key]] for key in kept],
        [parts[key] for key in kept],
        problems,
        _unused(groups, image, mask),
        [path.relative_to(root).as_posix() for path in lists],
        {
            path: "in a folder that is neither taken for the images nor for the masks"
            for name, files in groups.items()
            if name not in (image, mask)
            for path in files.values()
        },
    )


def _listed(root: Path, images: Group, masks: Group, problems: Problems) -> dict[Key, Part]:
    """The part of each image that VOC's lists name; {} where there are none."""
    known = {name: (part, name) for part, name in [*images, *masks]}
    parts = read_image_sets(root / "ImageSets" / "Segmentation", known, problems)
    if not parts:
        return {}
    here = {name: key for name, key in known.items() if name in parts and key in images}
    problems.add("missing", [name for name in parts if name not in here])
    problems.add("unlisted", [path for (_, name), path in masks.items() if name not in parts])
    return {key: parts[name] for name, key in here.items()}


def _kind(mask: str, images: Group) -> str:
    if mask == VOC_MASKS:
        return "VOC masks"
    coco = re.search("stuffthing|pixelmap|panoptic|semseg", mask.lower())
    years = all(re.search(r"(train|val|test)\d{4}/", path) for path in images.values())
    return "COCO masks" if coco or years else "images and masks"


def _unused(groups: dict[str, Group], image: str, mask: str) -> list[str]:
    """A note on other folders that could have been masks or images."""
    others = {
        name: len(files) for name, files in groups.items() if files and name not in (image, mask)
    }
    if not others:
        return []
    said = few([f"{_called(name)} ({count(n, 'file', 'files')})" for name, n in others.items()])
    return [f"images are those of {image or '.'}, masks those of {_called(mask)}; left out: {said}"]


def _called(group: str) -> str:
    """A group in words."""
    folder, _, beside = group.partition("|")
    return f"{'masks in ' if beside else ''}{folder or '.'}"
