"""What a mark in a file means: yes, no or unknown. Three numbers are asked about, never guessed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from mobilenets.data.files import read_text
from mobilenets.data.listing import count, few
from mobilenets.errors import DataError
from mobilenets.tasks.attributes.marks import NO, UNKNOWN, YES

FILE = "marks.txt"
"""Lies beside a list and says what its marks mean, a line for each: `-1 no`, `0 unknown`."""
WORDS = {"yes": YES, "no": NO, "unknown": UNKNOWN}
BLANK = "blank"
"""What `marks.txt` calls an empty cell."""
USUAL = {
    "1": YES,
    "1.0": YES,
    "true": YES,
    "yes": YES,
    "0": NO,
    "0.0": NO,
    "false": NO,
    "no": NO,
    "-1": NO,
    "-1.0": NO,
    "": UNKNOWN,
}
"""Marks that are clear as long as a list does not have both 0 and -1."""

Meaning = Mapping[str, int]
"""A mark as `plain` has it -> YES, NO or UNKNOWN."""


def plain(text: str) -> str:
    """A mark without spaces, in small letters."""
    return text.strip().casefold()


def said_in(folder: Path) -> dict[str, int]:
    """What `marks.txt` in a folder says; {} where there is none. DataError for a wrong line."""
    path = folder / FILE
    found: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines() if path.is_file() else (), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        mark, _, word = line.strip().rpartition(" ")
        if not mark.strip() or word.casefold() not in WORDS:
            got = f"{line.strip()!r:.60}"
            raise DataError(
                f"{path}: line {number} must be a mark and yes, no or unknown, got {got}"
            )
        name = plain(mark)
        found["" if name == BLANK else name] = WORDS[word.casefold()]
    return found


def known(said: Meaning) -> dict[str, int]:
    """Every mark that can be read: the usual ones, and those of `marks.txt`."""
    return {**USUAL, **said}


def meaning_of(path: Path, marks: Collection[str], said: Meaning, notes: list[str]) -> Meaning:
    """What the different `marks` of a list mean; DataError where that is not clear.

    {0, 1} and {-1, 1} are; blank is unknown. With both 0 and -1 one of them may be unknown: data
    sets differ (CelebA's -1 is no, WIDER's 0 is unknown), so `marks.txt` has to say which.
    """
    found = known(said)
    numbers = {mark.removesuffix(".0") for mark in marks}
    open_ones = sorted(one for one in ("-1", "0") if one not in said)
    if {"-1", "0"} <= numbers and open_ones:
        there = few(sorted(mark or BLANK for mark in marks), 8)
        raise DataError(
            f"{path}: its marks are {there}, so which of -1 and 0 is no, and which unknown? Say it "
            f"in {path.parent / FILE}, a line for each: `1 yes`, `0 unknown`, `-1 no`"
        )
    if said:
        words = {value: word for word, value in WORDS.items()}
        told = [f"{mark or BLANK} is {words[value]}" for mark, value in said.items()]
        notes.append(f"{FILE} says of the marks: {few(told, 8)}")
    return {**found, **{f"{one}.0": found[one] for one in ("-1", "0", "1") if one in said}}


def explained(notes: list[str], unknown: int, name: str) -> None:
    """Note how many entries are unknown, so that nobody takes them for no."""
    if unknown:
        what = count(unknown, "entry is", "entries are")
        notes.append(f"{what} unknown in {name}: neither learned nor measured")
