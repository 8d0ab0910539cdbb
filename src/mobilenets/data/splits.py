"""Which images are for what: as the data says, or some held out for validation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

from mobilenets.data.listing import Part, count, held_out
from mobilenets.errors import DataError

Split = Literal["train", "val", "test", "all", "eval"]


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
) -> tuple[list[int], list[str]]:
    """The numbers of the split's images, and a note on images held out.

    DataError, which says what `path` has, where there are none.
    """
    chosen, note = _choose(files, parts, split, val_fraction, seed)
    if not chosen:
        found = ", ".join(f"{parts.count(part)} for {part or 'all'}" for part in present(parts))
        alone = split == "val" and sum(part in ("train", "") for part in parts) == 1
        why = ", of which none can be held out for it" if alone else ""
        raise DataError(f"{path}: no images for {split}; it has {found or 'none'}{why}")
    return chosen, note


def _choose(
    files: Sequence[str], parts: Sequence[Part], split: Split, val_fraction: float, seed: int
) -> tuple[list[int], list[str]]:
    every = range(len(files))
    of = {part: [i for i in every if parts[i] == part] for part in ("val", "test")}
    own = [i for i in every if parts[i] in ("train", "")]
    if split == "all":
        return list(every), []
    if split == "eval":
        return of["val"] or of["test"] or list(every), []
    if split == "test" or (split == "val" and of["val"]):
        return of[split], []
    if of["val"]:
        return own, []
    chosen = held_out([files[i] for i in own], val_fraction, seed)
    what = count(len(chosen), "image is", "images are")
    note = f"{what} held out for validation: the data has no val part of its own"
    kept = [i for i in own if (files[i] in chosen) == (split == "val")]
    return kept, [note] if chosen else []
