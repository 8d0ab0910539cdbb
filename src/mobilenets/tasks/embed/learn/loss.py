"""The losses: a cosine margin of our own, and those of pytorch-metric-learning by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.tasks.embed.recipes.settings import FOREIGN, OWN_LOSSES, EmbeddingObjective

Loss = Callable[[Any, Tensor], Tensor]
"""((vectors (N, dimensions), class weights (classes, dimensions)), classes (N,)) -> the loss."""


def loss_of(objective: EmbeddingObjective, classes: int | None) -> Loss:
    """The loss that is named, for a classifier of so many classes.

    ValueError for a loss that there is not; ModuleNotFoundError without pytorch-metric-learning.
    """
    if objective.loss in OWN_LOSSES:
        return CosineMargin(objective)
    return PeerLoss(objective.loss.removeprefix(FOREIGN), classes)


def needs_pairs(objective: EmbeddingObjective) -> bool:
    """Whether the loss compares the images of a batch with each other."""
    if objective.loss in OWN_LOSSES:
        return False
    return "num_classes" not in inspect.signature(kind_of(objective.loss)).parameters


class CosineMargin:
    """Cross entropy of scaled cosines to class weights, the true class's made smaller."""

    def __init__(self, objective: EmbeddingObjective) -> None:
        self.objective = objective

    def __call__(self, outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:  # noqa: D102
        vectors, weights = (part.float() for part in outputs)
        cosines = vectors @ F.normalize(weights, dim=1).T  # (N, classes)
        margin, scale = self.objective.margin, self.objective.scale
        true = cosines.gather(1, targets[:, None])
        harder = true - margin if self.objective.loss == "cosface" else turned(true, margin)
        return F.cross_entropy(scale * cosines.scatter(1, targets[:, None], harder), targets)


def turned(cosines: Tensor, angle: float) -> Tensor:
    """The cosine of an angle that is larger by `angle`; beyond half a turn, as far below again.

    There cos(x + angle) would rise: a straight line goes on instead, as ArcFace's authors have it.
    """
    held = cosines.clamp(-1 + 1e-7, 1 - 1e-7)
    sine = (1 - held.square()).sqrt()
    larger = held * math.cos(angle) - sine * math.sin(angle)
    beyond = cosines - math.sin(math.pi - angle) * angle
    return torch.where(cosines > math.cos(math.pi - angle), larger, beyond)


class PeerLoss:
    """A loss of pytorch-metric-learning with its own settings.

    One that has weights for each class gets those of the network's classifier: they learn with it,
    and are kept with the run.
    """

    def __init__(self, name: str, classes: int | None) -> None:
        self.name, self.classes = name, classes
        self.kind = kind_of(FOREIGN + name)
        parameters = inspect.signature(self.kind).parameters
        self.classified = "num_classes" in parameters
        self.made: nn.Module | None = None
        if not self.classified:
            wanted = [p.name for p in parameters.values() if p.default is p.empty]
            wanted = [n for n in wanted if n not in ("kwargs", "args")]
            if wanted:
                raise ValueError(f"loss {FOREIGN}{name} needs {wanted[0]}, which is not given here")
            self.made = self.kind()
            if any(True for _ in self.made.parameters()):
                raise ValueError(f"loss {FOREIGN}{name} has weights of its own, which no run keeps")

    def __call__(self, outputs: tuple[Tensor, Tensor], targets: Tensor) -> Tensor:  # noqa: D102
        vectors, weights = (part.float() for part in outputs)
        if self.made is None:
            self.made = self._for_classes(*weights.shape).to(vectors.device)
        found: Tensor
        if not self.classified:
            found = self.made(vectors, targets)
            return found
        ((name, own),) = self.made.named_parameters()
        given = weights if own.shape == weights.shape else weights.T
        found = torch.func.functional_call(self.made, {name: given}, (vectors, targets))
        return found

    def _for_classes(self, classes: int, dimensions: int) -> nn.Module:
        """ValueError where its weights are not one vector for each class."""
        made = self.kind(num_classes=classes, embedding_size=dimensions)
        shapes = [tuple(one.shape) for one in made.parameters()]
        if len(shapes) != 1 or sorted(shapes[0]) != sorted((classes, dimensions)):
            raise ValueError(
                f"loss {FOREIGN}{self.name} must have one vector for each class, its weights are "
                f"{shapes}"
            )
        return made


def kind_of(loss: str) -> type[nn.Module]:
    """The class of pytorch-metric-learning that `pml:NAME` means; ValueError for none."""
    from pytorch_metric_learning import losses

    name = loss.removeprefix(FOREIGN)
    known = sorted(n for n, v in vars(losses).items() if inspect.isclass(v) and n.endswith("Loss"))
    if name not in known:
        raise ValueError(f"loss must be {FOREIGN} and one of {', '.join(known)}, got {name!r}")
    found: type[nn.Module] = getattr(losses, name)
    return found
