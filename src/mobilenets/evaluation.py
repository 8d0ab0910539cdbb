"""A task's metrics over a data set, for any session."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import Preprocessing
from mobilenets.data.dataset import Dataset, OnDisk
from mobilenets.data.listing import count
from mobilenets.errors import DataError
from mobilenets.runtime.batches import read_batches
from mobilenets.runtime.inputs import read_input
from mobilenets.runtime.preprocess import preprocess
from mobilenets.runtime.session import Session
from mobilenets.tasks.base import Evaluator, Examining
from mobilenets.tasks.intervals import NO_INTERVALS, Intervals, figure_text
from mobilenets.tasks.task import Task
from mobilenets.tasks.values import Size


@dataclass(frozen=True, repr=False)
class Evaluation:
    """What came out: `results` by name (shares 0..1), and the images that could not be read."""

    results: dict[str, float]
    """Figures by name, such as `top1`: shares are 0 to 1; `images` says how many were measured."""
    failures: list[tuple[str, str]]
    """(name, why) of every image that was left out."""
    evaluator: Evaluator
    """What measured: figures of each class, intervals, what it says of single images."""
    images: list[int] = field(default_factory=list)
    """The numbers in the data set of those that were measured, in the order of the evaluator."""

    @cached_property
    def intervals(self) -> Intervals:
        """From where to where each figure may be, with 95 %: of fewer than 5,000 images."""
        evaluator = self.evaluator
        return evaluator.intervals() if isinstance(evaluator, Examining) else NO_INTERVALS

    @property
    def kept(self) -> dict[str, Any]:
        """What it found out for `ModelCard.kept`; {} where the use has nothing to keep."""
        found: dict[str, Any] = getattr(self.evaluator, "kept", dict)()
        return found

    @property
    def by_class(self) -> dict[str, dict[str, float]]:
        """Figures of each class by its name; empty where there are no classes."""
        return self.evaluator.by_class()

    def to_json(self) -> dict[str, Any]:
        """Figures, intervals, classes and failures, as values that `json.dumps` takes."""
        failures = [{"image": name, "error": why} for name, why in self.failures]
        rest = {"by_class": self.by_class, "failures": failures}
        return {**self.results, **self.intervals.to_json(), **rest}

    def __repr__(self) -> str:
        rows = [f"{name} {figure_text(value, None)}" for name, value in self.results.items()]
        left_out = [f"{len(self.failures)} not readable"] if self.failures else []
        return f"<Evaluation {', '.join([*rows, *left_out])}>"


@dataclass(frozen=True)
class MeasuredPart:
    """Which images were measured."""

    data: str
    """The folder, the list or the name that was given."""
    split: str
    """The part that was asked for."""
    part: str
    """Which of the data's images these are, in words."""
    images: int
    """How many were measured: those that could be read, `limit` at most."""
    of: int
    """All that the part has."""

    @classmethod
    def on(cls, data: str, split: str, dataset: Dataset, images: int) -> "MeasuredPart":
        """So many images of a data set that was opened as `split` of `data`."""
        part = getattr(dataset, "origin", "") or f"its {split} images"
        return cls(data, split, part, images, len(dataset))

    @property
    def line(self) -> str:
        """All of it in one line."""
        images = count(self.of, "image", "images")
        return f"measured on {self.images:,} of {images}: {self.part}; {self.data}, {self.split}"


