"""A backbone, a pool, a projection with a norm, unit length; in training a cosine classifier."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mobilenets.models.modules.backbone import Backbone
from mobilenets.models.modules.bodies import module_of
from mobilenets.models.modules.carded import Carded, remembering
from mobilenets.models.modules.layers import ConvNormAct, Norm, initialise
from mobilenets.models.network import Network
from mobilenets.tasks.embed.architecture import ON_V1, ON_V2
from mobilenets.tasks.embed.architecture.layers import Pooling

LEAST = 1e-6
"""What a value counts at least in a generalised mean: its powers need positive numbers."""


class Mean(nn.Module):
    """The plain mean of a map: (N, C, H, W) -> (N, C, 1, 1)."""

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x.mean((2, 3), keepdim=True)


class GeneralisedMean(nn.Module):
    """GeM (Radenovic et al. 2018, arXiv 1711.02512): (mean of x^p)^(1/p), p learned from 3 on."""

    def __init__(self) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.full((1,), 3.0))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        raised = x.clamp(min=LEAST).pow(self.power).mean((2, 3), keepdim=True)
        return raised.pow(1 / self.power)


class FixedMean(nn.Module):
    """The same with a power that is a number: what a deployed file has."""

    def __init__(self, power: float) -> None:
        super().__init__()
        self.power = power

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return x.clamp(min=LEAST).pow(self.power).mean((2, 3), keepdim=True).pow(1 / self.power)


class DepthwisePool(ConvNormAct):
    """MobileFaceNet's (Chen et al. 2018, arXiv 1804.07573): a kernel as large as the map.

    Of a larger map the mean of what is left. ValueError for a smaller one.
    """

    def __init__(self, channels: int, kernel: int, norm: Norm) -> None:
        super().__init__(channels, channels, kernel, groups=channels, norm=norm, activation=None)
        self.conv.padding = (0, 0)

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        kernel = self.conv.kernel_size[0]
        if min(x.shape[2:]) < kernel:
            raise ValueError(
                f"kernel must be at most the last map's side, {min(x.shape[2:])}, got {kernel}"
            )
        return super().forward(x).mean((2, 3), keepdim=True)


class EmbeddingNet(Carded):
    """(N, 3, H, W) images -> (N, dimensions) vectors of unit length.

    In training mode, where it has a classifier, also that one's (classes, dimensions) weights, for
    the loss: the cosines to them are a vector's scores.
    """

    _projected = False

    @property
    def projected(self) -> bool:
        """Whether the projection has learned already: a probe then leaves it as it is."""
        return self._projected

    def keep_projection(self) -> None:
        """Say that the projection has learned."""
        self._projected = True

    def __init__(
        self,
        backbone: Backbone,
        *,
        classes: int | None,
        dimensions: int,
        pooling: Pooling,
        kernel: int,
        norm: Norm,
    ) -> None:
        super().__init__()
        channels = backbone.channels
        self.backbone = backbone
        self.pool: nn.Module = Mean()
        if pooling == "gem":
            self.pool = GeneralisedMean()
        elif pooling == "depthwise":
            self.pool = DepthwisePool(channels, kernel, norm)
        self.projection = ConvNormAct(channels, dimensions, norm=norm, activation=None)
        # A vector's length says nothing, so what is common to all vectors must not either.
        self.projection.norm.bias.requires_grad_(False)
        self.classifier = None if classes is None else nn.Linear(dimensions, classes, bias=False)
        for layer in (self.pool, self.projection, self.classifier):
            if layer is not None:
                initialise(layer)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:  # noqa: D102
        x = self.projection(self.pooled(x))
        vectors = F.normalize(x.flatten(1), dim=1)  # (N, dimensions)
        if self.training and self.classifier is not None:
            return vectors, self.classifier.weight
        return vectors

    def pooled(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) images -> (N, channels, 1, 1): what the projection reads."""
        found: Tensor = self.pool(self.backbone(x))
        return found


def embedding_mobilenet_v1(**knobs: Any) -> EmbeddingNet:
    """MobileNetV1 for embeddings, as paper 1, Table 14, has it for faces.

    Knobs, all keyword arguments: `dimensions` (256), `pooling` ("gem", a generalised mean, or
    "average"; "depthwise" for a kernel of `kernel` x `kernel` (7) places, the last map's side),
    `classes` (None; of the cosine classifier in training), `last` (without a meaning for V1); of
    the body `width` (1.0), `output_stride` (32, 16 or 8), `padding` ("same", "symmetric" or
    "keras"), `norm_eps`, `norm_momentum`, `separable`, `shallow`, `early_strides` (of the stem and
    of the second block), `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope` (0.01,
    of a leaky ReLU). Raises ValueError for a knob that there is not, or out of range.
    """
    return _embedding(ON_V1, knobs)


def embedding_mobilenet_v2(**knobs: Any) -> EmbeddingNet:
    """MobileNetV2 for embeddings.

    Knobs, all keyword arguments: `dimensions` (256), `pooling` ("gem", a generalised mean, or
    "average"; "depthwise" for a kernel of `kernel` x `kernel` (7) places, the last map's side),
    `last` (whether V2's last layer, of 1280 channels, is there), `classes` (None; of the cosine
    classifier in training); of the body `width` (1.0), `output_stride` (32, 16 or 8), `padding`
    ("same", "symmetric" or "keras"), `norm_eps`, `norm_momentum`, `finegrained` (whether the last
    layer keeps 1280 channels below width 1), `expansion` (6), `linear_bottleneck`, `shortcut`
    ("bottleneck", "expansion" or "none"), `early_strides` (of the stem and of the second stage),
    `divisor` (8, of channels), `activation` ("relu6", "relu" or "leaky_relu"), `negative_slope`
    (0.01, of a leaky ReLU). Raises ValueError for a knob that there is not, or out of range.
    """
    return _embedding(ON_V2, knobs)


def _embedding(network: Network, knobs: Mapping[str, Any]) -> EmbeddingNet:
    body, own = network.settle(knobs)
    backbone = module_of(body)
    if not own.pop("last"):
        backbone.last = nn.Identity()
        backbone.channels = body.blocks[-1].c_out
    norm = Norm(body.norm_eps, body.norm_momentum)
    return remembering(EmbeddingNet(backbone, norm=norm, **own), network, knobs)


def finished(network: EmbeddingNet) -> EmbeddingNet:
    """The network as a file has it: without a classifier, its power a number; changed in place."""
    if isinstance(network.pool, GeneralisedMean):
        network.pool = FixedMean(network.pool.power.item())
    network.classifier = None
    return network
