"""What an embedding network says of an image, in fields."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mobilenets.tasks.answer import Answer
from mobilenets.tasks.embed.read import Embedded


class VectorAnswer(Answer):
    """The vector of an image.

    >>> one, other = model.predict(["a.jpg", "b.jpg"])
    >>> float(one.vector @ other.vector)  # the cosine: 1 for the same picture
    0.83
    """

    @property
    def vector(self) -> NDArray[np.float32]:
        """(dimensions,) float32, of length 1."""
        found: Embedded = self.checked()
        return found.vector


ANSWER: type[Answer] = VectorAnswer
