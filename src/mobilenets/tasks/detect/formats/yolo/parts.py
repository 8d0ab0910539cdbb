"""Which images YOLO's data has, and for what: as its files say, else as its folders are called."""

from collections.abc import Iterable, Mapping, Sequence
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mobilenets.data.files import read_text
from mobilenets.data.listing import Part, count, one_line, part_named
from mobilenets.data.paths import Tree, clean_path
from mobilenets.data.problems import Problems
from mobilenets.runtime.images import walk, walk_images
from mobilenets.tasks.detect.formats.folders import path_part
from mobilenets.tasks.detect.formats.yolo.names import Value

_PARTS: tuple[Part, ...] = ("train", "val", "test")


class Images(NamedTuple):
    """The images of a data set."""

    parts: dict[str, Part]
    """By path relative to the root."""
    notes: list[str]
    lists: list[str]
    """The files that name them, relative to the root."""
    left: dict[str, str]
    """A folder -> why its other images are left out."""


def found_images(root: Path) -> Images:
    """The images below a folder, with the part that a folder's name says.

    Where some lie in `images/`, or else in folders of parts, others show something else.
    """
    paths = [PurePosixPath(image.relative_to(root).as_posix()) for image in walk_images(root)]
    inner = [path for path in paths if _is_images(path.parts[:-1])]
    parts = {path.as_posix(): path_part(path.parts[:-1]) for path in inner or paths}
    notes = _empty_parts(root, {part for part in parts.values() if part})
    if inner:
        return Images(parts, notes, [], {".": "outside images/"})
    if not any(parts.values()):
        return Images(parts, notes, [], {})
    for image in [image for image, part in parts.items() if not part]:
        del parts[image]
    return Images(parts, notes, [], {".": "outside the folders of parts"})


def _empty_parts(root: Path, there: set[Part]) -> list[str]:
    """Notes on parts whose folders have no images."""
    empty: dict[Part, str] = {}
    for folder, _ in walk(root):
        inside = folder.relative_to(root).parts
        part = path_part(inside)
        if part and part not in there and "labels" not in inside and len(inside) <= 3:
            empty.setdefault(part, "/".join(inside))
    return [f"{folder} has no images: there is no part {part}" for part, folder in empty.items()]


def _is_images(folders: Iterable[str]) -> bool:
    return any(folder.casefold() == "images" for folder in folders)


def declared_images(
    tree: Tree, name: str, content: Mapping[str, Value], base: Path, problems: Problems
) -> Images:
    """The images that a file called `name` says are for train, val and test.

    `content` has its words, `base` is the folder from which it counts. No `parts` where none of
    those for training are there. A part that is not where the file says is looked for in the
    folders that are called so.
    """
    root = tree.root
    notes: list[str] = []
    lists: list[str] = []
    said: dict[Part, list[str]] = {"train": [], "val": [], "test": []}
    lost: list[Part] = []
    inner = str(content.get("path") or "")
    moved = tree.folder(inner) if inner else None
    places = [base / inner, base, root, *([root / moved] if moved else [])]
    bases = list(dict.fromkeys(Path(relpath(place, root)).as_posix() for place in places))
    for part in said:
        value = content.get(part) or []
        for entry in [value] if isinstance(value, str) else list(value):
            if not entry.strip():
                continue
            found = _images_at(tree, bases, entry, part, notes, lists)
            if found is None:
                where = one_line(entry)
                notes.append(f"{name} has {part} in {where}, where there are no images")
                lost.append(part)
            said[part] += found or []
    every = found_images(root).parts if lost else {}
    for part in lost:
        others = set().union(*(said[other] for other in _PARTS))
        own = [image for image, of in every.items() if of == part and image not in others]
        if own:
            what = count(len(own), "image", "images")
            notes.append(f"{part} is the {what} in the folders of that name")
            said[part] += own
    if not said["train"]:
        if not content.get("train"):
            notes.append(f"{name} does not say which images are for training: folders' names count")
        return Images({}, notes, lists, {})
    if said["val"] and set(said["val"]) <= set(said["train"]):
        notes.append(f"{name} names images of train as val: that is no part of its own")
        said["val"] = []
    parts: dict[str, Part] = {}
    for part, images in said.items():
        problems.add("overlap", [image for image in images if parts.get(image, part) != part])
        parts.update(dict.fromkeys(images, part))
    return Images(parts, list(dict.fromkeys(notes)), lists, {".": f"that {name} does not name"})


def _images_at(
    tree: Tree, bases: Sequence[str], entry: str, part: Part, notes: list[str], lists: list[str]
) -> list[str] | None:
    """Those of a folder, or of a list in a text file; None where there is neither.

    Roboflow writes one `../` too many; a folder or list of another machine is found by its end.
    """
    root = tree.root
    entry = entry.strip()
    for said in (entry, entry.removeprefix("../")):
        for base in bases:
            place = root / base / said
            if place.is_dir():
                images = _below(root, place)
                if images:
                    return images
            elif place.is_file() and place.suffix == ".txt":
                return _listed(tree, place, bases, part, notes, lists)
    moved = tree.folder(entry, bases)
    images = _below(root, root / moved) if moved and moved != "." else []
    if moved and images:
        notes.append(f"{one_line(entry)} is not there: {part} is read from {moved}")
        return images
    if entry.endswith(".txt"):
        [file], [there], _ = tree.find([entry], bases)
        if there:
            notes.append(f"{one_line(entry)} is not there: {part} is read from {file}")
            return _listed(tree, root / file, bases, part, notes, lists)
    return None


def _below(root: Path, folder: Path) -> list[str]:
    return [Path(relpath(image, root)).as_posix() for image in walk_images(folder)]


def _listed(
    tree: Tree, place: Path, bases: Sequence[str], part: Part, notes: list[str], lists: list[str]
) -> list[str]:
    """The images that a list names, those that are not there too."""
    lines = [line.strip() for line in read_text(place).splitlines() if clean_path(line)]
    name = Path(relpath(place, tree.root)).as_posix()
    lists.append(name)
    found = tree.find(lines, [Path(name).parent.as_posix(), *bases], part)
    notes += [f"{name}: {note}" for note in found.notes]
    return found.files


def lists_in(root: Path) -> dict[str, Value]:
    """`train.txt`, `val.txt` and `test.txt` of a folder, where they name images."""
    found: dict[str, Value] = {}
    for file in sorted(root.glob("*.txt")):
        part = part_named(file.stem)
        if part and part not in found and _names_images(file):
            found[part] = file.name
    return found if "train" in found else {}


def _names_images(file: Path) -> bool:
    with file.open("rb") as opened:
        head = opened.read(4096).decode(errors="replace").replace("\0", "").splitlines()
    lines = [line.strip() for line in head[: max(len(head) - 1, 1)] if line.strip()]
    suffixes = {PurePosixPath(line.replace("\\", "/")).suffix.casefold() for line in lines}
    return bool(lines) and suffixes <= {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"}
