"""What is wrong with labelled data: counted and named, nothing lost in silence."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mobilenets.data.listing import count, few, one_line

Kinds = Mapping[str, tuple[str, str]]
"""A kind of problem -> its sentence for one and for many, behind a number. A use has its own."""

_SHARED: Kinds = {
    "missing": ("image is not on the disk, left out", "images are not on the disk, left out"),
    "unreadable": ("image cannot be opened, left out", "images cannot be opened, left out"),
    "narrow": (
        "image is one pixel wide or high, left out",
        "images are one pixel wide or high, left out",
    ),
    "unlisted": (
        "annotation file is in none of the lists of images, left out",
        "annotation files are in none of the lists of images, left out",
    ),
    "overlap": (
        "image is in two parts, kept in the later of train, val and test",
        "images are in two parts, kept in the later of train, val and test",
    ),
}


def shared(*kinds: str) -> dict[str, tuple[str, str]]:
    """Kinds that data of any labels can have: `missing`, `unreadable`, `narrow`, ..."""
    return {kind: _SHARED[kind] for kind in kinds}


@dataclass(frozen=True)
class Problem:
    """One kind of thing that was found."""

    kind: str
    """In a word or two, for programs."""
    count: int
    """How many times."""
    names: tuple[str, ...]
    """The images, files or classes concerned, each once."""
    words: tuple[str, str]
    """What it is, in words that follow a number: of one, and of many."""

    @property
    def sentence(self) -> str:
        """What, how many, and the first names, in one line."""
        text = count(self.count, *self.words)
        return one_line(f"{text}: {few(self.names)}") if self.names else text


class Problems:
    """Collects what is found while a data set is read: of `kinds`, told in their order."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self._counts: dict[str, int] = {}
        self._names: dict[str, dict[str, None]] = {kind: {} for kind in kinds}

    def add(self, kind: str, names: Iterable[str], number: int | None = None) -> None:
        """Count `number` more of `kind`, or as many as there are names."""
        names = list(names)
        number = len(names) if number is None else number
        if number:
            self._counts[kind] = self._counts.get(kind, 0) + number
            self._names[kind].update(dict.fromkeys(names))

    def list(self) -> list[Problem]:
        """All of them, in the order of the kinds."""
        return [
            Problem(kind, self._counts[kind], tuple(names), self._kinds[kind])
            for kind, names in self._names.items()
            if kind in self._counts
        ]
