"""The demo: a small network that learns the built-in shapes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.segment.read import Segmented
from mobilenets.tasks.values import QUICK, Demo

SPECK = 0.005
"""Share of a picture: what is seen of a class in fewer pixels is not told as seen."""
DEMO = Demo(
    "Segmentation",
    "deeplabv3_mobilenet_v2",
    129,
    "finetune_deeplab",
    {**QUICK, "epochs": 3, "batch_size": 16, "learning_rate": 0.005, "policy": "flip"},
    metric="miou",
    threshold=0.25,
    guessing="background alone gives 0.1",
    mistake="not all found, or more than is there",
)


def labels(
    decoded: Segmented, target: NDArray[np.uint8], classes: Sequence[str]
) -> tuple[list[str], list[str]]:
    """(there, seen): the classes of all pixels, sorted; specks are not told as seen."""
    there = [classes[label] for label in np.unique(target)]
    return sorted(there), sorted(one.label for one in decoded.regions if one.score >= SPECK)
