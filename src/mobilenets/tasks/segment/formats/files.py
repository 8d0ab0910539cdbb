"""Images and masks on disk, found by their folders and paired by their names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mobilenets.data.files import read_text
from mobilenets.data.image_sets import read_image_sets
from mobilenets.data.listing import Part, count, few, part_named
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, opened, walk, walk_images
from mobilenets.tasks.segment.formats.colours import ColourMap
from mobilenets.tasks.segment.formats.places import (
    IMAGES,
    MASKS,
    READINGS,
    Group,
    Key,
    groups_of,
    is_png,
    matched,
    says_what,
)
from mobilenets.tasks.segment.formats.problems import KINDS

VOC_MASKS = "SegmentationClass"
_SINGLE = re.compile(r"object|instance|boundar|panoptic(_\*)?$")
"""Masks whose values are single objects, or their edges."""
_SHOWN = re.compile(r"colou?r|overlay|preview|visual|human")
"""Masks that are for looking at."""
_FOR_EACH_CLASS = (
    "{} has a folder for each class ({}), so several masks for an image; expected one, with a "
    "number for each class"
)


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
    colours: ColourMap | None = None
    """The classes' colours, where masks are read by them."""


Rank = tuple[bool, bool, bool, bool, bool, int, bool, bool]


class _Couple(NamedTuple):
    """Two groups by their names."""

    rank: Rank
    image: str
    mask: str


class _Found(NamedTuple):
    """What one reading of the paths gives."""

    rank: tuple[bool, bool, bool, int]
    chosen: _Couple
    groups: dict[str, Group]
    twice: dict[str, list[str]]


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
    found: list[_Found] = []
    for reading in READINGS:
        twice: dict[str, list[str]] = {}
        groups = groups_of(paths, twice, reading)
        chosen = _choose(root, groups)
        if chosen:
            pairs = len(matched(groups[chosen.image], groups[chosen.mask]))
            found.append(_Found((*chosen.rank[:3], pairs), chosen, groups, twice))
    if not found:
        return None
    best = max(found, key=lambda one: one.rank)  # the first of those
    (_, image, mask), groups, twice = best[1:]
    _check_one_for_all(root, groups, image, mask)
    problems = Problems(KINDS)
    second = [path for group in (image, mask) for path in twice.get(group, [])]
    beside = f"{image}|png"  # not the masks: images that others have the name of
    if beside != mask:
        second += groups.pop(beside, {}).values()
    problems.add("same name", second)
    return _pair(root, groups, image, mask, problems)


def _check_one_for_all(root: Path, groups: dict[str, Group], image: str, mask: str) -> None:
    """DataError where folders beside the masks' have masks of the same images: one for a class."""
    parent, _, name = mask.rpartition("/")
    if not MASKS.search(parent.lower()) or _says_kind(name):
        return
    others = [group.rpartition("/") for group in groups if group not in (image, mask)]
    beside = [leaf for folder, _, leaf in others if folder == parent and not _says_kind(leaf)]
    pairs = len(matched(groups[image], groups[mask]))
    same = [leaf for leaf in beside if groups[f"{parent}/{leaf}"].keys() & groups[mask].keys()]
    if same and pairs:
        raise DataError(f"{root}: {_FOR_EACH_CLASS.format(parent, few(sorted([name, *same]), 3))}")


def _says_kind(folder: str) -> bool:
    """Whether a folder's name says how masks are stored, rather than of what they are."""
    low = folder.lower()
    return any(words.search(low) for words in (MASKS, _SINGLE, _SHOWN)) or "|" in folder


def unpaired(path: Path) -> str:
    """Why `find_pairs` found none, where something looks like masks all the same; or ''."""
    root, paths = _images_below(path)
    groups = groups_of(paths, {}, "first")
    called = {name: len(files) for name, files in groups.items() if MASKS.search(name.lower())}
    others = {name: len(files) for name, files in groups.items() if name not in called}
    if not called or not others:
        return _other_masks(root)
    image, mask = (max(sizes, key=lambda name: sizes[name]) for sizes in (others, called))
    first, second = (next(iter(groups[name].values())) for name in (image, mask))
    images = {PurePosixPath(name).name for _, name in groups[image]}
    below = [PurePosixPath(name) for _, name in groups[mask]]
    folders = sorted({name.parts[-2] for name in below if len(name.parts) > 1})
    if folders and sum(name.name in images for name in below) > len(below) // 2:
        return _FOR_EACH_CLASS.format(mask, few(folders, 3))
    if folders and any(folder in images for folder in folders):
        return (
            f"{mask} has a folder for each image ({few(folders, 2)}), with a file for each object; "
            "expected one mask for an image, with a number for each class"
        )
    return f"no image and mask have a name in common, such as {first} and {second}"


def _other_masks(root: Path) -> str:
    """What there is that masks could be made of, in words; '' where there is nothing."""
    files = sorted(parent / name for parent, names in walk(root) for name in names)
    arrays = [file for file in files if file.suffix.lower() in (".npy", ".npz", ".mat")]
    outlines = [file for file in files if file.suffix.lower() == ".json"]
    for found, what in ((arrays, "arrays"), (outlines, "JSON, perhaps with outlines")):
        if found:
            first = found[0].relative_to(root).as_posix()
            number = count(len(found), "file", "files")
            return f"no masks found, but {number} of {what} ({first}), which are not read as masks"
    return ""


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
    if len(inner) == 1 and inner[0].is_dir() and not says_what(inner[0].name):
        return _root(inner[0])
    return path


