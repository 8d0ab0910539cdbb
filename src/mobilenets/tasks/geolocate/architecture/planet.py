"""A backbone, an average pool, dropout and a fully connected layer with a score for each cell."""

from typing import Any

from mobilenets.models.modules.pooled import PooledNet, pooled_network
from mobilenets.tasks.geolocate.architecture import ON_V1, ON_V2


class Planet(PooledNet):
    """(N, 3, H, W) images -> (N, cells) logits, for any H and W from 32 pixels.

    Which cells of the map these are, its card says in `kept`.
    """


def planet_mobilenet_v1(**knobs: Any) -> Planet:
    """MobileNetV1 that locates photographs (paper 1, section 4.3 and Table 11).

    Knobs, all keyword arguments: `classes` (9765, the cells of the map), `dropout` (0.001); of the
    body `width` (1.0), `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or "keras"),
    `norm_eps`, `norm_momentum`, `separable`, `shallow`, `early_strides` (of the stem and of the
    second block), `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01, of a
    leaky ReLU). Raises ValueError for a knob that there is not, or out of range.
    """
    return pooled_network(Planet, ON_V1, knobs)


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
    return pooled_network(Planet, ON_V2, knobs)
