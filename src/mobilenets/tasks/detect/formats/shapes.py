"""The built-in shapes to detect."""

from mobilenets.data.scenes import ShapeScenes
from mobilenets.tasks.detect.formats.objects import Objects


class ShapeObjects(ShapeScenes):
    """The built-in shapes with their boxes; implements `ObjectDataset`."""

    def target(self, i: int) -> Objects:
        """Every shape's box and class."""
        scene = self.scene(i)
        return Objects.of(scene.boxes.copy(), scene.labels.copy())
