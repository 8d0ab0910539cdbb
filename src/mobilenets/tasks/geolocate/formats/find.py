"""Which photographs there are under a path, and what says where they were taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from mobilenets.data.listing import Part, count, few, part_named
from mobilenets.data.paths import Tree
from mobilenets.data.splits import groups_in_two_parts
from mobilenets.errors import DataError
from mobilenets.runtime.images import natural_key, walk_images
from mobilenets.tasks.geolocate.formats.exif import positions_in
from mobilenets.tasks.geolocate.formats.lists import SUFFIXES, SaidPlace, is_list, rows_of
from mobilenets.tasks.geolocate.formats.names import are_named, position_in_name
from mobilenets.tasks.geolocate.formats.spots import FoundPlaces

EXPECTED = (
    "expected photographs with GPS positions, a CSV list with columns image, lat and lon, GeoJSON "
    "points, or positions in the names"
)


def find_positions(path: Path) -> FoundPlaces:
    """Photographs with their positions; DataError where there are none.

    A list says all where there is one. Else names do, where half of them say a position, and EXIF
    of the others.
    """
    if path.is_file():
        return _listed(path.parent, {path: ""})
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder or list")
    lists = find_lists(path)
    found = _listed(path, lists) if lists else _told(path)
    if not found.spots:
        why = "; ".join(problem.sentence for problem in found.problems.list())
        raise DataError(f"{path}: no image with a position{f': {why}' if why else ''}; {EXPECTED}")
    return found


def find_lists(folder: Path) -> dict[Path, Part]:
    """The lists of positions in a folder, and the part that each is of; {} for none.

    Several are taken where each is called after a part; else the first by name.
    """
    files = [f for f in sorted(folder.iterdir()) if f.suffix.lower() in SUFFIXES and f.is_file()]
    lists = [file for file in files if is_list(file)]
    named = {file: part for file in lists if (part := part_named(file.stem)) is not None}
    return named if "train" in named.values() else dict.fromkeys(lists[:1], "")


def say_positions(path: Path) -> bool:
    """Whether a list or the names of images say positions; EXIF is not looked at."""
    if path.is_file():
        return path.suffix.lower() in SUFFIXES and is_list(path)
    if not path.is_dir():
        return False
    return bool(find_lists(path)) or are_named(_images(path))


def _images(folder: Path) -> list[str]:
    files = sorted(walk_images(folder), key=natural_key)
    return [file.relative_to(folder).as_posix() for file in files]


def _told(root: Path) -> FoundPlaces:
    """By names and EXIF; the part is the folder's that is called after one."""
    files = _images(root)
    named = [position_in_name(file) for file in files] if are_named(files) else [None] * len(files)
    others = [file for file, position in zip(files, named, strict=True) if position is None]
    kind = "positions in names" if len(others) < len(files) else "positions in EXIF"
    found = FoundPlaces(root, kind)
    for file, position in zip(files, named, strict=True):
        if position is not None:
            found.add(file, *position, _part_of(file))
    for file, tagged in zip(others, positions_in(root, others), strict=True):
        if tagged.problem:
            found.problems.add(tagged.problem, [file])
        else:
            found.add(file, tagged.lat, tagged.lon, _part_of(file))
    return found


def _part_of(file: str) -> Part:
    folders = PurePosixPath(file).parts[:-1]
    return part_named(folders[0]) or "" if folders else ""


def _listed(root: Path, lists: dict[Path, Part]) -> FoundPlaces:
    found = FoundPlaces(root, "a list of positions")
    found.lists = tuple(file.relative_to(root).as_posix() for file in lists)
    said = [(row, part) for file, part in lists.items() for row in rows_of(file)]
    files = _places(root, [row for row, _ in said], found)
    first: dict[str, tuple[SaidPlace, Part]] = {}
    twice: set[str] = set()
    for (row, part), file in zip(said, files, strict=True):
        if file and first.setdefault(file, (row, part))[0][1:3] != row[1:3]:
            twice.add(file)
    found.problems.add("twice", sorted(twice))
    for file, (row, part) in first.items():
        if file not in twice:
            found.add(file, row.lat, row.lon, row.part or part, row.group)
    groups = ((spot.part, spot.group) for spot in found.spots)
    found.notes += groups_in_two_parts(groups, few(found.lists))
    return found


def _places(root: Path, rows: Sequence[SaidPlace], found: FoundPlaces) -> list[str]:
    """The file of each row, relative to the root; '' where there is none, which is a problem."""
    placed = Tree(root).find([row.image for row in rows], ["", "images", "train", "val", "test"])
    found.notes += placed.notes
    files = [file if there else "" for file, there in zip(placed.files, placed.there, strict=True)]
    if not all(files):
        stems: dict[str, list[str]] = {}
        for image in _images(root):
            stems.setdefault(PurePosixPath(image).stem, []).append(image)
        for i, row in enumerate(rows):  # ids without a suffix, as large collections have them
            choices = stems.get(PurePosixPath(row.image).name, [])
            if not files[i] and len(choices) == 1:
                files[i] = choices[0]
    missing = [row.image for row, file in zip(rows, files, strict=True) if not file]
    if missing and len(missing) == len(rows):
        what = count(len(missing), "image", "images")
        raise DataError(f"{root}: none of the {what} of {found.lists[0]} exist: {few(missing)}")
    found.problems.add("missing", missing)
    return files
