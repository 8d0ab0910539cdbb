"""What every reader of other people's weights returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard, ResizeRule

VOC_SIDE = 513
"""The input that DeepLab's authors pad VOC's images to: those have at most 500 pixels a side."""


def segmentation_resize(size: tuple[int, int]) -> ResizeRule:
    """How segmentation networks of others are fed, by their input's size, (height, width).

    From 513 pixels on padded, as their authors evaluate. What is smaller cannot hold VOC's
    images and was made for phones, which squash the picture to it.
    """
    return "pad" if min(size) >= VOC_SIDE else "squash"


@dataclass(frozen=True)
class Foreign:
    """Weights in our names and torch's layouts, and the card that was read off them.

    `tensors` maps the state-dict names of `mobilenets.models` to float32 arrays: convolutions as
    (out, in / groups, kernel, kernel), the classifier as (classes, channels).
    """

    card: ModelCard
    tensors: dict[str, NDArray[np.float32]]
