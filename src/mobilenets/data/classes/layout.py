"""Which folders are parts, and which are classes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from mobilenets.data.listing import Part, count, few, part_named
from mobilenets.errors import DataError
from mobilenets.runtime.images import is_image, walk_images
from mobilenets.runtime.kinds import is_hidden

_NEUTRAL = frozenset(
    [
        *("set", "sets", "data", "dataset", "image", "images", "img", "imgs", "photo", "photos"),
        *("seg", "split", "folder", "part", "full", "raw", "new", "final", "cropped", "resized"),
    ]
)
"""Words that may stand beside a part's in a folder's name: `training_set`, `seg_test`."""


@dataclass
class Layout:
    """The folders of a data set of classes."""

    parts: dict[Part, Path]
    """Of each part, or of '' for all, the folder whose folders are classes."""
    left: dict[Path, str] = field(default_factory=dict)
    """A folder that is not used -> why, in words that follow `image`."""
    notes: list[str] = field(default_factory=list)


def find_layout(path: Path) -> Layout:
    """The parts of a data set of classes, or the one folder of class folders.

    Parts are folders called train, val, test or the like, also within longer names (`seg_train`,
    `training_set`) where their classes agree. A folder that holds nothing but one folder of
    folders is passed through, as the double ones of Kaggle's archives. DataError for two folders
    that mean one part.
    """
    base = _inner(path)
    folders = folders_in(base)
    named = {f: part for f in folders if (part := part_named(f.name)) is not None}
    if not named or (len(named) < len(folders) and not any(folders_in(f) for f in named)):
        named = {}
    named.update(_loose(base, [f for f in folders if f not in named], named))
    found = Layout({})
    if base != path:
        found.notes.append(f"the data is in {base.relative_to(path).as_posix()}")
    for folder, part in named.items():
        if part in found.parts:
            other = found.parts[part].relative_to(base).parts[0]
            raise DataError(f"{base}: both {other} and {folder.name} mean {part}")
        found.parts[part] = _inner(folder)
    if not found.parts:
        _look_alike(base, folders, found.notes)
        return Layout({"": base}, {}, found.notes)
    others = [f for f in folders if f not in named]
    if others:
        what = " and ".join(found.parts)
        names = few([f.name for f in others])
        found.notes.append(f"folders beside {what} are left out: {names}")
        found.left.update((f, f"in a folder beside {what}") for f in others)
    return found


def has_parts(path: Path) -> bool:
    """Whether a folder says which images are in which part; DataError as from `find_layout`."""
    return "" not in find_layout(path).parts


def folders_in(path: Path) -> list[Path]:
    """The folders in a folder, sorted; without those that are hidden or a system's."""
    return sorted(f for f in path.iterdir() if f.is_dir() and not is_hidden(f.name))


def has_images(folder: Path) -> bool:
    """Whether there is an image in or below a folder."""
    return next(walk_images(folder), None) is not None


def _inner(folder: Path) -> Path:
    """Where folders lead of which each holds one folder of folders, or one of its own name."""
    inside = list(islice((f for f in folders_in(folder) if has_images(f)), 2))
    if len(inside) != 1 or any(is_image(f) for f in folder.iterdir() if f.is_file()):
        return folder
    alone = inside[0]
    if part_named(alone.name) is not None and alone.name != folder.name:
        return folder
    deeper = any(has_images(f) for f in folders_in(alone))
    loose = any(is_image(f) for f in alone.iterdir() if f.is_file())
    if (deeper and not loose) or alone.name == folder.name:
        return _inner(alone)
    return folder


def _loose(base: Path, folders: Iterable[Path], named: dict[Path, Part]) -> dict[Path, Part]:
    """Folders with a part's name among other words, where their classes agree with train's."""
    found = {f: part for f in folders if (part := part_within(f.name)[0]) is not None}
    every = {**named, **found}
    own = [f for f, part in every.items() if part == "train"]
    if not found or len(own) != 1:
        return {}
    classes = {f: {c.name for c in folders_in(_inner(f)) if has_images(c)} for f in every}
    agree = {f: part for f, part in found.items() if classes[f] & classes[own[0]]}
    if own[0] in named:
        return {f: part for f, part in agree.items() if f != own[0]}
    others = [f for f in folders_in(base) if f != own[0] and f not in agree]
    flat = not any(has_images(c) for f in others for c in folders_in(_inner(f)))
    alone = len(agree) == 1 and not (part_within(own[0].name)[1] and flat)
    return {} if alone else agree


def part_within(name: str) -> tuple[Part | None, bool]:
    """The one part that a folder's name has as a word, and whether the others say nothing."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)]
    said = {part for word in words if (part := part_named(word)) is not None}
    if len(said) != 1:
        return None, False
    return said.pop(), all(word in _NEUTRAL or part_named(word) for word in words)


def _look_alike(base: Path, folders: list[Path], notes: list[str]) -> None:
    """Say which reading is taken where class folders all hold folders of the same names."""
    inside = [{c.name for c in folders_in(f)} for f in folders]
    if len(folders) > 1 and len(inside[0]) > 1 and all(one == inside[0] for one in inside):
        classes, parts = few(sorted(inside[0]), 3), few([f.name for f in folders], 3)
        notes.append(
            f"{count(len(folders), 'folder', 'folders')} ({parts}) hold the same folders "
            f"({classes}): the first are taken as the classes; to have the second, call the first "
            "train, val and test"
        )
