"""The lines of YOLO's label files, and what the numbers on them are."""

import re
from array import array
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.files import decoded
from mobilenets.data.listing import count, one_line
from mobilenets.tasks.detect.formats.boxes import Boxes

TEXT = 2**40
"""Class numbers from here on are words that stand in the lines themselves."""
_CHUNK = 10_000
"""Lines that are split at once."""
_FEW = 3
"""With fewer lines of a length, key points are not told from outlines by where they lie."""
_KITTI = re.compile(r"\S*[A-Za-z]\S*( -?[\d.]+){14,15}$")
_DOTA = re.compile(r"(imagesource|gsd):|(-?[\d.]+ ){8}\S*[A-Za-z]\S*( \d)?$")

Floats = NDArray[np.float64]


class Read(NamedTuple):
    """The objects of all label files that could be read."""

    file: NDArray[np.int64]
    """(n,): of each object its file's number."""
    classes: Floats
    """(n,): as written; from `TEXT` on words."""
    boxes: Boxes
    """(n, 4): centre x, y, width, height as shares of the image's sides."""
    broken: dict[int, str]
    """File -> why it cannot be read."""
    outlines: dict[int, int]
    """File -> objects of which the box around the outline is used."""
    notes: list[str]


class LabelLines:
    """Collects the lines of label files; what the numbers are is seen from all of them."""

    def __init__(self, points: tuple[int, int] | None = None) -> None:
        self.points = points
        """`kpt_shape`: how many key points a line has and numbers each, where that is said."""
        self.files = 0
        self.broken: dict[int, str] = {}
        self.words: dict[str, int] = {}
        """Classes that are words in the lines, numbered from `TEXT`."""
        self._values = array("d")
        self._lengths = array("q")
        self._file = array("q")
        self._line = array("q")

    def add(self, path: Path) -> None:
        """Take in the next label file, or its reason where it is broken."""
        number = self.files
        self.files += 1
        before = len(self._values), len(self._lengths)
        try:
            text = decoded(path.read_bytes())
            lines = text.splitlines()
            for start in range(0, len(lines), _CHUNK):
                self._take(lines[start : start + _CHUNK], number, start + 1)
        except (OSError, ValueError) as error:
            del self._values[before[0] :]
            for column in (self._lengths, self._file, self._line):
                del column[before[1] :]
            why = error.strerror if isinstance(error, OSError) else str(error)
            self.broken[number] = one_line(str(why))

    def _take(self, lines: Sequence[str], file: int, first: int) -> None:
        rows: list[list[Any]] = [line.split() for line in lines]
        try:
            values = array("d", map(float, chain.from_iterable(rows)))
        except ValueError:  # not plain numbers: a line at a time
            rows = [self._numbers(line, place) for place, line in enumerate(lines, first)]
            values = array("d", chain.from_iterable(rows))
        self._values.extend(values)
        self._lengths.extend(map(len, filter(None, rows)))
        places = [place for place, row in enumerate(rows, first) if row]
        self._line.extend(places)
        self._file.extend(repeat(file, len(places)))

    def _numbers(self, line: str, place: int) -> list[float]:
        try:
            return list(map(float, line.split()))
        except ValueError:
            pass
        words = _separated(line)
        try:
            values = list(map(float, words[1:]))
            if len(values) < 4 or (len(values) in (14, 15) and max(values) > 2):
                raise ValueError
            try:
                return [float(words[0]), *values]
            except ValueError:
                word = one_line(words[0])
                return [float(self.words.setdefault(word, TEXT + len(self.words))), *values]
        except ValueError:
            raise ValueError(f"line {place}: {_unlike(line)}") from None

    def read(self) -> Read:
        """What the lines say; those of a length are taken alike, files of others are broken."""
        values = np.asarray(self._values)
        lengths = np.asarray(self._lengths, np.int64)
        file, line = np.asarray(self._file, np.int64), np.asarray(self._line, np.int64)
        starts = np.cumsum(lengths) - lengths
        classes = values[starts] if len(lengths) else np.zeros(0)
        boxes = np.zeros((len(lengths), 4))
        outline = np.zeros(len(lengths), bool)
        broken = dict(self.broken)
        notes = []
        every = np.unique(lengths).tolist()
        for length in every:
            rows = np.flatnonzero(lengths == length)
            numbers = values[starts[rows, None] + np.arange(1, length)]  # (rows, length - 1)
            meaning = _meaning(numbers, self.points, every)
            if isinstance(meaning, str):
                for row in rows.tolist():
                    got = " ".join(f"{v:.6g}" for v in values[starts[row] :][:length].tolist())
                    why = f"line {line[row]}: not class x y width height: {meaning}: {got[:40]!r}"
                    broken.setdefault(int(file[row]), why)
                continue
            boxes[rows] = meaning.boxes(numbers)
            outline[rows] = meaning.outline
            if meaning.note:
                notes.append(f"{count(len(rows), 'line has', 'lines have')} {meaning.note}")
        good = ~np.isin(file, list(broken))
        numbers, counts = np.unique(file[good & outline], return_counts=True)
        around = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        boxes, more = _centred(boxes[good])
        return Read(file[good], classes[good], boxes, broken, around, [*notes, *more])


