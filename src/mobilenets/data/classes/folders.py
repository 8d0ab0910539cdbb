"""Class folders: the images of each, and what else lies there."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from mobilenets.data.classes.layout import Layout, find_layout, folders_in
from mobilenets.data.listing import Entry, Listing, Part, count, few
from mobilenets.errors import DataError
from mobilenets.runtime.images import is_image, natural_key, walk, walk_images
from mobilenets.runtime.kinds import NEED, PHOTOGRAPHS, kind_by_name, kind_of

_MEDIA = PHOTOGRAPHS | {"video", "array", "archive"}
"""What a class may hold instead of images that are read."""


def list_folders(path: Path, *, need: Part = "") -> Listing:
    """All images below a folder, by class and by part; what is passed over is noted.

    A part other than train that has no class folders is left out, unless it is the one that
    somebody `need`s. DataError where there are no class folders.
    """
    layout = find_layout(path)
    notes = layout.notes
    left = {_relative(path, folder): why for folder, why in layout.left.items()}
    left["."] = "outside the class folders"
    _drop_unlabelled(path, layout, left, need)
    parts: dict[Part, list[Entry]] = {}
    names: dict[Part, list[str]] = {}
    empty: dict[str, str] = {}
    for part, folder in layout.parts.items():
        classes = _classes(path, folder, notes)
        for name, why in _without_images(folder, classes, notes).items():
            if part in ("train", ""):
                empty[name] = why
            else:
                where = _relative(path, folder / name)
                notes.append(f"{where} has no image that is read: {why}")
        parts[part] = [Entry(file, name) for name, files in classes.items() for file in files]
        names[part] = [name for name, files in classes.items() if files or name in empty]
    own = names.get("train") or names.get("") or next(iter(names.values()))
    return Listing(path, parts, own, notes, left=left, empty=empty)


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _drop_unlabelled(root: Path, layout: Layout, left: dict[str, str], need: Part) -> None:
    for part, folder in list(layout.parts.items()):
        if part in ("train", "", need) or len(layout.parts) == 1 or folders_in(folder):
            continue
        del layout.parts[part]
        name = _relative(root, folder)
        left[name] = f"in {name}, which has no class folders"
        layout.notes.append(f"{name} is not used: it has no class folders")


def _classes(root: Path, folder: Path, notes: list[str]) -> dict[str, list[str]]:
    """Class name -> its files, both sorted; what is passed over is noted."""
    classes: dict[str, list[str]] = {}
    nested: Counter[str] = Counter()
    for one in folders_in(folder):
        files = [_relative(root, file) for file in walk_images(one)]
        classes[one.name] = sorted(files, key=natural_key)
        deep = [file for file in files if file.count("/") > _relative(root, one).count("/") + 1]
        nested[one.name] += len(deep)
    loose = [file.name for file in folder.iterdir() if file.is_file() and is_image(file)]
    if not any(classes.values()):
        raise DataError(f"{folder}: {_nothing(loose)}")
    if loose:
        what = count(len(loose), "image lies", "images lie")
        notes.append(f"{what} in {folder.name} outside its class folders, left out")
    inside = [name for name, number in nested.items() if number]
    if inside:
        what = count(nested.total(), "image lies", "images lie")
        notes.append(f"{what} in folders inside class folders, of that class: {few(inside)}")
    return classes


def _nothing(loose: list[str]) -> str:
    """Why there are no classes, and what can be done."""
    what = f"{count(len(loose), 'image', 'images')}, none" if loose else "no images"
    starts = sorted({name.split(".")[0].rstrip("0123456789_- ") for name in loose} - {""})
    hint = ""
    if 2 <= len(starts) <= 20 and len(loose) >= 3 * len(starts):
        hint = f" (their names begin with {few(starts)}: make a folder or a CSV row of that)"
    return (
        f"{what} in class folders{hint}; expected CLASS/image.jpg, or train/ and val/ "
        "with class folders, or a data.csv"
    )


def _without_images(
    folder: Path, classes: dict[str, list[str]], notes: list[str]
) -> Mapping[str, str]:
    """Class -> why it has no image that is read; folders of other things are no classes."""
    empty: dict[str, str] = {}
    others = []
    for name in [name for name, files in classes.items() if not files]:
        kinds = Counter(
            kind_by_name(file) or kind_of(parent / file) or "other"
            for parent, files in walk(folder / name)
            for file in files
        )
        media = {kind: number for kind, number in kinds.items() if kind in _MEDIA}
        if kinds and not media:
            others.append(name)
            del classes[name]
        else:
            empty[name] = ", ".join(_told(kind, n) for kind, n in media.items()) or "no files"
    if others:
        notes.append(f"folders without images are no classes: {few(others)}")
    return empty


def _told(kind: str, number: int) -> str:
    need = f" ({'needs' if number == 1 else 'need'} `{NEED[kind]}`)" if kind in NEED else ""
    return f"{number} {kind}{need}"
