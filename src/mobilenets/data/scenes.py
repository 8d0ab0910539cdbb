"""The built-in shapes, several in a picture: what data sets of boxes and of masks are made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from mobilenets.data import shapes
from mobilenets.data.built_in import Drawn, Split
from mobilenets.data.shapes import CLASSES, Scene, Shapes, scene_of


@dataclass(frozen=True)
class ShapeScenes(Drawn):
    """The built-in shapes, one or two in a picture, without what is to be learned of them.

    1024 pictures of 128 x 128 for train, 256 for val and for test; `all` is train followed by
    val. A picture is drawn in 3 ms, and an SSDLite of width 0.35 trains on one in about 12 ms on
    one core.
    """

    split: Split = "train"
    size: int = 128
    seed: int = 0

    kind: ClassVar[str] = "built-in shapes"
    named: ClassVar[bool] = True
    classes: ClassVar[tuple[str, ...]] = CLASSES

    @property
    def lengths(self) -> Mapping[str, int]:
        """Pictures of each part."""
        return shapes.SCENES

    def image(self, i: int) -> Image.Image:
        """The picture, RGB, size x size."""
        return self.scene(i).image.copy()

    def scene(self, i: int) -> Scene:
        """Picture i with its boxes and mask, which are kept and not to be written to."""
        return scene_of(*self._of(i))

    def source(self, i: int) -> bytes:
        """What picture i is made from."""
        part, index = self._of(i)
        return part.source(index)

    def _of(self, i: int) -> tuple[Shapes, int]:
        part, index = self.locate(i)
        return Shapes(self.size, part, self.lengths[part], self.seed, objects=(1, 2)), index
