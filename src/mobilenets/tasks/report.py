"""What `data check` found, as data: the command line prints it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

from PIL import Image

from mobilenets.data.dataset import AnnotatedDataset
from mobilenets.data.files import InFolder
from mobilenets.data.listing import count
from mobilenets.data.problems import Problems
from mobilenets.data.splits import Split
from mobilenets.errors import DataError
from mobilenets.processors import processors
from mobilenets.runtime.images import read_header

P = TypeVar("P", bound=AnnotatedDataset)
S = TypeVar("S")
"""What was counted in a part."""

MOST_CLASSES = 40
"""Rows of the table of classes; JSON has all."""

REFUSED = "refused"
"""The kind of a problem for which training would end at once."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""(title, how much there is to do, 0 if nobody knows) -> a context that gives a function to call
with what has just been done."""


class Table(NamedTuple):
    """Names on the left, figures on the right."""

    titles: tuple[str, ...]
    """Of all columns."""
    rows: Mapping[str, tuple[Any, ...]]
    """The name on the left -> the figures, one for each other column."""


class Report(NamedTuple):
    """What was found in a data set."""

    parts: Mapping[str, AnnotatedDataset]
    """By name."""
    answer: dict[str, Any]
    """Figures, for programs."""
    content: Sequence[Table | str]
    """Tables and lines for a person, from top to bottom."""
    draw: Callable[[Any, Image.Image, int], Image.Image]
    """A part, an image of it and its number -> the image with what is known of it."""
    files: Sequence[Path]
    """The images and labels on disk of all parts; none of the built-in data."""


def survey_parts(
    path: str,
    split: str | None,
    progress: Progress,
    open_parts: Callable[[str], Mapping[str, P]],
    open_split: Callable[[str, Split], P],
    survey: Callable[[P, Callable[[int], None]], S],
) -> tuple[Mapping[str, P], dict[str, S]]:
    """Every part on disk, or one split as training would open it, and what each holds."""
    with progress("reading", 0):
        parts = open_parts(path) if split is None else {split: open_split(path, cast(Split, split))}
    with progress("counting", sum(map(len, parts.values()))) as advance:
        return parts, {name: survey(part, advance) for name, part in parts.items()}


def files_of(parts: Mapping[str, AnnotatedDataset]) -> list[Path]:
    """The images on disk of all parts; built-in data has none."""
    return [
        part.root / file
        for part in parts.values()
        if isinstance(part, InFolder)
        for file in part.files
    ]


def opened(
    root: Path, files: Sequence[str], progress: Progress, problems: Problems
) -> dict[int, tuple[int, int]]:
    """The places of the images that can be opened, each with its (width, height).

    The others are `unreadable` problems, those of one pixel `narrow` ones.
    """

    def one(file: str) -> tuple[int, int] | None:
        try:
            return read_header(root / file).size
        except DataError:
            return None

    found: dict[int, tuple[int, int]] = {}
    with progress("opening", len(files)) as advance, ThreadPoolExecutor(processors()) as pool:
        for place, size in enumerate(pool.map(one, files)):
            advance(1)
            if size is None:
                problems.add("unreadable", [files[place]])
                continue
            found[place] = size
            problems.add("narrow", [files[place]] if min(size) < 2 else [])
    return found


def class_table(titles: tuple[str, ...], rows: Mapping[str, tuple[Any, ...]]) -> list[Table | str]:
    """A table with a row for each class, cut where there are many, and a line that says so."""
    shown = dict(list(rows.items())[:MOST_CLASSES])
    if len(shown) == len(rows):
        return [Table(titles, shown)]
    more = f"and {count(len(rows) - MOST_CLASSES, 'class', 'classes')} more: --json has all"
    return [Table(titles, shown), more]
