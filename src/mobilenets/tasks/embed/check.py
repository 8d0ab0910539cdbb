"""`data check` of images to be found again: classes, queries, galleries, pairs, what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from mobilenets.data.built_in import is_built_in
from mobilenets.data.files import ImagesOnDisk
from mobilenets.data.inventory import Taken
from mobilenets.data.listing import count
from mobilenets.data.problems import Kinds, Problem, Problems, shared
from mobilenets.errors import DataError
from mobilenets.runtime.draw import readable
from mobilenets.tasks.embed.data import open_data, open_parts, say_searches
from mobilenets.tasks.embed.formats.gnd import TruthImages, find_truth, open_truth
from mobilenets.tasks.embed.formats.images import ImagePair, SoughtImages, UnseenShapes
from mobilenets.tasks.embed.formats.pairs import NAME, read_pairs
from mobilenets.tasks.embed.formats.targets import Sought
from mobilenets.tasks.report import REFUSED, Progress, Report, Table, class_table, files_of, opened

THINGS = "images to find again"
NETWORK = "an embedding network"
GIVE = "class folders, folders query and gallery, a pairs.txt or a gnd_*.json"
LAST = True

KINDS: Kinds = {
    **shared("unreadable", "narrow"),
    REFUSED: (
        "reason for which training refuses this",
        "reasons for which training refuses this",
    ),
    "alone": (
        "class has one image alone in a part: nothing can be found for it",
        "classes have one image alone in a part: nothing can be found for them",
    ),
    "seen": (
        "class is learned from and measured on",
        "classes are learned from and measured on",
    ),
    "group": ("group is in two parts", "groups are in two parts"),
    "not there": (
        "class of the queries is not in the gallery",
        "classes of the queries are not in the gallery",
    ),
    "pair": (
        "pair is left out, an image of it is not there",
        "pairs are left out, an image of theirs is not there",
    ),
}
"""In the order in which they are told."""


@dataclass(frozen=True, eq=False)
class SoughtOnDisk(ImagesOnDisk):
    """Images on disk with a class and a role each, opened to be looked at."""

    labels: tuple[int, ...]
    roles: tuple[str, ...]
    pairs: tuple[ImagePair, ...]
    groups: tuple[str, ...]

    def target(self, i: int) -> Any:
        """Its class, and what it is for in a search."""
        role: Any = self.roles[i] if self.roles else ""
        return Sought(self.labels[i], i, role)

    def label(self, i: int) -> str:
        """The class in words."""
        return self.classes[self.labels[i]]


class ShapesToFind(UnseenShapes):
    """The built-in shapes, as data to be looked at."""

    kind: ClassVar[str] = "built-in shapes"
    named: ClassVar[bool] = True
    roles: ClassVar[tuple[str, ...]] = ()
    groups: ClassVar[tuple[str, ...]] = ()

    @property
    def problems(self) -> list[Problem]:
        """None: nothing was found wrong."""
        return []

    @property
    def labels(self) -> tuple[int, ...]:
        """The class of each picture."""
        return tuple(self.target(i).label for i in range(len(self)))

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.size, self.size


Parts = Mapping[str, SoughtOnDisk | ShapesToFind]


def claims(path: str) -> bool:
    """Whether pairs, a truth, queries or a gallery lie there; class folders could be all else."""
    return say_searches(path)


def look(path: str, split: str | None, progress: Progress) -> Report:
    """What every part on disk holds, or one split as training would open it."""
    problems = Problems(KINDS)
    parts: Parts
    if is_built_in(path):
        chosen = ("train", "val") if split is None else (split,)
        parts = {name: ShapesToFind(name, 0) for name in chosen}
    else:
        parts = _open_parts(path, split, progress, problems)
    counts = {
        name: Counter(part.classes[label] for label in part.labels) for name, part in parts.items()
    }
    classes = sorted({name for one in counts.values() for name in one})
    rows = {name: tuple(one[name] for one in counts.values()) for name in classes}
    first = next(iter(parts.values()))
    content: list[Table | str] = [
        f"{path}: {first.kind}, {count(len(classes), 'class', 'classes')}",
        _parts_table(parts),
        *class_table(("class", *parts), rows),
        *(_pairs_line(name, part.pairs) for name, part in parts.items() if part.pairs),
    ]
    return Report(parts, _to_json(parts, counts, classes), content, draw, files_of(parts))


def draw(part: SoughtOnDisk | ShapesToFind, image: Image.Image, i: int) -> Image.Image:
    """The image, large enough to be seen: its class is its folder's name."""
    return readable(image)


def _open_parts(path: str, split: str | None, progress: Progress, problems: Problems) -> Parts:
    truth = find_truth(Path(path))
    with progress("reading", 0):
        chosen: dict[str, Any]
        if truth is not None and split != "train":
            chosen = {split or "all": open_truth(truth)}
        elif split is None:
            chosen = dict(open_parts(path))
            _tell(path, chosen, problems)
        else:
            chosen = {split: open_data(path, split)}
    sizes = {}
    for name, part in chosen.items():
        _tell_of(name, part, problems)
        files = _places(part)
        sizes[name] = opened(files.root, files.names, progress, problems)
    if not any(sizes.values()):
        raise DataError(f"{path}: none of its images can be opened")
    found = {
        name: _on_disk(part, sizes[name], problems) for name, part in chosen.items() if sizes[name]
    }
    return {name: replace(part, problems=problems.list()) for name, part in found.items()}


