"""SSD's tables and the arithmetic on them: feature maps, extras and anchors, without torch.

The networks, their costs and the reading of raw outputs are all built from what this file
returns. Source: the authors' detection configuration for both MobileNets (paper 1, section 4.6;
paper 2, section 6.2), and Liu et al. 2016 (arXiv 1512.02325) for VGG-16.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from mobilenets.card import ModelCard
from mobilenets.models.bodies import V1, V2
from mobilenets.models.geometry import Padding, output_size

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scores = Literal["sigmoid", "softmax"]
Size = tuple[int, int]

EXTRAS = (512, 256, 256, 128)
"""Channels of the maps that SSD adds to a MobileNet's two."""
LEAST_EXTRA = 16
TAPS = {V1.name: "blocks.10", V2.name: "blocks.13.expand"}
"""The map at output stride 16 that SSD reads: V1's eleventh pair; in V2 the expansion inside the
block that goes to stride 32, before its depthwise. The other tap is the last layer."""

LOWEST, HIGHEST = 0.2, 0.95
CODE_WEIGHTS = (10.0, 10.0, 5.0, 5.0)
"""Box codes are (x, y, width, height) times these."""
MATCH_IOU = 0.5
NMS_IOU = 0.6
MOST_DETECTIONS = 100


class Vgg(NamedTuple):
    """SSD on VGG-16 as Liu et al. train it on COCO: extras, and anchors in pixels of `size`."""

    size: int
    extras: tuple[tuple[int, int, int, int, int], ...]
    """(inner channels, channels, kernel, stride, padding) of each."""
    sides: tuple[float, ...]
    """Of the square anchors in pixels, one more than there are maps."""
    ratios: tuple[tuple[float, ...], ...]
    steps: tuple[int, ...]
    """Pixels from one anchor to the next; not quite `size` over the map's size."""


VGG = {
    "ssd300_vgg16": Vgg(
        300,
        ((256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 1, 0), (128, 256, 3, 1, 0)),
        (21, 45, 99, 153, 207, 261, 315),
        ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,)),
        (8, 16, 32, 64, 100, 300),
    ),
    "ssd512_vgg16": Vgg(
        512,
        (
            *((256, 512, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 2, 1), (128, 256, 3, 2, 1)),
            (128, 256, 4, 1, 1),
        ),
        (20.48, 51.2, 133.12, 215.04, 296.96, 378.88, 460.8, 542.72),
        ((2,), (2, 3), (2, 3), (2, 3), (2, 3), (2,), (2,)),
        (8, 16, 32, 64, 128, 256, 512),
    ),
}
VGG_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
"""Channels and number of the 3x3 convolutions between VGG-16's pools."""
VGG_FC = 1024
"""Channels of its fully connected layers, cut down to convolutions."""
VGG_TAPS = ("conv4_3", "fc7")
VGG_NORM = 20.0
"""What the L2 norms of conv4_3's pixels are set to; learnt from there, channel by channel."""