def _choose(root: Path, groups: dict[str, Group]) -> _Couple | None:
    """The groups of the images and of the masks: the two that have most in common."""
    called = [name for name in groups if "|" in name or MASKS.search(name.lower())]
    plain = [name for name in groups if name not in called and _is_plain(root, groups[name])]
    for masks in (called, plain):
        found = [
            _Couple(_rank(image, mask, groups, called), image, mask)
            for mask in masks
            for image in groups
            if image != mask and image not in plain
            if masks is plain or _says_masks(image, mask)
            if matched(groups[image], groups[mask], exact=masks is plain)
        ]
        if found:
            return max(found)
    return None


def _says_masks(image: str, mask: str) -> bool:
    """Whether a group is called after masks by more than it shares with that of the images."""
    if "|" in mask:
        return True
    there = {found[0] for folder in image.lower().split("/") for found in MASKS.finditer(folder)}
    own = [folder for folder in mask.split("/") if folder not in image.split("/")]
    words = {found[0] for folder in own for found in MASKS.finditer(folder.lower())}
    return bool(words - there)


def _rank(image: str, mask: str, groups: dict[str, Group], called: Sequence[str]) -> Rank:
    """How likely it is that these are the images and these the masks; what counts most first."""
    return (
        image not in called,
        not _SINGLE.search(mask.lower()),
        not _SHOWN.search(mask.lower()),
        not mask.endswith("|labelIds"),  # Cityscapes' other numbering has no class of its own
        is_png(next(iter(groups[mask].values()))),
        len(matched(groups[image], groups[mask])),
        bool(IMAGES.search(image.lower())),
        "mask" in mask.lower() or mask == VOC_MASKS,
    )


def _is_plain(root: Path, files: Group) -> bool:
    """Whether a group's first file has one lossless channel."""
    try:
        with opened(root / next(iter(files.values()))) as image:
            return image.format == "PNG" and image.mode in ("P", "L", "1", "I;16")
    except DataError:
        return False


def _pair(root: Path, groups: dict[str, Group], image: str, mask: str, problems: Problems) -> Pairs:
    images, masks = groups[image], groups[mask]
    mask_of = matched(images, masks)
    parts = {key: key[0] or mask_of[key][0] for key in mask_of}
    wanted = set(images)
    if (root / "ImageSets" / "Segmentation").is_dir():
        listed = _listed(root, images, masks, problems)
        if listed:
            parts, wanted = listed, set(listed)
    lists = list((root / "ImageSets" / "Segmentation").glob("*.txt"))
    if not lists and not any(parts.values()):
        lists = _beside(root, images, parts)
        lost = [key for key in mask_of if key not in parts]
        problems.add("unlisted", [masks[mask_of[key]] for key in lost])
        wanted -= set(lost)
    problems.add("no mask", [images[key] for key in images if key in wanted and key not in mask_of])
    used = set(mask_of.values())
    if wanted == set(images):
        problems.add("stray mask", [path for key, path in masks.items() if key not in used])
    kept = [key for key in images if key in parts and key in mask_of]
    return Pairs(
        _kind(mask, images),
        root,
        [images[key] for key in kept],
        [masks[mask_of[key]] for key in kept],
        [parts[key] for key in kept],
        problems,
        [*_unused(groups, image, mask), *_by_lists(root, lists)],
        [path.relative_to(root).as_posix() for path in lists],
        {
            path: "in a folder that is neither taken for the images nor for the masks"
            for name, files in groups.items()
            if name not in (image, mask)
            for path in files.values()
        },
    )


def _beside(root: Path, images: Group, parts: dict[Key, Part]) -> list[Path]:
    """Text files beside the folders that name the images of a part, as fastai's `valid.txt`.

    Sets the parts: what no list names is for training where none is of train, else taken out. []
    where those files name other things.
    """
    keys: dict[str, list[Key]] = {}
    for key in images:
        keys.setdefault(PurePosixPath(images[key]).stem, []).append(key)
    found: dict[Key, Part] = {}
    files = []
    for path in sorted(root.glob("*.txt")):
        part = part_named(path.stem)
        lines = [one.strip() for one in read_text(path).splitlines() if one.strip()] if part else []
        named = [PurePosixPath(line.replace("\\", "/")) for line in lines]
        choices = (keys.get(name.name) or keys.get(name.stem, []) for name in named)
        here = [one[0] for one in choices if len(one) == 1]
        if part and len(here) > len(lines) // 2:
            files.append(path)
            found.update(dict.fromkeys(here, part))
    for key in list(parts) if found else ():
        if key in found or "train" not in found.values():
            parts[key] = found.get(key, "train")
        else:
            del parts[key]
    return files


def _by_lists(root: Path, lists: Sequence[Path]) -> list[str]:
    """A note on lists that lie beside the folders."""
    names = [path.name for path in lists if path.parent == root]
    return [f"the parts are by {few(names)}"] if names else []


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
    if beside in ("png", "mask"):
        return f"masks in {folder or '.'}"
    return f"{beside} in {folder}" if beside else folder or "."
