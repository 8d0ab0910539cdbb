"""A backbone, an average pool, dropout and a fully connected layer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.models.modules.backbone import Backbone
from mobilenets.models.modules.carded import HEAD
from mobilenets.models.modules.pooled import PooledNet, pooled_network
from mobilenets.tasks.classify.architecture import ON_V1, ON_V2
from mobilenets.tasks.classify.read import UNKNOWN


class Likeness(nn.Module):
    """How much features look like those of each class: (N, features) -> (N, classes), -1 to 1.

    The cosine to each class's row of `centroids`, of the features' square roots, which keeps a few
    large ones from deciding alone, less their mean over all known images. `familiar.fit` makes
    both.
    """

    mean: Tensor
    """(features,) of known images, for new classes; no file for devices has it."""
    middle: Tensor
    """(features,) that of their square roots."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("middle", torch.zeros(features))
        self.centroids = nn.Linear(features, classes, bias=False)
        nn.init.zeros_(self.centroids.weight).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        x = x.clamp(min=0).sqrt() - self.middle
        likeness: Tensor = self.centroids(F.normalize(x, dim=1))
        return likeness


class Classifier(PooledNet):
    """(N, 3, H, W) images -> (N, classes) logits, for any H and W from 32 pixels.

    Where it is `known` what its classes look like, in evaluation mode also the likeness to each,
    (N, classes). A new `classifier` makes it forget that.
    `card` says what the weights are and how to feed them; None for a network just built.
    """

    known: Likeness | None

    def __init__(
        self,
        backbone: Backbone,
        classes: int,
        dropout: float,
        hidden: int = 0,
        known: bool = False,
    ) -> None:
        super().__init__(backbone, classes, dropout, hidden)
        self.known = Likeness(hidden or backbone.channels, classes) if known else None

    def __setattr__(self, name: str, value: Any) -> None:
        if name == HEAD and name in self.__dict__.get("_modules", {}):
            self.forget()
        super().__setattr__(name, value)

    def forget(self) -> None:
        """No more say how much an image looks like the classes: they are about to change."""
        if self.known is None:
            return
        self.known = None
        if self.card is not None:
            arguments = {k: v for k, v in self.card.arguments.items() if k != "known"}
            kept = {k: v for k, v in self.card.kept.items() if k != UNKNOWN}
            self.card = self.card.replace(
                arguments=arguments, outputs=self.card.outputs[:1], kept=kept
            )

    def forward(self, x: Tensor) -> Any:  # noqa: D102
        x = self.features(x)
        logits: Tensor = self.classifier(self.dropout(x))
        if self.known is None or self.training:
            return logits
        return logits, self.known(x)

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, channels) features: the pooled last map."""
        return self.pooled(x)


class Probabilities(nn.Module):
    """A network with a softmax behind it, or a sigmoid: (N, 3, H, W) -> (N, classes)."""

    def __init__(self, network: nn.Module, *, independent: bool = False) -> None:
        super().__init__()
        self.network = network
        self.independent = independent

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:  # noqa: D102
        found: Tensor | tuple[Tensor, ...] = self.network(x)
        out, *others = found if isinstance(found, tuple) else (found,)
        scores = out.sigmoid() if self.independent else out.softmax(1)
        return (scores, *others) if others else scores


def mobilenet_v1(**knobs: Any) -> Classifier:
    """MobileNetV1 for classification (paper 1, Table 1).

    Knobs, all keyword arguments: `classes` (1000), `dropout` (0.001), `hidden` (0; of a
    layer with ReLU before the last, as many outputs), `known` (whether it also gives the likeness
    to each class: `train --unknown`); of the body `width` (1.0),
    `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"), `norm_eps`,
    `norm_momentum`, `separable`, `shallow`, `early_strides` (of the stem and of the second block),
    `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a leaky ReLU).
    Raises ValueError for a knob that there is not, or out of range.
    """
    return pooled_network(Classifier, ON_V1, knobs)


def mobilenet_v2(**knobs: Any) -> Classifier:
    """MobileNetV2 for classification (paper 2, Table 2).

    Knobs, all keyword arguments: `classes` (1000), `dropout` (0.2), `hidden` (0; of a
    layer with ReLU before the last, as many outputs), `known` (whether it also gives the likeness
    to each class: `train --unknown`); of the body `width` (1.0),
    `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"), `norm_eps`,
    `norm_momentum`, `finegrained` (whether the last layer keeps 1280 channels below width 1),
    `expansion` (6), `linear_bottleneck`, `shortcut` ("bottleneck", "expansion" or "none"),
    `early_strides` (of the stem and of the second stage), `divisor` (8, of channels),
    `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a leaky ReLU).
    Raises ValueError for a knob that there is not, or out of range.
    """
    return pooled_network(Classifier, ON_V2, knobs)