def evaluate(
    session: Session,
    dataset: Dataset,
    task: Task,
    *,
    indices: Sequence[int] | None = None,
    batch_size: int | None = None,
    progress: Callable[[int], None] = lambda images: None,
    strict: bool = True,
    objective: Any = None,
    exact: bool = False,
    unknown: Sequence[Path] = (),
) -> Evaluation:
    """Run `session` over `dataset` (or over `indices` of it) and measure.

    Images pass through the preprocessing of the session's card. One that cannot be read is named in
    `failures` and left out. `batch_size` None: as many at once as the task says. Raises DataError
    where the data's classes are not the model's, or where no image could be read (unless `strict`
    is False: others may have read theirs). `exact` decodes large photographs at full size
    (`read_input`). `unknown` are images of none of the classes, for a model that tells such ones;
    ValueError for another.
    """
    evaluator = task.measure.evaluator(session.card, dataset, objective)
    if unknown and not getattr(evaluator, "tells_unknown", False):
        raise ValueError(
            "unknown is for a model that tells images of none of its classes: "
            "`mobilenets learn WEIGHTS --unknown DATA -o FILE` makes one of a classifier's weights"
        )
    failures: list[tuple[str, str]] = []
    measured: list[int] = []
    items = range(len(dataset)) if indices is None else indices
    batch_size = batch_size or task.defaults.batch
    for batch in batches(dataset, items, session.card.preprocessing, batch_size, exact=exact):
        failures += batch.failures
        if len(batch.inputs):
            evaluator.update(session(batch.inputs), batch.targets, batch.sizes)
            measured += batch.indices
        progress(len(batch.inputs) + len(batch.failures))
    if unknown:
        failures += _show_strangers(evaluator, session, unknown, batch_size, progress, exact=exact)
    if strict and items and len(failures) == len(items):
        images = count(len(items), "image", "images")
        raise DataError(f"none of {images} could be read; the first: {failures[0][1]}")
    return Evaluation(dict(evaluator.results()), failures, evaluator, measured)


def _show_strangers(
    evaluator: Evaluator,
    session: Session,
    files: Sequence[Path],
    batch_size: int,
    progress: Callable[[int], None],
    *,
    exact: bool,
) -> list[tuple[str, str]]:
    """Count images of none of the classes; (name, why) of those that cannot be read."""

    def read(path: Path) -> NDArray[np.float32]:
        return read_input(path, session.card.preprocessing, exact=exact).values

    failures: list[tuple[str, str]] = []
    for batch in read_batches(files, read, batch_size):
        failures += [(str(path), why) for path, why in batch.failures]
        if len(batch.items):
            evaluator.strangers(session(batch.inputs))  # type: ignore[attr-defined]
        progress(len(batch.items) + len(batch.failures))
    return failures


class Prepared(NamedTuple):
    """Some images as a model takes them, and what is known of them."""

    indices: list[int]
    """N, in the data set."""
    inputs: NDArray[np.float32]
    """(N, 3, H, W); of the last batch perhaps (0,)."""
    targets: tuple[Any, ...]
    """The data set's."""
    sizes: tuple[Size, ...]
    """Of the whole images."""
    failures: list[tuple[str, str]]
    """(name, why) of each that could not be read since the batch before."""


def batches(
    dataset: Dataset,
    indices: Sequence[int],
    preprocessing: Preprocessing,
    batch_size: int,
    *,
    exact: bool = False,
) -> Iterator[Prepared]:
    """The images at `indices`, prepared as a model takes them; `exact` as `evaluate` has it."""
    known: dict[int, tuple[Any, Size]] = {}

    def read(index: int) -> NDArray[np.float32]:
        values, size = input_of(dataset, index, preprocessing, exact=exact)
        known[index] = dataset.target(index), size
        return values

    for batch in read_batches(indices, read, batch_size):
        told = [known.pop(index) for index in batch.items]
        yield Prepared(
            batch.items,
            batch.inputs,
            tuple(target for target, _ in told),
            tuple(size for _, size in told),
            [(dataset.name(index), why) for index, why in batch.failures],
        )


def input_of(
    dataset: Dataset, index: int, preprocessing: Preprocessing, *, exact: bool = False
) -> tuple[NDArray[np.float32], Size]:
    """A network's input of a picture, (3, height, width), and the picture's (width, height)."""
    if isinstance(dataset, OnDisk):
        return read_input(dataset.path(index), preprocessing, exact=exact)
    image = dataset.image(index)
    return preprocess(image, preprocessing), image.size


def spread(length: int, limit: int | None) -> list[int]:
    """At most `limit` of the indices below `length`, in order; the same ones every time.

    One is drawn at random from each of `limit` stretches of equal length. So sorted data keeps all
    its classes, and so does data in which the classes take turns: steps of one length would miss
    some of these. ValueError for a limit below 1.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be a positive integer, got {limit}")
    if limit is None or limit >= length:
        return list(range(length))
    draw = Random(0).random  # its numbers are the same in every version of Python
    bounds = [index * length // limit for index in range(limit + 1)]
    return [low + int(draw() * (high - low)) for low, high in pairwise(bounds)]
