"""The built-in shapes to segment."""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mobilenets.data.scenes import ShapeScenes
from mobilenets.data.shapes import CLASSES


class ShapeMasks(ShapeScenes):
    """The built-in shapes with their masks; implements `MaskDataset`.

    Class 0 is the background; a shape's pixels are those of which it covers at least half.
    """

    classes: ClassVar[tuple[str, ...]] = ("background", *CLASSES)

    def target(self, i: int) -> NDArray[np.uint8]:
        """(size, size): the class of each pixel, 0 for the background; none is void."""
        return np.array(self.scene(i).mask)

    def pixels_of(self, i: int) -> NDArray[np.int64]:
        """(10,): pixels of each class in a picture; the last is void, of which there is none."""
        return np.bincount(self.target(i).ravel(), minlength=len(self.classes) + 1)

    def pixels(self) -> NDArray[np.int64]:
        """(10,): pixels of each class in all pictures, every one of which is drawn for it."""
        return np.asarray(np.sum([self.pixels_of(i) for i in range(len(self))], axis=0))