@dataclass(frozen=True)
class _Files:
    root: Path
    names: tuple[str, ...]


def _places(part: SoughtImages | TruthImages) -> _Files:
    """Where its images lie."""
    if isinstance(part, SoughtImages):
        return _Files(part.root, part.files)
    root = part.root
    return _Files(root, tuple(file.relative_to(root).as_posix() for file in part.files))


def _on_disk(
    part: SoughtImages | TruthImages, sizes: Mapping[int, tuple[int, int]], problems: Problems
) -> SoughtOnDisk:
    """The part without the images that cannot be opened."""
    files, kept = _places(part), list(sizes)
    number = {old: new for new, old in enumerate(kept)}
    if isinstance(part, SoughtImages):
        kind, classes, labels = _kind(part), part.classes, part.labels
        roles, groups, taken = part.roles, part.groups, part.taken
        pairs = [p for p in part.pairs if {p.first, p.second} <= number.keys()]
    else:
        kind, classes = "queries and a gallery with their truth", ("gallery", "query")
        roles = tuple(part.target(i).role for i in range(len(part)))
        labels = tuple(int(role == "query") for role in roles)
        groups, pairs = ("",) * len(part), []
        taken = Taken(files.root, frozenset(files.names), frozenset({part.listed}))
    return SoughtOnDisk(
        kind,
        files.root,
        classes,
        True,
        tuple(files.names[i] for i in kept),
        np.array([sizes[i] for i in kept], np.int64),
        part.notes,
        problems.list(),
        tuple(labels[i] for i in kept),
        tuple(roles[i] for i in kept) if roles else (),
        tuple(replace(p, first=number[p.first], second=number[p.second]) for p in pairs),
        tuple(groups[i] for i in kept),
        origin=part.origin,
        taken=taken,
    )


def _kind(part: SoughtImages) -> str:
    lists = [name for name in part.taken.labels if name != NAME]
    listed = "CSV list" if lists else "class folders"
    return f"{listed} of queries and a gallery" if part.roles else listed


def _tell(path: str, parts: Mapping[str, SoughtImages], problems: Problems) -> None:
    """What parts have in common that they must not, and what would keep training from it."""
    learned = parts.get("train") or parts.get("all")
    where: dict[str, set[str]] = {}
    for name, part in parts.items():
        for group in {*part.groups} - {""}:
            where.setdefault(group, set()).add(name)
        if name in ("val", "test") and learned is not None:
            both = sorted({*part.classes} & {*learned.classes})
            problems.add("seen", [f"{one} ({name})" for one in both])
    problems.add("group", sorted(group for group, there in where.items() if len(there) > 1))
    pairs = Path(path) / NAME
    if pairs.is_file():
        missing = len(read_pairs(pairs)) - sum(len(part.pairs) for part in parts.values())
        problems.add("pair", [], max(missing, 0))
    try:
        open_data(path, "train")
    except DataError as error:
        problems.add(REFUSED, [str(error).removeprefix(f"{path}: ")])


def _tell_of(name: str, part: SoughtImages | TruthImages, problems: Problems) -> None:
    """What is odd about the classes of one part."""
    if not isinstance(part, SoughtImages):
        return
    sides: dict[str, set[str]] = {"query": set(), "gallery": set()}
    for label, role in zip(part.labels, part.roles or ("",) * len(part), strict=True):
        for side in sides if not role else (role,):
            sides[side].add(part.classes[label])
    if part.roles:
        absent = sorted(sides["query"] - sides["gallery"])
        problems.add("not there", [f"{one} ({name})" for one in absent])
        return
    sizes = Counter(part.labels)
    alone = [part.classes[label] for label in sorted(sizes) if sizes[label] == 1]
    problems.add("alone", [f"{one} ({name})" for one in alone])


def _parts_table(parts: Parts) -> Table:
    """Images, classes, roles and sizes of each part."""
    rows: dict[str, tuple[Any, ...]] = {}
    for name, part in parts.items():
        roles = Counter(part.roles or ("",) * len(part))
        sides = [min(part.image_size(i)) for i in range(len(part))]
        classes = len(set(part.labels))
        queries, gallery = (roles[""] + roles[role] for role in ("query", "gallery"))
        least, middle, most = (int(v) for v in np.quantile(sides, [0, 0.5, 1]))
        rows[name] = (len(part), classes, queries, gallery, least, middle, most)
    titles = ("part", "images", "classes", "looked for", "to be found")
    return Table((*titles, "least short side", "median", "greatest"), rows)


def _pairs_line(name: str, pairs: Sequence[ImagePair]) -> str:
    """How many pairs there are, of what kind, in how many folds."""
    same = sum(pair.same for pair in pairs)
    folds = count(len({pair.fold for pair in pairs}), "fold", "folds")
    return (
        f"{name}: {count(len(pairs), 'pair', 'pairs')} in {folds}, {same:,} of one class and "
        f"{len(pairs) - same:,} of two"
    )


def _to_json(
    parts: Parts, counts: Mapping[str, Counter[str]], classes: Sequence[str]
) -> dict[str, Any]:
    """All figures of all parts as JSON values, for `--json`."""
    return {
        "task": "embed",
        "kind": next(iter(parts.values())).kind,
        "classes": list(classes),
        "parts": {
            name: {
                "images": len(part),
                "by_class": {label: counts[name][label] for label in classes},
                "roles": dict(Counter(part.roles)),
                "pairs": len(part.pairs),
            }
            for name, part in parts.items()
        },
    }
