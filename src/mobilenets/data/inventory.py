"""Every file under a data folder: used, or left out with its reason, by kind."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from glob import glob
from pathlib import Path
from typing import Any, NamedTuple

from mobilenets.data.built_in import is_built_in
from mobilenets.data.listing import count, one_line
from mobilenets.runtime.images import SUFFIXES, walk
from mobilenets.runtime.kinds import (
    NEED,
    PHOTOGRAPHS,
    READ,
    can_read,
    is_hidden,
    kind_by_name,
    kind_of,
    suffix_of,
)

NAMES = 5
"""Examples of each kind, for programs."""


Reason = tuple[str, tuple[str, str], bool]
"""Kind, words for one and for many, and whether these are images."""


@dataclass(frozen=True)
class Taken:
    """What a reader took of a folder, all parts together, and what it left out and why."""

    root: Path
    images: frozenset[str] = frozenset()
    """Relative to the root, with `/`; a part that is not opened has its images here too."""
    labels: frozenset[str] = frozenset()
    """Files that say what is in the images: masks, text, lists, names of classes."""
    left: Mapping[str, str] = field(default_factory=dict)
    """A file or a folder -> why none of it is used, in words that follow `images`: `in a folder
    beside train and val`."""


class LeftOut(NamedTuple):
    """Files that are not used for one reason."""

    kind: str
    """In a word or two, for programs."""
    words: tuple[str, str]
    """What they are, in words that follow a number: of one, and of many."""
    images: bool
    """Whether they are images, which somebody may have wanted to be used."""
    number: int
    names: tuple[str, ...]
    """The first of them."""

    @property
    def sentence(self) -> str:
        """What and how many, with an example, in one line."""
        such = self.names[0] if self.number == 1 else f"such as {self.names[0]}"
        return one_line(f"{count(self.number, *self.words)}: {such}")


@dataclass(frozen=True)
class Account:
    """All files under a folder."""

    images: int
    """Used ones."""
    labels: int
    left: tuple[LeftOut, ...]
    """Images first, then by number."""

    @property
    def line(self) -> str:
        """`8 of 20 images left out: 5 ...`; '' where every image is used."""
        left = [one for one in self.left if one.images]
        if not left:
            return ""
        lost = sum(one.number for one in left)
        why = "; ".join(one.sentence for one in left)
        return f"{lost:,} of {count(lost + self.images, 'image', 'images')} left out: {why}"

    def to_json(self) -> dict[str, Any]:
        """All of it, for programs."""
        return {
            "used": {"images": self.images, "labels": self.labels},
            "left_out": [
                {
                    "kind": one.kind,
                    "count": one.number,
                    "text": one.sentence,
                    "names": list(one.names),
                    "images": one.images,
                }
                for one in self.left
            ],
        }


def take_account(path: str | Path, parts: Iterable[Any]) -> Account | None:
    """Every file under `path`, by what the opened parts of it say that they took.

    None for data that is not on disk, and for parts that do not say. Files that a part's problems
    name are left out for that reason; the others are told by what they are. Where `path` is a
    file, a list say, only folders are searched that have images of it.
    """
    parts = [part for part in parts if getattr(part, "taken", None) is not None]
    if is_built_in(path) or not parts:
        return None
    taken = [part.taken for part in parts]
    used = {_full(part.taken.root, file) for part in parts for file in part.files}
    reasons = _reasons(parts, used)
    images = {_full(one.root, name) for one in taken for name in one.images}
    left = {_full(one.root, name): why for one in taken for name, why in one.left.items()}
    images -= reasons.keys() | left.keys()
    labels = {_full(one.root, name) for one in taken for name in one.labels} - images
    top = Path(path) if Path(path).is_dir() else Path(path).parent
    others = (
        (file, reasons.get(full) or _why(file, top, left))
        for file in _files(Path(path), images)
        if (full := os.path.abspath(file)) not in images and full not in labels  # noqa: PTH100
    )
    return Account(len(images), len(labels), _rows(others, top))


def passed_over(given: Iterable[str], files: Iterable[Path]) -> str:
    """What a folder or a pattern has of images besides the `files` that were found; '' if nothing.

    Named by kind, as `Account.line` does: HEIC without its decoder, camera raw and the like.
    """
    used = {os.path.abspath(file) for file in files}  # noqa: PTH100
    there = [file for path in given for file in _all_of(path)]
    others = [file for file in there if os.path.abspath(file) not in used]  # noqa: PTH100
    rows = _rows(((file, _why(file, file.parent, {})) for file in others), None)
    return Account(len(used), 0, rows).line


def _all_of(given: str) -> Iterator[Path]:
    """The files of a folder, or of all folders and files that a pattern fits."""
    path = Path(given)
    matches = [path] if path.exists() else map(Path, glob(given, recursive=True))  # noqa: PTH207
    for match in matches:
        if match.is_dir():
            yield from (parent / name for parent, names in walk(match) for name in names)
        elif match != path:
            yield match


def _rows(files: Iterable[tuple[Path, Reason]], top: Path | None) -> tuple[LeftOut, ...]:
    """Files with their reasons, by reason: images first, then by number."""
    names: dict[Reason, list[str]] = {}
    sizes: Counter[Reason] = Counter()
    for file, why in files:
        sizes[why] += 1
        if sizes[why] <= NAMES:
            name = file.relative_to(top) if top is not None else file
            names.setdefault(why, []).append(name.as_posix())
    rows = [LeftOut(*why, sizes[why], tuple(some)) for why, some in names.items()]
    rows.sort(key=lambda row: (not row.images, -row.number, row.kind))
    return tuple(rows)


def _full(root: Path, name: str) -> str:
    return os.path.abspath(root / name)  # noqa: PTH100


def _reasons(parts: Iterable[Any], used: set[str]) -> dict[str, Reason]:
    """Full path -> why, of the files that problems name and that are not used."""
    found: dict[str, Reason] = {}
    for part in parts:
        for problem in getattr(part, "problems", ()):
            one, many = (text.partition(", left out")[0] for text in problem.words)
            for name in problem.names if many != problem.words[1] else ():
                for form in (name, name.rpartition(" (")[0]):
                    full = _full(part.taken.root, form)
                    if form and full not in used and Path(full).is_file():
                        is_image = suffix_of(form) in SUFFIXES
                        found[full] = problem.kind, (one, many), is_image
    return found


def _files(path: Path, images: set[str]) -> Iterator[Path]:
    """Every file under a folder; of a list, those in the folders beside it that it names."""
    if path.is_dir():
        tops = [path]
    else:
        yield path
        base = os.path.abspath(path.parent)  # noqa: PTH100
        below = {Path(file).relative_to(base).parts for file in images if file.startswith(base)}
        tops = [path.parent / first for first in sorted({p[0] for p in below if len(p) > 1})]
    for top in tops:
        for folder, names in walk(top, hidden=True):
            yield from (folder / name for name in sorted(names))


def _why(file: Path, top: Path, left: Mapping[str, str]) -> Reason:
    """Why nobody took a file, by what its reader says of its folders, else by what it is."""
    inside = file.relative_to(top).parts
    if any(is_hidden(part) for part in inside):
        return _other(
            "hidden",
            "file that is hidden or that a system writes",
            "files that are hidden or that systems write",
        )
    if not file.exists():
        return _other("dead link", "link to nothing", "links to nothing")
    kind = kind_by_name(file.name) or kind_of(file)
    if kind in NEED and not can_read(kind):
        how = f"`{NEED[kind]}`"
        words = f"{kind} image, which needs {how}", f"{kind} images, which need {how}"
        return kind, words, True
    if kind in PHOTOGRAPHS and kind not in NEED:
        words = f"{kind} image, which is not read", f"{kind} images, which are not read"
        return kind, words, True
    if kind in READ or kind in NEED or suffix_of(file.name) in SUFFIXES:
        return _image(file, top, left)
    if kind:
        plural = kind if kind in ("data", "text", "weights") else f"{kind}s"
        return _other(kind, f"file of {kind}", f"files of {plural}")
    if file.stat().st_size == 0:
        return _other("empty", "empty file", "empty files")
    return _other("other", "file of another kind", "files of other kinds")


def _image(file: Path, top: Path, left: Mapping[str, str]) -> Reason:
    if file.stat().st_size == 0:
        return "empty image", ("image that is an empty file", "images that are empty files"), True
    for place in (file, *file.parents):
        why = left.get(os.path.abspath(place))  # noqa: PTH100
        if why is not None:
            return why, (f"image {why}", f"images {why}"), True
        if place == top:
            break
    return "not named", ("image that no label names", "images that no label names"), True


def _other(kind: str, one: str, many: str) -> Reason:
    return kind, (one, many), False
