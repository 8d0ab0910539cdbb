"""A body, an average pool, dropout and a fully connected layer: what several uses stand on."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

from mobilenets.models.modules.backbone import Backbone
from mobilenets.models.modules.bodies import module_of
from mobilenets.models.modules.carded import Carded, remembering
from mobilenets.models.modules.layers import initialise
from mobilenets.models.network import Network


class PooledNet(Carded):
    """(N, 3, H, W) images -> (N, classes) logits, for any H and W from 32 pixels.

    A layer of `hidden` outputs with ReLU comes before the dropout; 0 for none.
    """

    def __init__(self, backbone: Backbone, classes: int, dropout: float, hidden: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.hidden = nn.Linear(backbone.channels, hidden) if hidden else None
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden or backbone.channels, classes)
        for layer in (self.hidden, self.classifier):
            if layer is not None:
                initialise(layer)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        logits: Tensor = self.classifier(self.dropout(self.features(x)))
        return logits

    def features(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, features): what the last layer reads, but for the dropout."""
        x = self.pooled(x)
        return x if self.hidden is None else self.hidden(x).relu()

    def pooled(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, channels) features: the mean of the last map."""
        found: Tensor = self.backbone(x)
        return found.mean((2, 3))  # (N, channels)


Made = TypeVar("Made", bound=PooledNet)


def pooled_network(make: Callable[..., Made], network: Network, knobs: Mapping[str, Any]) -> Made:
    """A new network of the class `make` on the body that `knobs` give it; the rest are its own.

    Raises ValueError for a knob that `network` does not have, or out of range.
    """
    body, own = network.settle(knobs)
    return remembering(make(module_of(body), **own), network, knobs)
