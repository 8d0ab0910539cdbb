"""A backbone, an average pool, dropout and a fully connected layer with a score for each cell."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from mobilenets.models.modules.backbone import Backbone
from mobilenets.models.modules.bodies import module_of
from mobilenets.models.modules.carded import Carded, remembering
from mobilenets.models.modules.layers import initialise
from mobilenets.models.network import Network
from mobilenets.tasks.geolocate.architecture import ON_V1, ON_V2


class Planet(Carded):
    """(N, 3, H, W) images -> (N, cells) logits, for any H and W from 32 pixels.

    Which cells of the map these are, its card says in `kept`.
    """

    def __init__(self, backbone: Backbone, classes: int, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(backbone.channels, classes)
        initialise(self.classifier)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        features = self.backbone(x).mean((2, 3))  # (N, channels)
        logits: Tensor = self.classifier(self.dropout(features))
        return logits


def planet_mobilenet_v1(**knobs: Any) -> Planet:
    """MobileNetV1 that locates photographs (paper 1, section 4.3 and Table 11).

    Knobs, all keyword arguments: `classes` (9765, the cells of the map), `dropout` (0.001); of the
    body `width` (1.0), `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"),
    `norm_eps`, `norm_momentum`, `separable`, `shallow`, `early_strides` (of the stem and of the
    second block), `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a
    leaky ReLU). Raises ValueError for a knob that there is not, or out of range.
    """
    return _planet(ON_V1, knobs)


def planet_mobilenet_v2(**knobs: Any) -> Planet:
    """MobileNetV2 that locates photographs.

    Knobs, all keyword arguments: `classes` (9765, the cells of the map), `dropout` (0.2); of the
    body `width` (1.0), `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"),
    `norm_eps`, `norm_momentum`, `finegrained` (whether the last layer keeps 1280 channels below
    width 1), `expansion` (6), `linear_bottleneck`, `shortcut` ("bottleneck", "expansion" or
    "none"), `early_strides` (of the stem and of the second stage), `divisor` (8, of channels),
    `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a leaky ReLU).
    Raises ValueError for a knob that there is not, or out of range.
    """
    return _planet(ON_V2, knobs)


def _planet(network: Network, knobs: Mapping[str, Any]) -> Planet:
    body, own = network.settle(knobs)
    made = Planet(module_of(body), own["classes"], own["dropout"])
    return remembering(made, network, knobs)