class _Meaning(NamedTuple):
    """What lines of one length are."""

    boxes: Callable[[Floats], Boxes]
    """(n, numbers behind the class) -> (n, 4)."""
    outline: bool = False
    note: str = ""
    """In words that follow `3 lines have`."""


def _first(numbers: Floats) -> Boxes:
    return numbers[:, :4]


def _around(numbers: Floats) -> Boxes:
    """Centre and sides of the boxes around outlines: (n, 2 * points) x, y, x, y, ..."""
    x, y = numbers[:, 0::2], numbers[:, 1::2]
    low = np.stack([x.min(1), y.min(1)], 1)
    high = np.stack([x.max(1), y.max(1)], 1)
    return np.concatenate([(low + high) / 2, high - low], 1)


def _around_first(numbers: Floats) -> Boxes:
    return _around(numbers[:, :-1])


def _meaning(
    numbers: Floats, points: tuple[int, int] | None, lengths: Sequence[int]
) -> _Meaning | str:
    """Of lines with as many numbers behind the class; a text for none that is known.

    `lengths` are those of all lines of the data, the class with them.
    """
    n = numbers.shape[1]
    alone = set(lengths) <= {5, n + 1}
    if n == 4:
        return _Meaning(_first)
    if n < 4:
        return f"{count(n, 'number', 'numbers')} behind the class"
    share = bool(((numbers[:, -1] >= 0) & (numbers[:, -1] <= 1)).all())
    if points is not None:
        wanted = 4 + points[0] * points[1]
        if n == wanted or (n == wanted + 1 and share):
            return _Meaning(_first, note=f"{points[0]} key points each, which are not used")
        if n < 6 or n % 2:
            return f"kpt_shape says {points[0]} points of {points[1]} numbers"
    if n == 5:
        if share:
            return _Meaning(_first, note="a confidence behind the box, which is not used")
        return "six numbers, of which the last is no confidence; angles and tracks are not read"
    if n == 6 and _shares(numbers[:, 4:5]) and _tracks(numbers[:, 5]):
        return _Meaning(_first, note="a confidence and a track's number, which are not used")
    guess = _points(numbers) if alone and points is None else 0
    if guess:
        note = f"{(n - 4) // guess} key points each by their places, which are not used"
        return _Meaning(_first, note=note)
    if n >= 6 and n % 2 == 0:
        return _Meaning(_around, outline=True)
    if n >= 7 and _shares(numbers) and not any(length % 2 for length in lengths):
        note = "a confidence behind the outline, which is not used"
        return _Meaning(_around_first, outline=True, note=note)
    return count(n + 1, "number", "numbers")


def _shares(numbers: Floats) -> bool:
    return bool(((numbers >= 0) & (numbers <= 1)).all())


def _tracks(numbers: Floats) -> bool:
    return bool((numbers == np.floor(numbers)).all() and (numbers > 1).any())


def _points(numbers: Floats) -> int:
    """Numbers for each key point behind a box, 2 or 3; 0 where these are no key points.

    With 3, the last is 0, 1 or 2; and all points lie in their box, or at 0, 0 for unknown.
    """
    if len(numbers) < _FEW:
        return 0
    centre, sides = numbers[:, None, :2], numbers[:, None, 2:4]
    for each in (3, 2):
        rest = numbers[:, 4:]
        if rest.shape[1] % each or rest.shape[1] < 4:
            continue
        points = rest.reshape(len(rest), -1, each)
        if each == 3 and not np.isin(points[..., 2], (0, 1, 2)).all():
            continue
        inside = (np.abs(points[..., :2] - centre) <= sides / 2 + 0.02).all(-1)
        inside |= (points[..., :2] == 0).all(-1)
        if inside.mean() > 0.95:
            return each
    return 0


def _centred(boxes: Boxes) -> tuple[Boxes, list[str]]:
    """Boxes as centre and sides, where most cannot be that but corners; ValueError for pixels."""
    known = boxes[np.isfinite(boxes).all(axis=1)]
    if len(known) < _FEW:
        return boxes, []
    if 2 * int(np.any(np.abs(known) > 2, axis=1).sum()) > len(known):
        raise ValueError("pixels")
    over = np.abs(known[:, :2] - 0.5) + known[:, 2:] / 2 > 0.52
    reach = int(np.any(over, axis=1).sum())
    if 2 * reach >= len(known) and _shares(known) and (known[:, 2:] > known[:, :2]).all():
        corners = np.concatenate(
            [(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1
        )
        return corners, [
            "boxes are taken as x1 y1 x2 y2: as x y width height most would reach over their "
            "image's edge"
        ]
    return boxes, []


def _separated(line: str) -> list[str]:
    """The words of a line with commas or semicolons, between numbers or in them (0,5)."""
    line = line.replace(";", " ").replace("\t", " ")
    if re.search(r",\s", line) or not re.search(r"\s", line.strip()):
        return line.replace(",", " ").split()
    return line.replace(",", ".").split()


def _unlike(line: str) -> str:
    """What to say of a line that is no label."""
    plain = " ".join(line.split())
    if _KITTI.fullmatch(plain):
        return f"KITTI's labels, which are not read: {plain[:40]!r}"
    if _DOTA.match(plain):
        return f"DOTA's rotated boxes, which are not read: {plain[:40]!r}"
    return f"not class x y width height: {line.strip()[:40]!r}"
