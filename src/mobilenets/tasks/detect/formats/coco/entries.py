"""COCO's lists of images and of categories, as tools write them."""

import re
from collections.abc import Hashable, Sequence
from os.path import relpath
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from mobilenets.data.listing import Part, count, few, one_line, part_named
from mobilenets.data.paths import Tree, clean_path
from mobilenets.data.problems import Problems
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key
from mobilenets.tasks.detect.formats.boxes import side

_NAMES = ("file_name", "filename", "path", "coco_url", "flickr_url")
"""What an image's file may be called by; LVIS has only addresses."""


class Category(NamedTuple):
    """A class as a file declares it."""

    id: Hashable
    """As `same_id` gives it."""
    name: str
    group: str
    """Its `supercategory`."""


class ImageEntries(NamedTuple):
    """A file's images: where they lie, and what they are called by annotations."""

    files: list[str]
    """Relative to the data's root."""
    sizes: list[tuple[int, int]]
    """(width, height) as the file says; 0 where it does not."""
    numbers: dict[Hashable, int]
    """Place in `files` by id, as `same_id` gives it."""
    notes: list[str]


def same_id(value: Hashable) -> Hashable:
    """One form for ids: 1, 1.0, "1" and "01" are the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"[0-9]{1,18}(\.0*)?", text):
            return int(text.partition(".")[0])
        return text
    return value


def categories_of(entries: Any, name: str, problems: Problems) -> list[Category]:
    """Those that have an id and a name, by id; `entries` may also map ids to names."""
    if isinstance(entries, dict):
        entries = [{"id": key, "name": value} for key, value in entries.items()]
    found = []
    for one in entries or []:
        said = one if isinstance(one, dict) else {}
        key, text = said.get("id"), one_line(str(said.get("name") or ""))
        if isinstance(key, int | float | str) and text:
            found.append(Category(same_id(key), text, str(said.get("supercategory"))))
        else:
            problems.add("bad category", [one_line(f"{text or key or one!r:.40} of {name}")])
    return sorted(found, key=lambda category: natural_key(str(category.id)))


def class_names(
    categories: Sequence[Category], used: set[str]
) -> tuple[tuple[str, ...], list[str]]:
    """The classes' names, and a note where one is no class but the name of the whole.

    Roboflow writes such a category, with id 0 and no object.
    """
    groups = {category.group for category in categories}
    names = list(dict.fromkeys(category.name for category in categories))
    whole = [
        category.name
        for category in categories
        if category.group == "none" and category.name in groups and category.name not in used
    ]
    kept = tuple(name for name in names if name not in whole)
    note = f"{few(whole)} is the name of a group of classes and has no objects: no class"
    return kept, [note] if whole else []


def same_names(categories: Sequence[Category]) -> list[str]:
    """Notes on classes that one file has by several ids, and on ids of several classes."""
    names: dict[Hashable, list[str]] = {}
    for category in categories:
        names.setdefault(category.id, []).append(category.name)
    several = [f"{key} is {' and '.join(n)}" for key, n in names.items() if len({*n}) > 1]
    what = count(len(several), "id is", "ids are")
    notes = [f"{what} given to several categories, the last of them counts: {few(several)}"]
    notes = notes if several else []
    ids: dict[str, set[Hashable]] = {}
    for category in categories:
        ids.setdefault(category.name, set()).add(category.id)
    twice = [name for name, found in ids.items() if len(found) > 1]
    what = count(len(twice), "name is", "names are")
    note = f"{what} given to several categories, taken as one class: {few(twice)}"
    return [*notes, note] if twice else notes


def images_of(
    tree: Tree, path: Path, part: Part, entries: list[Any], problems: Problems
) -> ImageEntries:
    """Where the images of a file are; DataError where it lists none."""
    known: dict[Hashable, tuple[str, tuple[int, int]]] = {}
    bad = []
    for entry in entries:
        one = entry if isinstance(entry, dict) else {}
        name = next((one[word] for word in _NAMES if _is_name(one.get(word))), "")
        key = one.get("id", one.get("image_id"))
        key = same_id(key) if isinstance(key, int | float | str) else None
        if not name or key is None or key in known:
            bad.append(one_line(f"{name or 'id ' + str(key)} of {path.name}")[:80])
        else:
            known[key] = (name, (side(one.get("width")), side(one.get("height"))))
    problems.add("bad image", bad)
    if not known:
        raise DataError(f"{path}: it lists no images")
    found = tree.find(
        [name for name, _ in known.values()], folders_for(tree.root, path, part), part
    )
    return ImageEntries(
        found.files,
        [size for _, size in known.values()],
        {key: i for i, key in enumerate(known)},
        found.notes,
    )


def _is_name(value: Any) -> TypeGuard[str]:
    """Whether a file can be called so: JSON may hold halves of characters."""
    try:
        return isinstance(value, str) and bool(value.encode()) and bool(clean_path(value))
    except UnicodeEncodeError:
        return False


def folders_for(root: Path, path: Path, part: Part) -> list[str]:
    """Folders that may hold the images of a file of annotations, the likeliest first."""
    words = [word for word in re.split(r"[_.]", path.stem) if part_named(word.rstrip("0123456789"))]
    below = [*words, *([part] if part else []), *(["valid"] if part == "val" else [])]
    found: list[Path] = []
    for base in (path.parent, root, path.parent.parent):
        for images in (base, base / "images"):
            found += [images, *(images / name for name in below)]
    places = [folder for folder in dict.fromkeys(found) if folder.is_dir()]
    return [Path(relpath(folder, root)).as_posix() for folder in places]
