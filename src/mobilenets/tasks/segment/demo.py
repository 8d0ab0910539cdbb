"""The demo: segmentation of the built-in shapes."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.segment.read import MOST, Segmented, regions
from mobilenets.tasks.values import Demo, Judged

FOUND = 0.5
"""Overlap (intersection over union) from which a class is found in a picture."""
SPECK = 0.005
"""Share of a picture: fewer pixels that are seen of a class that is not there are no mistake."""
DEMO = Demo(
    "Segmentation",
    "deeplabv3_mobilenet_v2",
    {"epochs": 6, "learning_rate": 0.004, "policy": "flip", "probe": False},
    metric="miou",
    threshold=0.72,
    guessing="background alone gives 0.1",
    resolution=129,
)


def judge(decoded: Segmented, target: NDArray[np.uint8], classes: Sequence[str]) -> Judged:
    """Right where each class that is there overlaps by half or more, and no other is seen."""
    labels = tuple(classes)
    truth = Segmented(target, regions(target, labels, threshold=0.0, most=MOST), labels)
    there, seen = set(np.unique(target).tolist()), decoded.mask
    shares = {}
    for label in there | set(np.unique(seen).tolist()):
        both = np.count_nonzero((seen == label) & (target == label))
        either = np.count_nonzero((seen == label) | (target == label))
        if label in there or either >= SPECK * target.size:
            shares[label] = float(both / either)
    mean = sum(shares.values()) / len(shares)
    right = bool(min(shares.values()) >= FOUND)
    return Judged(truth, right, mean if right else mean - 1, f"overlap {mean:.2f}")
