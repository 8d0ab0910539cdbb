"""Which images are for what: as the data says, or some held out for validation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from mobilenets.data.listing import Part, count, held_out
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
) -> Selection:
    """The split's images. DataError, which says what `path` has, where there are none.

    `eval` is val as training has it; where there is none, everything.
    """
    chosen = _choose(files, parts, split, val_fraction, seed)
    if not chosen.images:
        found = ", ".join(f"{parts.count(part)} for {part or 'all'}" for part in present(parts))
        raise DataError(f"{path}: no images for {split}; it has {found or 'none'}{chosen.origin}")
    return chosen


def _choose(
    files: Sequence[str], parts: Sequence[Part], split: Split, val_fraction: float, seed: int
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
    chosen = held_out([files[i] for i in own], val_fraction, seed)
    if split == "eval" and not chosen:
        if of["test"]:
            return Selection(of["test"], [], OWN_PART.format("test"))
        return Selection(list(every), [], NONE_LEFT)
    if split == "val" and own and not chosen:
        return Selection(
            [], [], ": one image alone is too few, since another is needed to validate on"
        )
    if chosen:
        what = count(len(chosen), "image is", "images are")
        notes.append(f"{what} held out for validation: the data has no val part of its own")
    kept = [i for i in own if (files[i] in chosen) == (split != "train")]
    return Selection(kept, notes, "" if split == "train" else HELD_OUT.format(len(own)))


def kept_for_test(images: int) -> str:
    """A note: a test part is neither learned from nor does it pick the best epoch."""
    what = count(images, "test image is", "test images are")
    return f"{what} kept for `eval --split test`"
