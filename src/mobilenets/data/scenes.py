"""The built-in shapes, several in a picture: what data sets of boxes and of masks are made of."""

from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from mobilenets.data import shapes
from mobilenets.data.problems import Problem
from mobilenets.data.shapes import CLASSES, Scene, Shapes, Split, scene_of


@dataclass(frozen=True)
class ShapeScenes:
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

    def __post_init__(self) -> None:
        self._parts()  # wrong arguments are named at once

    @property
    def notes(self) -> list[str]:
        """Nothing: there is nothing to say of made pictures."""
        return []

    @property
    def problems(self) -> list[Problem]:
        """None: nothing was found wrong."""
        return []

    def __len__(self) -> int:
        return sum(map(len, self._parts()))

    def image(self, i: int) -> Image.Image:
        """The picture, RGB, size x size."""
        return self.scene(i).image.copy()

    def scene(self, i: int) -> Scene:
        """Picture i with its boxes and mask, which are kept and not to be written to."""
        return scene_of(*self._locate(i))

    def source(self, i: int) -> bytes:
        """What picture i is made from."""
        part, index = self._locate(i)
        return part.source(index)

    def labels_digest(self) -> str:
        """Nothing: what is in a picture, its source says."""
        return "made"

    def image_size(self, i: int) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.size, self.size

    def name(self, i: int) -> str:
        """What a message calls picture i: `shapes/train/17`."""
        part, index = self._locate(i)
        return part.name(index)

    def _parts(self) -> list[Shapes]:
        names: list[Split] = ["train", "val"] if self.split == "all" else [self.split]
        return [
            Shapes(self.size, name, shapes.SCENES.get(name), self.seed, objects=(1, 2))
            for name in names
        ]

    def _locate(self, i: int) -> tuple[Shapes, int]:
        if not 0 <= i < len(self):
            raise IndexError(f"index must be in 0 .. {len(self) - 1}, got {i}")
        first, *rest = self._parts()
        return (first, i) if i < len(first) else (rest[0], i - len(first))
