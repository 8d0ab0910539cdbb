"""What a network makes of pictures: those that it gets right first."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from PIL import Image

from mobilenets.data.dataset import Dataset
from mobilenets.evaluation import Evaluation
from mobilenets.runtime.draw import readable
from mobilenets.runtime.preprocess import preprocess
from mobilenets.runtime.session import Session
from mobilenets.tasks.base import Judging, Searching
from mobilenets.tasks.task import Task

LOOKED_AT = 96
"""Pictures of which some are shown: the first ones."""
RIGHT, WRONG = 8, 6
"""The most that are shown."""


class Pair(NamedTuple):
    """The truth beside what the network sees, or a picture beside its answer."""

    truth: Image.Image
    seen: Image.Image
    said: str


@dataclass(frozen=True)
class Shown:
    """Pictures that are right and wrong, and how many of each there are."""

    right: list[Pair]
    """By falling certainty."""
    wrong: list[Pair]
    """The nearest to right first."""
    hits: int
    """How many are right of all that were looked at."""
    of: int
    sides: str
    """What is on the left and on the right, in words."""


class _LookedAt(NamedTuple):
    """A picture that was looked at."""

    order: float
    right: bool
    pair: Callable[[], Pair]
    """Draws it."""


def show(session: Session, task: Task, dataset: Dataset, found: Evaluation) -> Shown:
    """The first pictures of a data set that was measured, judged and drawn."""
    if isinstance(found.evaluator, Searching):
        sides = "On the left a picture, on the right the nearest of all others."
        judged = [_searched(dataset, found, i) for i in range(min(LOOKED_AT, len(found.images)))]
    else:
        sides = "On the left the truth, on the right what the ONNX file sees."
        judged = [_seen(session, task, dataset, i) for i in range(min(LOOKED_AT, len(dataset)))]
    judged.sort(key=lambda one: -one.order)
    right = [one for one in judged if one.right]
    wrong = [one for one in judged if not one.right]
    best, nearly = ([one.pair() for one in some] for some in (right[:RIGHT], wrong[:WRONG]))
    return Shown(best, nearly, len(right), len(judged), sides)


def _seen(session: Session, task: Task, dataset: Dataset, index: int) -> _LookedAt:
    """A picture with what is seen in it."""
    card, use, draw = session.card, cast(Judging, task.demo), task.show.draw
    image = dataset.image(index)
    (seen,) = task.read.decode(
        session(preprocess(image, card.preprocessing)[None]),
        card,
        [image.size],
        top=use.DEMO.top,
        threshold=task.defaults.threshold,
    )
    one = use.judge(seen, dataset.target(index), dataset.classes)
    return _LookedAt(
        one.order, one.right, lambda: Pair(draw(image, one.truth), draw(image, seen), one.said)
    )


def _searched(dataset: Dataset, found: Evaluation, place: int) -> _LookedAt:
    """A picture with the one that is its answer."""
    evaluator = cast(Any, found.evaluator)
    verdict, other = evaluator.judge(place, 0.0), evaluator.found(place)
    said = f"{verdict.truth}, found {verdict.answer}"

    def pair() -> Pair:
        answer = place if other is None else other
        one, two = (readable(dataset.image(found.images[i])) for i in (place, answer))
        return Pair(one, two, said)

    return _LookedAt(verdict.order, verdict.right, pair)
