"""Learning from a teacher on images without labels, as the first paper does (sections 4.5, 4.7)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mobilenets.card import ModelCard, Preprocessing
from mobilenets.data.dataset import Dataset
from mobilenets.data.listing import count
from mobilenets.data.unlabelled import BothKinds, UnlabelledImages, open_unlabelled
from mobilenets.errors import DataError
from mobilenets.evaluation import batches
from mobilenets.inference import CPU_PART
from mobilenets.tasks.task import Task
from mobilenets.tasks.values import Arrays, Metric, Size, first_output
from mobilenets.training.teacher import OpenedTeacher, larger

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AGREEMENT = Metric("agreement")
"""What picks the best epoch where no image is labelled."""
CELLS = 20
"""Bars of the picture."""


class TeachersAnswers:
    """Images without labels whose targets are what the teacher makes of them; a `Dataset`.

    The teacher sees each as it was made to, at its own size. Those that cannot be read are left
    out, and named in `notes`. DataError where none can be.
    """

    def __init__(
        self,
        images: UnlabelledImages,
        teacher: OpenedTeacher,
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        say(f"the teacher looks at {count(len(images), 'image', 'images')} held out for validation")
        self.images, self.classes = images, images.classes
        self.places: list[int] = []
        self.notes: list[str] = []
        answers: list[NDArray[np.float32]] = []
        with torch.inference_mode():
            every = range(len(images))
            for batch in batches(images, every, teacher.preprocessing, CPU_PART):
                self.notes += [f"left out: {why}" for _, why in batch.failures]
                if len(batch.inputs):
                    found = teacher.network.eval()(torch.from_numpy(batch.inputs))
                    answers += list(found.float().numpy())
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

    def target(self, i: int) -> NDArray[np.float32]:
        """The teacher's outputs."""
        row: NDArray[np.float32] = self.answers[i]
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


class _Measuring:
    """The use's `measure` where no image is labelled."""

    METRIC, PICTURE = AGREEMENT, "agreement"

    def __init__(self, task: Task) -> None:
        self.task = task

    def evaluator(self, card: ModelCard, dataset: Dataset, objective: Any = None) -> Agreement:
        """A fresh one."""
        return Agreement(self.task, card)


class _Learning:
    """The use's `learn`, on images of which some have no label, or none has.

    Images are read at the size that the teacher is to see, `shown`; all count the same. `labelled`
    is the share of images that have a label.
    """

    def __init__(
        self, learn: Any, nothing: Any, labelled: float, shown: tuple[int, int] | None
    ) -> None:
        self.learn, self.labelled, self.shown = learn, labelled, shown
        self.nothing = torch.as_tensor(np.asarray(nothing))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.learn, name)

    def transform(self, card: ModelCard, augmentation: Any) -> Any:
        """As the use has it, larger where the teacher sees more."""
        if self.shown is not None:
            card = card.replace(preprocessing=replace(card.preprocessing, size=self.shown))
        return self.learn.transform(card, augmentation)

    def mixer(self, augmentation: Any, classes: int) -> None:
        """None: what has no label cannot be mixed with what has."""

    def weight(self, targets: Tensor) -> Tensor:
        """The number of images."""
        return targets.new_ones(len(targets), dtype=torch.float32).sum()

    def criterion(self, card: ModelCard, objective: Any) -> Callable[[Any, Tensor], Tensor]:
        """The use's loss of the images that have a label, as the mean over these."""
        plain = self.learn.criterion(card, objective)

        def loss(outputs: Tensor, targets: Tensor) -> Tensor:
            differs = targets != self.nothing.to(targets.device)
            known = differs.reshape(len(targets), -1).any(1)
            if not bool(known.any()):
                return outputs.sum() * 0
            # So that parts of a batch, of which each has some, sum to the mean over them all.
            share = known.float().mean() / self.labelled
            found: Tensor = plain(outputs[known], targets[known]) * share
            return found

        return loss


class TaughtTask(Task):
    """A use whose network learns from a teacher on images of which nothing is known.

    `labelled` is the share of images with labels among those learned from; with `measured` the
    validation images have labels, else agreement with the teacher is what is measured. `shown` is
    the size, (height, width), at which images are read, None for the network's own.
    """

    def __init__(
        self,
        task: Task,
        nothing: Any,
        labelled: float,
        *,
        measured: bool,
        shown: tuple[int, int] | None,
    ) -> None:
        super().__init__(task.name, task.home)
        self._parts: dict[str, Any] = {
            "learn": _Learning(task.learn, nothing, labelled, shown),
            **({} if measured else {"measure": _Measuring(task)}),
        }

    def part(self, name: str) -> Any:
        """The module of a part, or what stands in its place."""
        return self._parts.get(name) or super().part(name)


class Taught(NamedTuple):
    """What a run with images without labels learns from and is measured on."""

    train: Dataset
    """The images to learn from, the labelled ones first."""
    val: Dataset
    labelled: Dataset | None
    """The labelled ones alone; None where there are none."""
    share: float
    """Of the images to learn from, those that are labelled."""
    nothing: Any
    """The target of an image of which nothing is known."""

    def task(self, task: Task, teacher: OpenedTeacher, student: Preprocessing) -> TaughtTask:
        """The use, for a student that is fed so."""
        measured = self.labelled is not None
        shown = larger(teacher.preprocessing, student)
        return TaughtTask(task, self.nothing, self.share, measured=measured, shown=shown)


def prepare(
    folder: str | Path,
    task: Task,
    teacher: OpenedTeacher,
    parts: tuple[Dataset, Dataset] | None,
    say: Callable[[str], None],
) -> Taught:
    """The images of a folder, behind those of labelled `parts` for training where there are any.

    Without these the validation images are some of the folder's, and what is right is what the
    teacher says. DataError for a folder without images.
    """
    labels = parts[0].classes if parts is not None else teacher.labels(task)
    nothing = task.teach.nothing(ModelCard("", task=task.name, labels=tuple(labels)))
    learned, held = open_unlabelled(folder, labels, nothing, hold=parts is None)
    what = count(len(learned), "image", "images")
    if parts is None:
        say(f"{what} without labels, learned by the outputs of {teacher.name} alone")
        return Taught(learned, TeachersAnswers(held, teacher, say), None, 0.0, nothing)
    train, val = parts
    both = BothKinds(train, learned)
    say(f"{what} without labels, learned by the outputs of {teacher.name}, and {len(train)} with")
    return Taught(both, val, train, len(train) / len(both), nothing)
