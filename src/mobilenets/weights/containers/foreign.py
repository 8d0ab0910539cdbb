"""What every reader of other people's weights returns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mobilenets.card import ModelCard


@dataclass(frozen=True)
class Foreign:
    """Weights in our names and torch's layouts, and the card that was read off them.

    `tensors` maps the state-dict names of `mobilenets.models` to float32 arrays: convolutions as
    (out, in / groups, kernel, kernel), the classifier as (classes, channels).
    """

    card: ModelCard
    tensors: dict[str, NDArray[np.float32]]
