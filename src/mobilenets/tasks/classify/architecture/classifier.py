"""A backbone, an average pool, dropout and a fully connected layer."""

from typing import Any

from torch import Tensor, nn

from mobilenets.models.modules.pooled import PooledNet, pooled_network
from mobilenets.tasks.classify.architecture import ON_V1, ON_V2


class Classifier(PooledNet):
    """(N, 3, H, W) images -> (N, classes) logits, for any H and W from 32 pixels.

    `card` says what the weights are and how to feed them; None for a network just built.
    """

    def embed(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, channels) features: the pooled last map."""
        return self.pooled(x)


class Probabilities(nn.Module):
    """A network with a softmax behind it, or a sigmoid: (N, 3, H, W) -> (N, classes)."""

    def __init__(self, network: nn.Module, *, independent: bool = False) -> None:
        super().__init__()
        self.network = network
        self.independent = independent

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        out: Tensor = self.network(x)
        return out.sigmoid() if self.independent else out.softmax(1)


def mobilenet_v1(**knobs: Any) -> Classifier:
    """MobileNetV1 for classification (paper 1, Table 1).

    Knobs, all keyword arguments: `classes` (1000), `dropout` (0.001), `hidden` (0; of a
    layer with ReLU before the last, as many outputs); of the body `width` (1.0),
    `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"), `norm_eps`,
    `norm_momentum`, `separable`, `shallow`, `early_strides` (of the stem and of the second block),
    `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a leaky ReLU).
    Raises ValueError for a knob that there is not, or out of range.
    """
    return pooled_network(Classifier, ON_V1, knobs)


def mobilenet_v2(**knobs: Any) -> Classifier:
    """MobileNetV2 for classification (paper 2, Table 2).

    Knobs, all keyword arguments: `classes` (1000), `dropout` (0.2), `hidden` (0; of a
    layer with ReLU before the last, as many outputs); of the body `width` (1.0),
    `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"), `norm_eps`,
    `norm_momentum`, `finegrained` (whether the last layer keeps 1280 channels below width 1),
    `expansion` (6), `linear_bottleneck`, `shortcut` ("bottleneck", "expansion" or "none"),
    `early_strides` (of the stem and of the second stage), `divisor` (8, of channels),
    `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a leaky ReLU).
    Raises ValueError for a knob that there is not, or out of range.
    """
    return pooled_network(Classifier, ON_V2, knobs)
