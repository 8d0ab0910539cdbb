"""Which classes are learned from, and on which a network is measured: others, where that can be."""

from collections.abc import Sequence
from typing import NamedTuple

from mobilenets.data.listing import Entry, Listing, count, few, rank
from mobilenets.data.splits import (
    EVERY,
    NONE_LEFT,
    OWN_PART,
    Split,
    hold_out,
    kept_for_test,
)

FRACTION = 0.2
"""Share of the classes that are kept to measure on, where the data does not say which."""
LEAST = 2
"""Classes that both parts must have: with one, every answer would be right."""


class Part(NamedTuple):
    """The images of a part."""

    entries: list[Entry]
    notes: list[str]
    origin: str
    """Which they are, in words; where there are none, why."""


def choose_part(listing: Listing, split: Split, named: Sequence[str], seed: int) -> Part:
    """The images of `split`. Folders and lists that say their parts are taken as they are.

    Else the classes that are `named` in a list of pairs are measured on; without such a list a
    fifth of the classes, by the rank of a hash of `seed` and their names. Classes that share a
    group stay together. Of fewer than four classes, images of each are held out instead.
    """
    of = listing.parts
    own = of.get("train", []) + of.get("", [])
    every = [entry for part in of.values() for entry in part]
    if split == "all":
        return Part(every, [], EVERY)
    if split == "test":
        return Part(of.get("test", []), [], OWN_PART.format("test"))
    notes = []
    if of.get("test") and (own or of.get("val")):
        notes.append(kept_for_test(len(of["test"])))
    if of.get("val"):
        part = "train" if split == "train" else "val"
        kept = own if split == "train" else of["val"]
        return Part(kept, notes + overlap(own, of["val"]), OWN_PART.format(part))
    if not own and split == "eval":
        return Part(every, notes, OWN_PART.format("test") if of.get("test") else EVERY)
    held = {*named} or held_classes(own, seed)
    if held:
        rest = len({entry.label for entry in own} - held)
        why = "a list of pairs names them" if named else "the data has no val part of its own"
        what = count(len(held), "class is", "classes are")
        notes.append(f"{what} measured on, and the other {rest} learned from: {why}")
        inside = [entry for entry in own if (entry.label in held) == (split != "train")]
        return Part(inside, notes, "" if split == "train" else f"classes held out of {len(own)}")
    chosen = hold_out(
        [entry.path for entry in own],
        [entry.group for entry in own],
        [entry.label for entry in own],
        FRACTION,
        seed,
    )
    if not chosen:
        none = Part(every, notes, NONE_LEFT) if split == "eval" else Part([], notes, "")
        return Part(own, notes, "") if split == "train" else none
    notes.append(
        "there are too few classes to keep some unseen: images of each are held out, so what is "
        "measured is of known classes"
    )
    inside = [entry for entry in own if (entry.path in chosen) == (split != "train")]
    return Part(inside, notes, "" if split == "train" else f"images held out of {len(own)}")


def held_classes(entries: Sequence[Entry], seed: int) -> set[str]:
    """The classes to measure on; none where there would be too few in a part.

    Classes that have images of one group are held out together.
    """
    bundle = bundles(entries)
    members: dict[str, list[str]] = {}
    for name, first in bundle.items():
        members.setdefault(first, []).append(name)
    wanted = max(LEAST, round(len(bundle) * FRACTION))
    held: set[str] = set()
    for first in sorted(members, key=lambda name: rank(seed, name)):
        if len(held) >= wanted:
            break
        if len(bundle) - len(held) - len(members[first]) >= LEAST:
            held.update(members[first])
    return held if len(held) >= LEAST else set()


def bundles(entries: Sequence[Entry]) -> dict[str, str]:
    """Class -> the first of the classes that it shares groups with, through others too."""
    first: dict[str, str] = {}

    def root(name: str) -> str:
        while first.setdefault(name, name) != name:
            name = first[name]
        return name

    of_group: dict[str, str] = {}
    for entry in entries:
        label = root(entry.label)
        if entry.group:
            other = root(of_group.setdefault(entry.group, label))
            first[max(label, other)] = min(label, other)
    return {name: root(name) for name in first}


def overlap(own: Sequence[Entry], val: Sequence[Entry]) -> list[str]:
    """A note on classes that are in both parts; [] where there are none."""
    both = sorted({entry.label for entry in own} & {entry.label for entry in val})
    if not both:
        return []
    what = count(len(both), "class is", "classes are")
    return [f"{what} learned from and measured on: {few(both)}"]
