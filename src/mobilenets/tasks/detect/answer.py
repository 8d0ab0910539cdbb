"""What a detector says of an image, in fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.answer import Answer, ThingsAnswer
from mobilenets.tasks.detect.read import Detection


class BoxAnswer(ThingsAnswer[Detection]):
    """The objects that a detector sees in an image, by falling score.

    >>> answer = model.predict("street.jpg", threshold=0.5)
    >>> for one in answer:
    ...     print(one.label, one.score, one.box)
    >>> answer.boxes  # (objects, 4): left, top, right, bottom in pixels
    """

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(objects, 4): left, top, right, bottom in pixels of the upright image."""
        return np.array([one.box for one in self.things], np.float32).reshape(-1, 4)


ANSWER: type[Answer] = BoxAnswer
