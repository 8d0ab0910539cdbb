"""What lies in a folder: each layout is tried in turn until one has objects."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mobilenets.data.listing import count, few, one_line
from mobilenets.data.paths import is_file
from mobilenets.errors import DataError
from mobilenets.runtime.images import walk
from mobilenets.runtime.kinds import is_hidden
from mobilenets.tasks.detect.formats.annotations import Annotations
from mobilenets.tasks.detect.formats.coco import read_coco
from mobilenets.tasks.detect.formats.coco.find import find_coco
from mobilenets.tasks.detect.formats.tools.find import find_tools, read_tools
from mobilenets.tasks.detect.formats.voc import find_voc, read_voc
from mobilenets.tasks.detect.formats.yolo import find_yolo, read_yolo

_DEEPEST = 3
"""Folders with nothing but one folder in them that are gone through."""


class Guess(NamedTuple):
    """What was seen of a layout in a folder, before its files are read."""

    read: Callable[[], Annotations] | None
    """None where the folder is nothing of the kind."""
    why: str = ""
    """Why files that looked like it are not."""


def _look_coco(folder: Path) -> Guess:
    found = find_coco(folder)
    others = {f.relative_to(folder).as_posix(): why for f, why in found.others.items()}
    if not found.files:
        more = f"; and {len(others) - 3} more" if len(others) > 3 else ""
        told = [f"{name}: {why}" for name, why in others.items()]
        return Guess(None, "; ".join(told[:3]) + more)

    def read() -> Annotations:
        annotations = read_coco(folder, found.files)
        told = [f"{name} ({why})" for name, why in others.items()]
        annotations.problems.add("other json", told)
        return annotations

    return Guess(read)


def _look_voc(folder: Path) -> Guess:
    root = find_voc(folder)
    return Guess(partial(read_voc, root) if root else None)


def _look_yolo(folder: Path) -> Guess:
    return Guess(partial(read_yolo, folder) if find_yolo(folder) else None)


LAYOUTS: dict[str, Callable[[Path], Guess]] = {
    "COCO JSON": _look_coco,
    "VOC XML": _look_voc,
    "YOLO text": _look_yolo,
}
"""In the order in which they are tried; files of other tools come behind."""


def has_objects(folder: Path) -> bool:
    """Whether some layout's files lie in a folder, or in the only one that it has."""
    return any(look.read for place in _inner(folder) for _, look in _looks(place))


def read_folder(folder: Path) -> Annotations:
    """The first layout with objects in images that are there; notes say what else was seen.

    A folder that has nothing but another one is that one. DataError where nothing can be read,
    with the reason of every layout that was tried.
    """
    for place in _inner(folder):
        looks = _looks(place)
        if any(look.read for _, look in looks):
            return _first(place, looks)
    told = "".join(f"; {look.why}" for _, look in _looks(folder) if look.why) + _others(folder)
    raise DataError(
        f"{folder}: no boxes found; expected COCO (annotations/instances_*.json), "
        f"VOC (Annotations/*.xml) or YOLO (images/ and labels/*.txt), or a labelling tool's{told}"
    )


_NOT_READ = {
    ".tfrecord": "TFRecord",
    ".tfrecords": "TFRecord",
    ".record": "TFRecord",
    ".parquet": "Parquet",
    ".mat": "MATLAB's",
    ".zip": "an archive; unpack it",
    ".tar": "an archive; unpack it",
    ".gz": "an archive; unpack it",
    ".7z": "an archive; unpack it",
}
_KITTI = ("label_2", "label_02")


def _others(folder: Path) -> str:
    """Files of boxes that are known, but not read."""
    for place, names in walk(folder):
        for name in sorted(names):
            what = _NOT_READ.get(Path(name).suffix.casefold())
            if place.name in _KITTI and name.endswith(".txt"):
                what = "KITTI's"
            if what:
                return (
                    f"; {(place / name).relative_to(folder).as_posix()} is not read: it is {what}"
                )
    return ""


def _looks(folder: Path) -> list[tuple[str, Guess]]:
    tools = [
        (kind, Guess(partial(read_tools, folder, kind, files)))
        for kind, files in find_tools(folder).items()
    ]
    return [*((name, _look(look, folder)) for name, look in LAYOUTS.items()), *tools]


def _look(look: Callable[[Path], Guess], folder: Path) -> Guess:
    try:
        return look(folder)
    except DataError as error:  # said when it is read, if nothing else is there
        return Guess(partial(_fail, error))


def _fail(error: DataError) -> Annotations:
    raise error


def _inner(folder: Path) -> Iterator[Path]:
    """A folder, the only one in it, and so on."""
    for _ in range(_DEEPEST):
        yield folder
        inner = [
            child for child in folder.iterdir() if child.is_dir() and not is_hidden(child.name)
        ]
        if len(inner) != 1:
            return
        folder = inner[0]


def _first(folder: Path, looks: Sequence[tuple[str, Guess]]) -> Annotations:
    tried: list[str] = []
    errors: list[DataError] = []
    empty: Annotations | None = None
    for i, (name, look) in enumerate(looks):
        if look.read is None:
            continue
        try:
            found = look.read()
        except DataError as error:
            errors.append(error)
            why = str(error).removeprefix(str(folder)).lstrip(":/ ")
            tried.append(f"{name}: {one_line(why)}")
            continue
        why = _nothing(found)
        if not why:
            found.notes += [f"tried first, {reason}" for reason in tried]
            others = [other for other, look in looks[i + 1 :] if look.read]
            found.notes += [f"there is {few(others)} too: {name} is read"] if others else []
            return found
        empty = empty or found
        tried.append(f"{name}: {why}")
    if empty is not None:
        empty.notes += [
            f"tried too, {reason}" for reason in tried if reason.split(":")[0] != empty.kind
        ]
        return empty
    if len(errors) == 1:
        raise errors[0]
    raise DataError(f"{folder}: no boxes can be read; tried {'; '.join(tried)}")


def _nothing(found: Annotations) -> str:
    """Why a layout that could be read yields nothing; '' where it does."""
    if not any(is_file(found.root / file) for file in found.files):
        what = count(len(found.files), "image is", "images are")
        return f"its {what} not on the disk: {few(found.files, 2)}"
    return "" if len(found.table.image) else "no objects"
