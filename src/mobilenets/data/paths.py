"""Files by the paths that other tools, systems and machines wrote."""

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from mobilenets.data.listing import Part, count, few, one_line, part_named
from mobilenets.runtime.images import walk

_SAMPLE = 50
"""Paths that are looked up to see which folder has most of them."""
_SERVED = re.compile(r"(?i)^(?:[a-z][a-z0-9+.-]+://|/?data/local-files/\?)")
"""What begins an address: a scheme, or Label Studio's own."""


class Placed(NamedTuple):
    """Where files are, in the order of the paths that were asked for."""

    files: list[str]
    """Relative to the root, with `/`; where there is none, where it was looked for first."""
    there: list[bool]
    notes: list[str]
    """A sentence on paths that had to be changed, one on those that fit several files."""


class Tree:
    r"""The files of a folder, by paths that may be another system's, machine's or folder's.

    A path is taken as it is where that is a file. Else the longest end of it that is a file's
    below the root is: `D:\set\images\a.jpg` finds `images/a.jpg`. Case and the way accents are
    stored do not matter then. An end that several files have, or a file that several paths end
    at, is nobody's: nothing is guessed. Folders are listed once, when first asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listed: dict[str, frozenset[str]] = {}
        self._by_name: dict[str, list[str]] | None = None

    def find(self, said: Sequence[str], folders: Iterable[str] = ("",), part: Part = "") -> Placed:
        """Where the files are that `said` calls so, from each of `folders` (relative to the root).

        The folder that has most of them is tried first. `part` is theirs: a file in a folder of
        another part is not found by its bare name.
        """
        plain = [clean_path(path) for path in said]
        order = self._by_hits(list(dict.fromkeys(folders)), plain)
        files = [self._as_said(raw, path, order) for raw, path in zip(said, plain, strict=True)]
        changed = {i: file for i, file in enumerate(files) if file and _differs(said[i], file)}
        missing = [i for i, file in enumerate(files) if file is None]
        ends, several = self._by_ends({i: plain[i] for i in missing}, order, part)
        taken = {file for file in files if file}
        for i, file in ends.items():
            if file not in taken:
                files[i] = changed[i] = file
        first = order[0] if order else ""
        wanted = [file or _joined(first, path) for file, path in zip(files, plain, strict=True)]
        notes = []
        if changed:
            what = count(len(changed), "path is another system's", "paths are another system's")
            i, file = next(iter(changed.items()))
            notes.append(one_line(f"{what} or folder's, found by the end: {said[i]} is {file}"))
        if several:
            what = count(len(several), "path fits", "paths fit")
            names = few([one_line(said[i]) for i in several], 3)
            notes.append(f"{what} more than one file or another's, not found: {names}")
        return Placed(wanted, [file is not None for file in files], notes)

    def folder(self, said: str, bases: Iterable[str] = ("",)) -> str | None:
        """The folder that `said` means, relative to the root: as it is, else by its longest end.

        An end is looked for below each of `bases`, relative to the root; None for no folder.
        """
        parts = PurePosixPath(clean_path(said)).parts
        bases = list(bases)
        for i in range(len(parts)):
            for base in bases:
                place = _joined(base, "/".join(parts[i:]))
                if (self.root / place).is_dir():
                    return place
        return None

    def _by_hits(self, folders: list[str], plain: Sequence[str]) -> list[str]:
        sample = plain[:: max(len(plain) // _SAMPLE, 1)]
        hits = {f: sum(self.has(_joined(f, path)) for path in sample) for f in folders}
        return sorted(folders, key=lambda folder: -hits[folder])  # others stay in their order

    def _as_said(self, raw: str, plain: str, folders: Sequence[str]) -> str | None:
        if raw.startswith("/") and self.has(raw):
            return Path(os.path.relpath(raw, self.root)).as_posix()
        forms = dict.fromkeys((raw, plain, unquote(plain)))
        places = (_joined(folder, path) for path in forms for folder in folders)
        return next((place for place in places if self.has(place)), None)

    def has(self, place: str) -> bool:
        """Whether there is such a file, by its path from the root."""
        folder, _, name = place.rpartition("/")
        if folder not in self._listed:
            try:
                names = os.listdir(self.root / (folder or "."))  # noqa: PTH208
            except (OSError, ValueError):  # none, a name too long, or one with a null in it
                names = []
            self._listed[folder] = frozenset(names)
        return name in self._listed[folder]

    def _by_ends(
        self, paths: dict[int, str], folders: Sequence[str], part: Part
    ) -> tuple[dict[int, str], list[int]]:
        """Number -> file, by the longest end; and the numbers that fit several or share one."""
        found: dict[int, tuple[int, str]] = {}
        several = []
        for i, path in paths.items():
            length, choices = self._longest(path, part)
            if not choices and "%" in path:
                length, choices = self._longest(unquote(path), part)
            for folder in folders if len(choices) > 1 else ():
                choices = [c for c in choices if _is_below(c, folder)] or choices
            if len(choices) == 1:
                found[i] = (length, choices[0])
            elif choices:
                several.append(i)
        longest: dict[str, int] = {}
        claims: dict[str, set[str]] = {}
        for i, (length, file) in found.items():
            if length > longest.get(file, 0):
                longest[file], claims[file] = length, set()
            if length == longest[file]:
                claims[file].add(paths[i])
        kept = {
            i: file
            for i, (length, file) in found.items()
            if length == longest[file] and len(claims[file]) == 1
        }
        return kept, sorted([*several, *(found.keys() - kept.keys())])

    def _longest(self, path: str, part: Part) -> tuple[int, list[str]]:
        """How many last parts of a path are some file's too, and the files."""
        wanted = _folded(path)
        best = 0
        choices: list[str] = []
        for file in self._names().get(wanted[0], []) if wanted else []:
            parts = _folded(file)
            both = takewhile(lambda pair: pair[0] == pair[1], zip(wanted, parts, strict=False))
            length = sum(1 for _ in both)
            if length == 1 and part and _other_part(file, part):
                continue
            if length > best:
                best, choices = length, []
            if length == best:
                choices.append(file)
        exact = [file for file in choices if PurePosixPath(file).name == PurePosixPath(path).name]
        return best, exact or choices

    def _names(self) -> dict[str, list[str]]:
        """Every file below the root by its own name, hidden ones left out."""
        if self._by_name is None:
            self._by_name = {}
            for file in _walk(self.root):
                self._by_name.setdefault(_folded(file)[0], []).append(file)
        return self._by_name


