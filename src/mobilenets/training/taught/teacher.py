"""A network that another one learns from."""

from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.card import ModelCard, Preprocessing, card_of
from mobilenets.errors import WeightsError
from mobilenets.tasks.registry import network_of
from mobilenets.tasks.task import Task
from mobilenets.weights import load


class Teacher(nn.Module):
    """A frozen network that takes the student's inputs: it undoes their normalisation first.

    One that takes images of one size only, as transformers do, gets them scaled to it. With
    `shrink` images are read at the teacher's size, and the student gets them made smaller
    (`shown`).
    """

    def __init__(
        self,
        network: nn.Module,
        own: Preprocessing,
        student: Preprocessing,
        *,
        fixed_size: bool = False,
        shrink: bool = False,
    ) -> None:
        super().__init__()
        self.size = own.size if fixed_size else None
        self.shares = None
        if shrink:
            pairs = zip(student.size, own.size, strict=True)
            self.shares = tuple(side / other for side, other in pairs)
        forget = getattr(network, "forget", None)
        if forget is not None:  # what it knows beside its answers is not learned
            forget()
        self.network = network.eval().requires_grad_(False)
        self.flip = own.order != student.order

        def column(values: tuple[float, ...]) -> Tensor:
            return torch.tensor(values)[:, None, None]

        self.register_buffer("mean", column(student.mean))
        self.register_buffer("std", column(student.std))
        self.register_buffer("own_mean", column(own.mean))
        self.register_buffer("own_std", column(own.std))

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        pixels = x * cast(Tensor, self.std) + cast(Tensor, self.mean)
        if self.flip:
            pixels = pixels.flip(1)
        x = (pixels - cast(Tensor, self.own_mean)) / cast(Tensor, self.own_std)
        if self.size is not None and tuple(x.shape[2:]) != self.size:
            x = F.interpolate(x, self.size, mode="bilinear", antialias=True)
        return cast(Tensor, self.network(x))

    def shown(self, x: Tensor) -> Tensor:
        """What the student sees of images as the teacher is given them."""
        if self.shares is None:
            return x
        height, width = (
            max(round(side * share), 1)
            for side, share in zip(x.shape[2:], self.shares, strict=True)
        )
        small = F.interpolate(x, (height, width), mode="bilinear", antialias=True)
        return small.contiguous(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode, whatever is asked."""
        return super().train(False)


class OpenedTeacher(NamedTuple):
    """A network to learn from, before it is known by which student."""

    name: str
    """As a person calls it."""
    network: nn.Module
    preprocessing: Preprocessing
    card: ModelCard | None
    """None for a network of another library."""
    outputs: int
    fixed_size: bool
    """Whether it takes images of one size only."""

    def labels(self, task: Task) -> tuple[str, ...]:
        """What its outputs are called; where it does not say, as the use has it for so many."""
        known = self.card.labels if self.card is not None else ()
        return known or task.architecture.default_labels(self.outputs)

    def of(self, task: Task, student: ModelCard, *, shrink: bool = False) -> Teacher:
        """The teacher of a student; ValueError where the task's `teach` says that it is none.

        With `shrink` the images of both are read at the teacher's size.
        """
        card = student.replace(task=task.name)
        task.teach.check_teacher(self.name, self.card, self.outputs, card)
        return Teacher(
            self.network,
            self.preprocessing,
            student.preprocessing,
            fixed_size=self.fixed_size,
            shrink=shrink and larger(self.preprocessing, student.preprocessing) is not None,
        )


def larger(teacher: Preprocessing, student: Preprocessing) -> tuple[int, int] | None:
    """The teacher's size, (height, width), where neither side is smaller than the student's.

    None where it is the same, or where one side is smaller. Images that are read at that size for
    both show the teacher all the detail that it was trained on.
    """
    pairs = list(zip(teacher.size, student.size, strict=True))
    if all(own >= other for own, other in pairs) and teacher.size != student.size:
        return teacher.size
    return None


def open_teacher(name: str) -> OpenedTeacher:
    """Any WEIGHTS, or a pretrained timm network by its name; WeightsError where it is neither."""
    import timm

    if not Path(name).exists() and timm.is_model(name):
        try:
            network: nn.Module = timm.create_model(name, pretrained=True)
        except RuntimeError as error:
            raise WeightsError(f"teacher {name}: {str(error).splitlines()[0]}") from error
        config = cast(dict[str, Any], network.pretrained_cfg)
        size = tuple(config["input_size"][1:])
        own = Preprocessing(size, mean=tuple(config["mean"]), std=tuple(config["std"]))
        outputs = cast(int, network.num_classes)
        return OpenedTeacher(
            name, network, own, None, outputs, bool(config.get("fixed_input_size"))
        )
    network = load(name, say=lambda line: None)
    card = card_of(network)
    classes = network_of(card.architecture).knobs.get("classes", len(card.labels))
    outputs = card.arguments.get("classes", classes)
    return OpenedTeacher(name, network, card.preprocessing, card, outputs, fixed_size=False)


def load_teacher(name: str, task: Task, student: ModelCard) -> Teacher:
    """A teacher from any WEIGHTS, or a pretrained timm network by its name.

    Raises ValueError where it cannot teach the student, as the task's `teach` says.
    """
    return open_teacher(name).of(task, student)
