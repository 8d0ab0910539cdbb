"""A backbone, an average pool, dropout and a fully connected layer."""

from typing import Any

from torch import Tensor, nn

from mobilenets.card import ModelCard
from mobilenets.models.backbone import Backbone
from mobilenets.models.geometry import check
from mobilenets.models.layers import initialise
from mobilenets.models.v1 import MobileNetV1
from mobilenets.models.v2 import MobileNetV2


class Classifier(nn.Module):
    """(N, 3, H, W) images -> (N, classes) logits, for any H and W from 32 pixels.

    `card` says what the weights are and how to feed them; None for a network just built.
    """

    card: ModelCard | None = None

    def __init__(self, backbone: Backbone, classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.channels, classes)
        initialise(self.classifier)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        logits: Tensor = self.classifier(self.dropout(self.embed(x)))
        return logits

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, channels) features: the pooled last map."""
        x = self.backbone(x)
        return x.mean((2, 3))  # (N, channels)


def mobilenet_v1(*, classes: int = 1000, dropout: float = 0.001, **knobs: Any) -> Classifier:
    """MobileNetV1 for classification; `knobs` are those of `MobileNetV1`.

    Raises ValueError for a knob out of range.
    """
    check(classes=classes, dropout=dropout)
    return Classifier(MobileNetV1(**knobs), classes, dropout)


def mobilenet_v2(*, classes: int = 1000, dropout: float = 0.2, **knobs: Any) -> Classifier:
    """MobileNetV2 for classification; `knobs` are those of `MobileNetV2`.

    Raises ValueError for a knob out of range.
    """
    check(classes=classes, dropout=dropout)
    return Classifier(MobileNetV2(**knobs), classes, dropout)
