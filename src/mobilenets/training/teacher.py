"""A network that another one learns from."""

from pathlib import Path
from typing import Any, cast

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

    One that takes images of one size only, as transformers do, gets them scaled to it.
    """

    def __init__(
        self,
        network: nn.Module,
        own: Preprocessing,
        student: Preprocessing,
        *,
        fixed_size: bool = False,
    ) -> None:
        super().__init__()
        self.size = own.size if fixed_size else None
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

    def train(self, mode: bool = True) -> "Teacher":
        """Stay in evaluation mode, whatever is asked."""
        return super().train(False)


def load_teacher(name: str, task: Task, student: ModelCard) -> Teacher:
    """A teacher from any WEIGHTS, or a pretrained timm network by its name.

    Raises ValueError where it cannot teach the student, as the task's `teach` says.
    """
    import timm

    student = student.replace(task=task.name)

    if not Path(name).exists() and timm.is_model(name):
        try:
            network: nn.Module = timm.create_model(name, pretrained=True)
        except RuntimeError as error:
            raise WeightsError(f"teacher {name}: {str(error).splitlines()[0]}") from error
        config = cast(dict[str, Any], network.pretrained_cfg)
        size = tuple(config["input_size"][1:])
        own = Preprocessing(size, mean=tuple(config["mean"]), std=tuple(config["std"]))
        task.teach.check_teacher(name, None, cast(int, network.num_classes), student)
        fixed = bool(config.get("fixed_input_size"))
        return Teacher(network, own, student.preprocessing, fixed_size=fixed)
    network = load(name, say=lambda line: None)
    card = card_of(network)
    classes = network_of(card.architecture).knobs.get("classes", len(card.labels))
    task.teach.check_teacher(name, card, card.arguments.get("classes", classes), student)
    return Teacher(network, card.preprocessing, student.preprocessing)
