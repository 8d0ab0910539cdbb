"""VOC's lists of images: `ImageSets/Main` and `ImageSets/Segmentation`."""

from collections.abc import Container
from pathlib import Path, PurePosixPath

from mobilenets.data.files import read_text
from mobilenets.data.listing import Part
from mobilenets.data.paths import clean_path
from mobilenets.data.problems import Problems

LISTS: tuple[tuple[str, Part], ...] = (
    ("trainval", ""),
    ("train", "train"),
    ("val", "val"),
    ("test", "test"),
)
"""Files of a folder of lists and the part of the images that they name; a later one overrides."""


def read_image_sets(folder: Path, known: Container[str], problems: Problems) -> dict[str, Part]:
    """Name -> part, of every image that a list names; {} where there are no lists.

    Behind a name there may be more on its line, unless the whole line is a name that is `known`.
    """
    lists = {part: _names(folder / f"{name}.txt", known) for name, part in LISTS}
    if lists["val"] and not lists["train"]:  # then the rest of trainval is for training
        lists["train"] = [name for name in lists[""] if name not in set(lists["val"])]
    parts: dict[str, Part] = {}
    for _, part in LISTS:
        twice = [name for name in lists[part] if parts.get(name)]
        problems.add("overlap", twice)
        parts.update(dict.fromkeys(lists[part], part))
    return parts


def _names(path: Path, known: Container[str]) -> list[str]:
    """The images that a list names; behind a name there may be a 1, 0 or -1.

    An image may be named by its path, `JPEGImages/1.jpg`, or with backslashes.
    """
    if not path.is_file():
        return []
    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    return list(dict.fromkeys(_name(line, known) for line in lines))


def _name(line: str, known: Container[str]) -> str:
    first = line.split()[0]
    forms = [line, first]
    for said in (line, first):
        path = PurePosixPath(clean_path(said))
        parts = [*path.parts[:-1], path.stem]
        forms += ["/".join(parts[i:]) for i in range(len(parts))]
    return next((form for form in forms if form in known), first)
