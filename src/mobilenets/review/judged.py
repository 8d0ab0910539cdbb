"""The images of an evaluation, judged, the worst first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.evaluation import Evaluation, MeasuredPart
from mobilenets.review.pictures import file_name
from mobilenets.tasks.base import Examining, Gathering, Searching
from mobilenets.tasks.values import Verdict

WRITER = "mobilenets eval"


class ReviewedImage(NamedTuple):
    """A measured image with its place among all."""

    rank: int
    """From 1, the worst."""
    number: int
    """In the data set."""
    name: str
    verdict: Verdict
    picture: str
    """The name of its picture; '' where it has none."""
    answer: int | None
    """The image of the data set that is the answer to it, where answers are images."""


class Review:
    """Which images are wrong, and how wrong.

    `threshold` is the score from which an answer counts, as `predict` has it. Images are judged
    one after the other: of each only its place is kept. ValueError for an evaluator that does not
    judge images.
    """

    def __init__(
        self, found: Evaluation, dataset: Dataset, measured: MeasuredPart, threshold: float
    ) -> None:
        if not isinstance(found.evaluator, Examining):
            raise ValueError("save_dir is for uses that judge each image: this one does not")
        self.found, self.dataset, self.measured = found, dataset, measured
        self.evaluator: Examining = found.evaluator
        self.threshold = threshold
        verdicts = (self._judge(place) for place in range(len(found.images)))
        pairs = np.array([(v.order, v.right) for v in verdicts]).reshape(-1, 2)
        self.order = np.argsort(np.nan_to_num(pairs[:, 0], nan=-np.inf), kind="stable")
        self.wrong = int((pairs[:, 1] == 0).sum())

    @property
    def line(self) -> str:
        """How many images are wrong."""
        images = count(len(self.order), "image", "images")
        return f"{self.wrong:,} of {images} wrong"

    def images(self, drawn: int = 0) -> Iterator[ReviewedImage]:
        """All images, the worst first; the first `drawn` have pictures."""
        digits = max(3, len(str(drawn)))
        for rank, place in enumerate(self.order.tolist(), 1):
            number = self.found.images[place]
            name = self.dataset.name(number)
            picture = file_name(rank, digits, name) if rank <= drawn else ""
            answer = self._answer(place)
            yield ReviewedImage(rank, number, name, self._judge(place), picture, answer)

    def _answer(self, place: int) -> int | None:
        other = self.evaluator.found(place) if isinstance(self.evaluator, Searching) else None
        return None if other is None else self.found.images[other]

    def files(self) -> Mapping[str, bytes]:
        """Files of all images at once, by their names; {} where the use has none."""
        if not isinstance(self.evaluator, Gathering):
            return {}
        names = [self.dataset.name(number) for number in self.found.images]
        return self.evaluator.gathered(names, WRITER)

    def _judge(self, place: int) -> Verdict:
        return self.evaluator.judge(place, self.threshold)
