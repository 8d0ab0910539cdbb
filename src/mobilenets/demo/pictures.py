"""What a network sees in pictures, beside the truth: those that it gets right first."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from PIL import Image

from mobilenets.data.dataset import Dataset
from mobilenets.runtime.preprocess import preprocess
from mobilenets.runtime.session import Session
from mobilenets.tasks.task import Task
from mobilenets.tasks.values import Judged

LOOKED_AT = 96
"""Pictures of which some are shown: the first ones."""
RIGHT, WRONG = 8, 6
"""The most that are shown."""


class Pair(NamedTuple):
    """A picture twice: the truth, and what the network sees."""

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


def show(session: Session, task: Task, dataset: Dataset) -> Shown:
    """The first pictures of a data set, judged and drawn."""
    card, demo = session.card, task.demo
    judged = []
    for index in range(min(LOOKED_AT, len(dataset))):
        image = dataset.image(index)
        (seen,) = task.read.decode(
            session(preprocess(image, card.preprocessing)[None]),
            card,
            [image.size],
            top=demo.DEMO.top,
            threshold=task.defaults.threshold,
        )
        judged.append((image, seen, demo.judge(seen, dataset.target(index), dataset.classes)))
    judged.sort(key=lambda one: -one[2].order)
    right = [one for one in judged if one[2].right]
    wrong = [one for one in judged if not one[2].right]

    def pairs(chosen: list[tuple[Image.Image, Any, Judged]]) -> list[Pair]:
        draw = task.show.draw
        return [Pair(draw(i, j.truth), draw(i, seen), j.said) for i, seen, j in chosen]

    return Shown(pairs(right[:RIGHT]), pairs(wrong[:WRONG]), len(right), len(judged))
