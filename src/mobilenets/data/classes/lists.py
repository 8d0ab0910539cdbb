"""Text lists of parts: `train.txt` and `test.txt`, with a path and perhaps a class in each line."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mobilenets.data.classes.layout import part_within
from mobilenets.data.files import read_text
from mobilenets.data.listing import Entry, Listing, Part, count, few, one_line
from mobilenets.data.paths import Tree, clean_path
from mobilenets.errors import DataError
from mobilenets.runtime.images import SUFFIXES, natural_key, walk_images
from mobilenets.runtime.kinds import suffix_of

FOLDERS = ("", "meta", "splits", "lists", "ImageSets")
"""Where lists lie, from the data's folder."""
NAMES = ("classes.txt", "class_names.txt", "labels.txt", "synset_words.txt", "synsets.txt")
"""What names the classes that a list has by their numbers: a name a line, the first for 0."""
_LEAST = 0.5
"""A file of which fewer lines are images is no list of these images."""
_LABELLED = re.compile(r"(.*\S)[\s,;]+([^\s,;]+)")


def find_text_lists(folder: Path) -> dict[Path, Part]:
    """The lists of train and of other parts; {} where there is none of train."""
    for place in FOLDERS:
        files = sorted((folder / place).glob("*.txt"))
        found: dict[Path, Part] = {}
        for file in files:
            part = part_within(file.stem)[0]
            if part is not None and part not in found.values():
                found[file] = part
        if "train" in found.values():
            return found
    return {}


def list_text(root: Path, files: Mapping[Path, Part]) -> Listing | None:
    """All images that lists name, by part; None where those name others, or no classes.

    A line is a path, from the data's folder or with a longer end of another machine's, with or
    without a suffix; behind it there may be a class, a word or a number. Without, the class is
    the folder that the image is in. DataError for a number that has no name.
    """
    images = sorted(walk_images(root), key=natural_key)
    stems: dict[str, list[str]] = {}
    for image in images:
        stems.setdefault(f"{image.parent.name}/{image.stem}", []).append(
            image.relative_to(root).as_posix()
        )
    tree = Tree(root)
    notes: list[str] = []
    parts: dict[Part, list[Entry]] = {}
    for file, part in files.items():
        lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
        said = [_split(line) for line in lines]
        found = _resolve(tree, [path for path, _ in said], stems, notes)
        there = sum(map(bool, found))
        if there < _LEAST * max(len(lines), 1):
            if part == "train":
                return None
            notes.append(f"{file.name} is no list: {there} of its {len(lines)} lines are images")
            continue
        missing = [path for (path, _), place in zip(said, found, strict=True) if not place]
        if missing:
            what = count(len(missing), "image", "images")
            notes.append(f"{what} of {file.name} not found, left out: {few(missing)}")
        parts[part] = [
            Entry(place, label or PurePosixPath(place).parent.name)
            for (_, label), place in zip(said, found, strict=True)
            if place
        ]
    parts, named = _named(root, files, parts, notes)
    labels = {entry.label for entry in parts["train"]}
    if len(labels) < 2:
        return None
    numbers = all(label.isdecimal() for label in labels)
    classes = sorted(labels, key=int) if numbers else sorted(labels)
    notes.append(f"parts are those of {few([file.name for file in files])}")
    lists = [file.relative_to(root).as_posix() for file in [*files, *named]]
    left = {".": "that no list names"}
    return Listing(root, parts, classes, notes, lists, left=left)


def _split(line: str) -> tuple[str, str]:
    """A line's path and class; '' where it says none."""
    found = _LABELLED.fullmatch(line)
    if found and suffix_of(line) not in SUFFIXES:
        path, label = found[1].strip("\"'"), found[2].strip("\"'")
        if suffix_of(path) in SUFFIXES or label.isdecimal():
            return path, one_line(label)
    return line, ""


def _resolve(
    tree: Tree, said: list[str], stems: Mapping[str, list[str]], notes: list[str]
) -> list[str]:
    """The file of each path, relative to the root; '' where there is none."""
    whole = [i for i, path in enumerate(said) if suffix_of(path) in SUFFIXES]
    placed = tree.find([said[i] for i in whole], ["", "images", "train", "val", "test"])
    notes += placed.notes
    found = dict(zip(whole, zip(placed.files, placed.there, strict=True), strict=True))
    places = []
    for i, path in enumerate(said):
        place, there = found.get(i, ("", False))
        if not there:
            end = "/".join(PurePosixPath(clean_path(path)).parts[-2:])
            choices = stems.get(end.removesuffix(suffix_of(end)) if i in found else end, [])
            place = choices[0] if len(choices) == 1 else ""
        places.append(place)
    return places


def _named(
    root: Path, files: Mapping[Path, Part], parts: dict[Part, list[Entry]], notes: list[str]
) -> tuple[dict[Part, list[Entry]], list[Path]]:
    """The same with names for numbers, and the file that has them; as they are where none has."""
    every = {entry.label for entries in parts.values() for entry in entries}
    if not all(label.isdecimal() for label in every):
        return parts, []
    folders = dict.fromkeys([root, *(file.parent for file in files)])
    for path in (folder / name for folder in folders for name in NAMES):
        if path.is_file():
            names = [one_line(line) for line in read_text(path).splitlines() if line.strip()]
            most = max(map(int, every))
            if most >= len(names):
                raise DataError(f"{path}: it has {len(names)} names, and a list has class {most}")
            twice = [one for one in dict.fromkeys(names) if names.count(one) > 1]
            if twice:
                what = count(len(twice), "name is", "names are")
                told = f"{what} there for several numbers, taken as one class: {few(twice)}"
                notes.append(f"{path.name}: {told}")
            renamed = {
                part: [Entry(entry.path, names[int(entry.label)]) for entry in entries]
                for part, entries in parts.items()
            }
            return renamed, [path]
    return parts, []
