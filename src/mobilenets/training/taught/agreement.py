"""How near a student's answers come to its teacher's, where nobody has said what is right."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilenets.card import ModelCard
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.errors import DataError
from mobilenets.evaluation import batches
from mobilenets.inference import CPU_PART
from mobilenets.tasks.task import Task
from mobilenets.tasks.values import Arrays, Metric, Size, first_output
from mobilenets.training.taught.images import UnlabelledImages
from mobilenets.training.taught.teacher import OpenedTeacher

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AGREEMENT = Metric("agreement")
"""What picks the best epoch where no image is labelled."""
CELLS = 20
"""Bars of the picture."""


class TeachersAnswers:
    """Images without labels whose targets are what the teacher makes of them; a `Dataset`.

    The teacher sees each as it was made to, at its own size. Those that cannot be read are left
    out, and named in `notes`. DataError where none can be. `kept` is what of the teacher's outputs
    is kept, None for all.
    """

    def __init__(
        self,
        images: UnlabelledImages,
        teacher: OpenedTeacher,
        say: Callable[[str], None] = lambda line: None,
        kept: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        say(f"the teacher looks at {count(len(images), 'image', 'images')} held out for validation")
        self.images, self.classes = images, images.classes
        self.places: list[int] = []
        self.notes: list[str] = []
        answers: list[NDArray[Any]] = []
        with torch.inference_mode():
            every = range(len(images))
            for batch in batches(images, every, teacher.preprocessing, CPU_PART):
                self.notes += [f"left out: {why}" for _, why in batch.failures]
                if len(batch.inputs):
                    found = teacher.network.eval()(torch.from_numpy(batch.inputs)).float()
                    answers += list((found if kept is None else kept(found)).numpy())
                    self.places += batch.indices
        if not answers:
            raise DataError(f"{images.root}: none of the images without labels can be read")
        order = np.argsort(self.places)
        self.places = [self.places[k] for k in order]
        self.answers = [answers[k] for k in order]
        self.origin = f"the teacher's answers on images {images.origin}"

    def __len__(self) -> int:
        return len(self.places)

    def image(self, i: int) -> Any:
        """The picture, RGB and upright."""
        return self.images.image(self.places[i])

    def path(self, i: int) -> Any:
        """The file that picture i is read from."""
        return self.images.path(self.places[i])

    def source(self, i: int) -> Any:
        """What picture i is told by: its file."""
        return self.path(i)

    def name(self, i: int) -> str:
        """The file's path in the folder."""
        return self.images.name(self.places[i])

    def labels_digest(self) -> str:
        """Nothing: a run knows its teacher by the weights."""
        return "the teacher's"

    def target(self, i: int) -> NDArray[Any]:
        """The teacher's outputs for picture i, or what is kept of them."""
        row: NDArray[Any] = self.answers[i]
        return row


class Agreement:
    """How near a network's answers are to its teacher's, 0 to 1, the mean over the images."""

    def __init__(self, task: Task, card: ModelCard) -> None:
        self.task, self.card = task, card
        self.notes: list[str] = []
        self.found: list[float] = []

    def update(self, outputs: Arrays, targets: Sequence[Any], sizes: Sequence[Size] = ()) -> None:
        """Count a batch: the network's outputs, and the teacher's for each image."""
        ours = torch.from_numpy(np.asarray(first_output(outputs, self.card), np.float32))
        theirs = torch.from_numpy(np.stack(targets))
        self.found += self.task.teach.agreement(ours, theirs).tolist()

    def merge(self, other: Agreement) -> None:
        """Add what another process has counted."""
        self.found += other.found

    def results(self) -> Iterator[tuple[str, float]]:
        """`agreement`, and the number of images."""
        yield AGREEMENT.name, float(np.mean(self.found)) if self.found else math.nan
        yield "images", len(self.found)

    def by_class(self) -> dict[str, dict[str, float]]:
        """Nothing: nobody has said what is in the images."""
        return {}

    def figure(self) -> Figure:
        """How many images agree how much."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(6, 3.5), layout="constrained")
        axes = figure.add_subplot()
        axes.hist(self.found, bins=CELLS, range=(0, 1))
        axes.set(xlabel="agreement with the teacher", ylabel="images", xlim=(0, 1))
        return figure


class MeasuredAgreement:
    """The use's `measure` where no image is labelled."""

    METRIC, PICTURE = AGREEMENT, "agreement"

    def __init__(self, task: Task) -> None:
        self.task = task

    def evaluator(self, card: ModelCard, dataset: Dataset, objective: Any = None) -> Agreement:
        """A fresh one, of how near answers are to the teacher's."""
        return Agreement(self.task, card)
