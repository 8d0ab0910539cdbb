"""Which images are for what: as the data says, or some held out for validation."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from mobilenets.data.listing import Part, count, few, rank
from mobilenets.errors import DataError

Split = Literal["train", "val", "test", "all", "eval"]

OWN_PART = "the data's own {} part"
HELD_OUT = "held out of {} by their names"
EVERY = "all that there are"
NONE_LEFT = "all that there are: none can be held out"
"""Which images a data set has, in words: its `origin`."""


class Selection(NamedTuple):
    """The images of a split."""

    images: list[int]
    """Their numbers."""
    notes: list[str]
    """On images held out or left aside."""
    origin: str
    """Which they are, in words; where there are none, perhaps why."""


class Holding:
    """How images are held out for validation, and what is said of it: whole groups of them."""

    origin = HELD_OUT

    def __init__(self, groups: Sequence[str]) -> None:
        self.groups = groups
        """What each image of the data has in common with others, '' for nothing."""

    def groups_of(self, images: Sequence[int]) -> Sequence[str]:
        """The group of each of these images."""
        return [self.groups[i] for i in images]

    def alone(self, groups: Sequence[str]) -> str:
        """Why none of the images in these groups can be held out."""
        what = "group" if any(groups) else "image"
        return f": one {what} alone is too few, since another is needed to validate on"

    def note(self, groups: Sequence[str], held: Sequence[str]) -> str:
        """What is said of images held out: the groups of all there were, and of those."""
        what = count(len(held), "image is", "images are")
        whole = ", in whole groups" if any(groups) else ""
        return f"{what} held out for validation{whole}: the data has no val part of its own"


def check_split(split: str, val_fraction: float) -> None:
    """ValueError for a split that there is not, or a share that leaves nothing."""
    if split not in get_args(Split):
        raise ValueError(f"split must be train, val, test, all or eval, got {split!r}")
    if not 0 < val_fraction < 1:
        raise ValueError(f"val_fraction must be between 0 and 1, got {val_fraction!r}")


def present(parts: Sequence[Part]) -> list[Part]:
    """The parts that some image is of, train first."""
    return [part for part in get_args(Part) if part in parts]


def choose(
    path: str | Path,
    files: Sequence[str],
    parts: Sequence[Part],
    split: Split,
    val_fraction: float,
    seed: int,
    holding: Holding | None = None,
) -> Selection:
    """The split's images. DataError, which says what `path` has, where there are none.

    `eval` is val as training has it; where there is none, everything. `holding` says which images
    are held out together; without it each is alone.
    """
    holding = holding or Holding([""] * len(files))
    chosen = _choose(files, parts, split, val_fraction, seed, holding)
    if not chosen.images:
        found = ", ".join(f"{parts.count(part)} for {part or 'all'}" for part in present(parts))
        raise DataError(f"{path}: no images for {split}; it has {found or 'none'}{chosen.origin}")
    return chosen


def _choose(
    files: Sequence[str],
    parts: Sequence[Part],
    split: Split,
    val_fraction: float,
    seed: int,
    holding: Holding,
) -> Selection:
    every = range(len(files))
    of = {part: [i for i in every if parts[i] == part] for part in ("val", "test")}
    own = [i for i in every if parts[i] in ("train", "")]
    if split == "all":
        return Selection(list(every), [], EVERY)
    if split == "test":
        return Selection(of["test"], [], OWN_PART.format("test"))
    notes = [kept_for_test(len(of["test"]))] if of["test"] and (own or of["val"]) else []
    if of["val"]:
        part: Part = "train" if split == "train" else "val"
        return Selection(own if split == "train" else of["val"], notes, OWN_PART.format(part))
    names, groups = [files[i] for i in own], holding.groups_of(own)
    chosen = hold_out(names, groups, [""] * len(own), val_fraction, seed)
    if split == "eval" and not chosen:
        if of["test"]:
            return Selection(of["test"], [], OWN_PART.format("test"))
        return Selection(list(every), [], NONE_LEFT)
    if split == "val" and own and not chosen:
        return Selection([], [], holding.alone(groups))
    if chosen:
        held = [group for group, file in zip(groups, names, strict=True) if file in chosen]
        notes.append(holding.note(groups, held))
    kept = [i for i in own if (files[i] in chosen) == (split != "train")]
    return Selection(kept, notes, "" if split == "train" else holding.origin.format(len(own)))


def hold_out(
    files: Sequence[str],
    groups: Sequence[str],
    labels: Sequence[Hashable],
    fraction: float,
    seed: int,
) -> set[str]:
    """The files kept for validation: whole groups, of each label about `fraction` of its files.

    `groups` and `labels` have one for each file; a file whose group is '' is alone. Of a label at
    least one file is held out where that can be, and never all of them. Groups are taken by the
    rank of a hash of `seed` and their names; where all files are alone, as `held_out` does for
    each label.
    """
    members: dict[tuple[bool, str], list[int]] = {}
    for i, (file, group) in enumerate(zip(files, groups, strict=True)):
        members.setdefault((bool(group), group or file), []).append(i)
    sizes = Counter(labels)
    wanted = {label: min(max(1, round(size * fraction)), size - 1) for label, size in sizes.items()}
    held: Counter[Hashable] = Counter()
    kept: set[str] = set()
    counts = {key: Counter(labels[i] for i in one) for key, one in members.items()}

    def take(key: tuple[bool, str]) -> None:
        held.update(counts.pop(key))
        kept.update(files[i] for i in members[key])

    def spares(group: Counter[Hashable]) -> bool:
        return all(held[label] + n < sizes[label] for label, n in group.items())

    def nearer(group: Counter[Hashable]) -> bool:
        off = {label: wanted[label] - held[label] for label in group}
        return sum(abs(off[one] - n) for one, n in group.items()) < sum(map(abs, off.values()))

    ranked = sorted(members, key=lambda key: (rank(seed, key[1]), key))
    for key in ranked:
        if spares(counts[key]) and nearer(counts[key]):
            take(key)
    missing = {label for label in sizes if not held[label]}
    for key in sorted((key for key in ranked if key in counts), key=lambda key: len(members[key])):
        if any(label in missing for label in counts[key]) and spares(counts[key]):
            missing -= counts[key].keys()
            take(key)
    return kept


def groups_in_two_parts(parts: Iterable[tuple[Part, str]], source: str) -> list[str]:
    """A note on the groups that a list puts into several parts; [] where there are none.

    `parts` has the part and the group of each image, `source` is what says so.
    """
    of: dict[str, dict[Part, None]] = {}
    for part, group in parts:
        if group:
            of.setdefault(group, {}).setdefault(part)
    split = {group: present(list(found)) for group, found in of.items() if len(found) > 1}
    if not split:
        return []
    names = few([f"{group} ({' and '.join(found)})" for group, found in split.items()])
    what = count(len(split), "group is", "groups are")
    return [f"{what} in several parts of {source}, so what is measured flatters: {names}"]


def kept_for_test(images: int) -> str:
    """A note: a test part is neither learned from nor does it pick the best epoch."""
    what = count(images, "test image is", "test images are")
    return f"{what} kept for `eval --split test`"