def is_file(path: Path) -> bool:
    """Whether a file is there; a name that no system can have is none's."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long, or with a null in it
        return False


def clean_path(said: str) -> str:
    """A path as written somewhere, with `/`, and without what belongs to a machine.

    Quotes, drives, schemes and servers are left away; `/data/local-files/?d=a/b.jpg`, as Label
    Studio writes it, is `a/b.jpg`. Addresses are decoded (`%20`), plain paths are not.
    """
    text = said.strip().strip("\"'")
    if _SERVED.match(text) and not re.match(r"(?i)^[a-z]:[/\\]", text):
        try:
            address = urlsplit(text)
            given = parse_qs(address.query).get("d")
            text = given[0] if given else unquote(address.path)
        except ValueError:
            pass
    text = re.sub(r"^[A-Za-z]:(?=[/\\])", "", text).replace("\\", "/")
    steps = [step for step in text.split("/") if step not in ("", ".")]
    return "/".join(steps)


def _differs(said: str, file: str) -> bool:
    """Whether a path had to be changed to be found, other than by a folder in front of it."""
    plain = clean_path(said)
    before = said.strip().strip("\"'").removesuffix(plain)
    return bool(before.strip("./")) and not (said.startswith("/") and file.startswith(".."))


def _joined(folder: str, path: str) -> str:
    """Both as one path without `.` and needless `..`."""
    place = os.path.normpath(f"{folder or '.'}/{path or '.'}")
    return place.replace(os.sep, "/").removeprefix("./")


def _is_below(file: str, folder: str) -> bool:
    return folder in ("", ".") or file.startswith(f"{folder}/")


def _folded(path: str) -> list[str]:
    """A path's parts, the last one first, in one case and with accents in one form."""
    folded = unicodedata.normalize("NFC", path).casefold()
    return [part for part in folded.split("/")[::-1] if part not in ("", ".", "..")]


def _other_part(file: str, part: Part) -> bool:
    folders = PurePosixPath(file).parts[:-1]
    named = {part_named(name.rstrip("0123456789")) for name in folders} - {None}
    return bool(named) and part not in named


def _walk(root: Path) -> Iterator[str]:
    """Every file below a folder, relative to it, hidden ones left out."""
    for parent, names in walk(root):
        before = Path(os.path.relpath(parent, root)).as_posix()
        for name in sorted(names):
            yield name if before == "." else f"{before}/{name}"
