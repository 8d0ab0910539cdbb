"""What class folders and a CSV list have in common: files, their classes, their part."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from mobilenets.errors import DataError

Part = Literal["train", "val", "test", ""]
"""'' where the data does not say which images are for validation."""

Role = Literal["query", "gallery", ""]
"""What an image is for in a search: to be looked for, to be found, or '' for both."""

_PARTS: dict[str, Part] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def part_named(name: str) -> Part | None:
    """The part that people mean by this folder name or CSV value; None if it is none."""
    return _PARTS.get(name.strip().casefold())


@dataclass(frozen=True)
class Entry:
    """An image: its path relative to the listing's root, with `/`, and its class in words."""

    path: str
    label: str
    group: str = ""
    """What it has in common with others, a person or an album: a group is never split. '' where
    nothing is said: then it is alone."""
    role: Role = ""


@dataclass
class Listing:
    """All that is on disk, before a split is chosen."""

    root: Path
    parts: dict[Part, list[Entry]]
    classes: list[str]
    """Class names in their order; those of the train part where there is one."""
    notes: list[str] = field(default_factory=list)
    lists: list[str] = field(default_factory=list)
    """Files that say which class and part an image is of, relative to the root."""
    empty: dict[str, str] = field(default_factory=dict)
    """A class without images that are read -> what it has instead."""
    left: dict[str, str] = field(default_factory=dict)
    """A file or folder that is left out -> why, in words that follow `image`."""


def few(names: Sequence[str], most: int = 5) -> str:
    """The first names and how many more there are, for a message."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def alike(classes: Sequence[str]) -> list[str]:
    """A note on classes that differ in capitals only, or look the same: a slip, mostly.

    An é is one character to some systems and two to others.
    """
    forms: dict[str, list[str]] = {}
    for name in classes:
        forms.setdefault(normalize("NFC", name).casefold(), []).append(name)
    found = [names for names in forms.values() if len(names) > 1]
    unseen = [n for n in found if len({normalize("NFC", name) for name in n}) < len(n)]
    words = (
        ("that differ in capitals only", [n for n in found if n not in unseen]),
        ("that look the same, an accent being stored in two ways", unseen),
    )
    return [
        f"classes {what}: {few([' and '.join(names) for names in some])}"
        for what, some in words
        if some
    ]


def count(n: int, one: str, many: str) -> str:
    """`1 image is`, `2 images are`."""
    return f"{n:,} {one if n == 1 else many}"


def one_line(text: str) -> str:
    """`text` as it can be printed: without breaks, control characters or halves of characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def held_out(files: Sequence[str], fraction: float, seed: int) -> set[str]:
    """The share of `files` kept for validation: at least one, never all.

    They are chosen by the rank of a hash of `seed` and name: a file added later moves at most
    one other.
    """
    ranked = sorted(files, key=lambda file: rank(seed, file))
    return set(ranked[: min(max(1, round(len(files) * fraction)), len(files) - 1)])


def rank(seed: int, name: str) -> bytes:
    """Where a name stands in an order that `seed` decides, whatever others there are."""
    text = f"{seed}/{name}".encode(errors="surrogateescape")
    return hashlib.blake2b(text, digest_size=8).digest()


def unknown_labels(listing: Listing, parts: Sequence[Part]) -> None:
    """Raise a DataError when one of `parts` has a class that train does not have."""
    known = set(listing.classes)
    for part in parts:
        found = [e.label for e in listing.parts.get(part, []) if e.label not in known]
        if found:
            raise DataError(
                f"{listing.root}: {part} has classes that train does not have: "
                f"{few(sorted(set(found)))} ({count(len(found), 'image', 'images')}); train has "
                f"{few(listing.classes)}: put some of them there, or take them out of {part}"
            )
