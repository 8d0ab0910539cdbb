"""What is known of a picture's objects: boxes and classes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Objects(NamedTuple):
    """The objects of one picture; none is a picture that is known to be empty."""

    boxes: NDArray[np.float32]
    """(n, 4): left, top, right, bottom in pixels of the upright image."""
    labels: NDArray[np.int64]
    """(n,): places in the data set's `classes`."""
    crowd: NDArray[np.bool_]
    """(n,): COCO's `iscrowd`: many objects in one box; never trained on."""
    difficult: NDArray[np.bool_]
    """(n,): VOC's flag: neither to be found nor wrong when found."""
    areas: NDArray[np.float32]
    """(n,): square pixels; COCO gives the mask's, by which small and large are told apart."""

    @classmethod
    def of(
        cls,
        boxes: Sequence[Sequence[float]] | NDArray[np.floating],
        labels: Sequence[int] | NDArray[np.integer],
        crowd: Sequence[bool] | None = None,
        difficult: Sequence[bool] | None = None,
        areas: Sequence[float] | None = None,
    ) -> "Objects":
        """From plain lists; nothing is crowded or difficult, and areas are the boxes' own."""
        box = np.asarray(boxes, np.float32).reshape(-1, 4)
        none = [False] * len(box)
        own = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        return cls(
            box,
            np.asarray(labels, np.int64).reshape(-1),
            np.asarray(none if crowd is None else crowd, bool),
            np.asarray(none if difficult is None else difficult, bool),
            own if areas is None else np.asarray(areas, np.float32),
        )