class VggLayer(NamedTuple):
    """A convolution with ReLU, or a max pool where `channels` is 0."""

    name: str
    channels: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    ceil: bool = False
    """A pool whose last window may reach over the edge."""

    @property
    def padding(self) -> int:
        """Pixels on every side."""
        return self.dilation * (self.kernel - 1) // 2

    def output(self, side: int) -> int:
        """Pixels that come out along one side."""
        span = side + 2 * self.padding - self.dilation * (self.kernel - 1) - 1
        return (math.ceil(span / self.stride) if self.ceil else span // self.stride) + 1


def vgg_layers() -> list[VggLayer]:
    """VGG-16 as SSD has it: the fifth pool keeps the size, fc6 is dilated to make up for it."""
    layers = []
    for stage, (channels, count) in enumerate(VGG_STAGES, 1):
        layers += [VggLayer(f"conv{stage}_{i + 1}", channels, 3) for i in range(count)]
        layers.append(VggLayer(f"pool{stage}", 0, 2, 2, ceil=stage == 3))
    layers[-1] = VggLayer("pool5", 0, 3)
    fc6 = VggLayer("fc6", VGG_FC, 3, dilation=6)
    return [*layers, fc6, VggLayer("fc7", VGG_FC, 1)]


def check_scores(scores: str) -> None:
    """Raise ValueError unless `scores` is a way to turn logits into scores."""
    if scores not in get_args(Scores):
        raise ValueError(f"scores must be 'sigmoid' or 'softmax', got {scores!r}")


def check_head_kernel(kernel: int) -> None:
    """Raise ValueError unless `kernel` is one that SSD's heads can have."""
    if kernel not in (1, 3):
        raise ValueError(f"head_kernel must be 1 or 3, got {kernel!r}")


def extra_channels(width: float = 1.0) -> list[int]:
    """Channels of the four extras; the 1x1 convolution before each has half of them."""
    return [max(int(channels * width), LEAST_EXTRA) for channels in EXTRAS]


def map_sizes(image: Size, padding: Padding = "same") -> list[Size]:
    """(height, width) of the six maps of a MobileNet's SSD for an image of (height, width)."""

    def along(side: int) -> list[int]:
        side = output_size(side, 2, padding)
        for _ in range(3):
            side = output_size(side, 2, padding, depthwise=True)
        sides = [side, output_size(side, 2, padding, depthwise=True)]
        for _ in EXTRAS:
            sides.append(math.ceil(sides[-1] / 2))
        return sides

    return list(zip(along(image[0]), along(image[1]), strict=True))


def vgg_map_sizes(image: Size, name: str) -> list[Size]:
    """(height, width) of the maps of SSD on VGG-16; ValueError for an image too small for it."""

    def along(side: int) -> list[int]:
        sides = []
        for layer in vgg_layers():
            side = layer.output(side)
            if layer.name in VGG_TAPS:
                sides.append(side)
        for _, _, kernel, stride, pad in VGG[name].extras:
            sides.append((sides[-1] + 2 * pad - kernel) // stride + 1)
            if sides[-1] < 1:
                raise ValueError(
                    f"resolution must be about {VGG[name].size} for {name}, got {image}: "
                    "no pixel is left in its smallest map"
                )
        return sides

    return list(zip(along(image[0]), along(image[1]), strict=True))


def anchor_shapes() -> list[list[tuple[float, float]]]:
    """(width, height) of a MobileNet SSD's anchors in each of its maps, as shares of the image.

    Scales go from 0.2 to 0.95. The first map has three anchors, the others six: five ratios, and
    a square between this map's scale and the next one's.
    """
    maps = len(EXTRAS) + 2
    scales = [LOWEST + (HIGHEST - LOWEST) * i / (maps - 1) for i in range(maps)] + [1.0]
    shapes = [[(0.1, 0.1), _shape(scales[0], 2), _shape(scales[0], 1 / 2)]]
    for scale, larger in pairwise(scales[1:]):
        between = math.sqrt(scale * larger)
        ratios = (1, 2, 1 / 2, 3, 1 / 3)
        shapes.append([*(_shape(scale, ratio) for ratio in ratios), (between, between)])
    return shapes


def vgg_anchor_shapes(name: str) -> list[list[tuple[float, float]]]:
    """(width, height) of the anchors of SSD on VGG-16 in each map, as shares of the image."""
    spec = VGG[name]
    shapes = []
    for side, larger, ratios in zip(spec.sides, spec.sides[1:], spec.ratios, strict=False):
        scale, between = side / spec.size, math.sqrt(side * larger) / spec.size
        others = [_shape(scale, r) for ratio in ratios for r in (ratio, 1 / ratio)]
        shapes.append([(scale, scale), (between, between), *others])
    return shapes


def _shape(scale: float, ratio: float) -> tuple[float, float]:
    return scale * math.sqrt(ratio), scale / math.sqrt(ratio)


def make_anchors(
    sizes: Sequence[Size],
    shapes: Iterable[Sequence[tuple[float, float]]],
    spans: Sequence[tuple[float, float]] | None = None,
) -> NDArray[np.float32]:
    """(anchors, 4): centre x, centre y, width, height, as shares of the image's sides.

    Map after map, in each row after row, in each place shape after shape: the order of the
    network's outputs. `spans` are how many steps the image's (height, width) make in each map,
    its size unless given. An anchor may reach over the image's edge.
    """
    import numpy as np  # what a network costs is told without it

    found = []
    for (height, width), shape, (rows, columns) in zip(sizes, shapes, spans or sizes, strict=True):
        y, x = np.mgrid[:height, :width].astype(np.float64)
        centres = np.stack([(x + 0.5) / columns, (y + 0.5) / rows], -1)  # (height, width, 2)
        pair = np.empty((height, width, len(shape), 4))
        pair[..., :2] = centres[:, :, None]
        pair[..., 2:] = shape
        found.append(pair.reshape(-1, 4))
    anchors: NDArray[np.float32] = np.concatenate(found).astype(np.float32)
    return anchors


def anchors_of(name: str, image: Size, padding: Padding = "same") -> NDArray[np.float32]:
    """The anchors of the detector called `name` for an image of (height, width); (anchors, 4)."""
    if name in VGG:
        spans = [(image[0] / step, image[1] / step) for step in VGG[name].steps]
        return make_anchors(vgg_map_sizes(image, name), vgg_anchor_shapes(name), spans)
    return make_anchors(map_sizes(image, padding), anchor_shapes())


def card_anchors(card: ModelCard) -> NDArray[np.float32]:
    """The anchors of the detector that a card describes, at its input's size; (anchors, 4)."""
    padding = card.arguments.get("padding", "same")
    return anchors_of(card.architecture, card.preprocessing.size, padding)
