"""What a segmentation network says of an image, in fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilenets.models.geometry import unknown_name
from mobilenets.tasks.answer import Answer, ThingsAnswer
from mobilenets.tasks.segment.read import Mask, Region


class MaskAnswer(ThingsAnswer[Region]):
    """The class of every pixel of an image, and the share of the image that each class has.

    `labels` and `scores` are the classes that are there and their shares, the largest first.

    >>> answer = model.predict("street.jpg")
    >>> answer.mask.shape  # (height, width) of the upright image
    >>> answer.labels, answer.scores
    (['road', 'car'], [0.61, 0.12])
    >>> answer.mask_of("road").mean()
    0.61
    """

    @property
    def things(self) -> list[Region]:
        """The classes that are there; each has `label`, `index` and `score`, its share."""
        found: list[Region] = self.checked().regions
        return found

    @property
    def mask(self) -> Mask:
        """(H, W) of the upright image: each pixel's place in `classes`."""
        found: Mask = self.checked().mask
        return found

    @property
    def classes(self) -> tuple[str, ...]:
        """What the numbers in `mask` stand for."""
        names: tuple[str, ...] = self.checked().labels
        return names

    def mask_of(self, label: str) -> NDArray[np.bool_]:
        """(H, W): where the image shows a class; ValueError for a name that the model has not."""
        if label not in self.classes:
            raise ValueError(unknown_name(label, self.classes, "label"))
        places = [index for index, name in enumerate(self.classes) if name == label]
        return np.isin(self.mask, places)


ANSWER: type[Answer] = MaskAnswer
