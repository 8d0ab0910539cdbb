"""Learning from another network's outputs (Hinton et al. 2015, arXiv 1503.02531)."""

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.card import ModelCard, Preprocessing, card_of
from mobilenets.errors import WeightsError


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


def load_teacher(name: str, student: ModelCard) -> Teacher:
    """A teacher from any WEIGHTS, or a pretrained timm network by its name.

    Raises ValueError where its outputs are not the student's classes.
    """
    import timm

    if not Path(name).exists() and timm.is_model(name):
        try:
            network: nn.Module = timm.create_model(name, pretrained=True)
        except RuntimeError as error:
            raise WeightsError(f"teacher {name}: {str(error).splitlines()[0]}") from error
        config = cast(dict[str, Any], network.pretrained_cfg)
        size = tuple(config["input_size"][1:])
        own = Preprocessing(size, mean=tuple(config["mean"]), std=tuple(config["std"]))
        fixed = bool(config.get("fixed_input_size"))
        outputs = cast(int, network.num_classes)
    else:
        from mobilenets.models.classifier import Classifier
        from mobilenets.weights import load

        loaded, fixed = load(name), False
        network, card = loaded, card_of(loaded)
        if not isinstance(loaded, Classifier):
            raise ValueError(f"teacher must be a classifier, {name} is to {card.task}")
        own, outputs = card.preprocessing, loaded.classifier.out_features
        if card.labels and card.labels != student.labels:
            raise ValueError(
                f"teacher must have the student's classes in the same order, {name} has "
                f"{', '.join(card.labels[:5])}, ..."
            )
    if outputs != len(student.labels):
        raise ValueError(
            f"teacher must have {len(student.labels)} outputs as the student, {name} has {outputs}"
        )
    return Teacher(network, own, student.preprocessing, fixed_size=fixed)


def distillation_loss(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of the softened outputs (N, classes), times temperature squared.

    The square keeps its gradients as large as the plain loss's, whatever the temperature.
    """
    divergence = F.kl_div(
        F.log_softmax(student / temperature, 1),
        F.log_softmax(teacher / temperature, 1),
        log_target=True,
        reduction="batchmean",
    )
    return divergence * temperature**2
