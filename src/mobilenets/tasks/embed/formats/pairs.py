"""Lists of pairs, as LFW has them: who is the same, in folds.

`pairs.txt` begins with the number of folds and of pairs in a half of each (`10 300`), or with that
number alone for one fold. A line `name 1 2` is two images of one class, `name 1 other 2` of two;
image 7 of a class is `name_0007.jpg` in its folder, else the seventh there.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mobilenets.data.files import read_text
from mobilenets.errors import DataError

NAME = "pairs.txt"
Place = tuple[str, int]
"""A class, and the number of an image of it, from 1."""


class ListedPair(NamedTuple):
    """A line of a list of pairs."""

    fold: int
    first: Place
    second: Place

    @property
    def same(self) -> bool:
        """Whether both are of one class."""
        return self.first[0] == self.second[0]


def read_pairs(path: Path) -> list[ListedPair]:
    """The pairs of a list, in their order; DataError names a line that is none."""
    lines = [line.split("\t") if "\t" in line else line.split() for line in _lines(path)]
    if not lines or not all(word.isdecimal() for word in lines[0]) or len(lines[0]) > 2:
        raise DataError(f"{path}: must begin with the number of folds and of pairs, `10 300`")
    head = [int(word) for word in lines[0]]
    folds, half = head if len(head) == 2 else (1, head[0])
    found = [_pair(path, number, words, half) for number, words in enumerate(lines[1:], 2)]
    if len(found) != 2 * folds * half:
        raise DataError(
            f"{path}: its first line says {folds} folds of {half} + {half} pairs, it has "
            f"{len(found)}"
        )
    return found


def _lines(path: Path) -> list[str]:
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _pair(path: Path, number: int, words: Sequence[str], half: int) -> ListedPair:
    fold = (number - 2) // max(2 * half, 1)
    if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
        return ListedPair(fold, (words[0], int(words[1])), (words[0], int(words[2])))
    if len(words) == 4 and words[1].isdecimal() and words[3].isdecimal():
        return ListedPair(fold, (words[0], int(words[1])), (words[2], int(words[3])))
    raise DataError(
        f"{path}: line {number} must be `name 1 2` or `name 1 other 2`, got {' '.join(words):.60}"
    )


def file_of(place: Place, files: Mapping[str, Sequence[str]]) -> str:
    """The file of a class that is meant, of those that it has in their order; '' for none."""
    name, number = place
    own = files.get(name, ())
    ending = re.compile(rf"_0*{number}\.[^.]+$")
    named = [file for file in own if ending.search(file)]
    if len(named) == 1:
        return named[0]
    if not any(re.search(r"_\d+\.[^.]+$", file) for file in own) and 0 < number <= len(own):
        return own[number - 1]
    return ""
