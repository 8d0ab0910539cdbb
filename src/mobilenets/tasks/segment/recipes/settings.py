"""What a recipe can say of a segmentation network's training images and loss."""

from dataclasses import dataclass
from typing import Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

Policy = Literal["none", "flip", "deeplab", "deeplab_colours"]


@dataclass(frozen=True)
class SegmentationAugmentation:
    """What happens to a training image.

    `policy`: `none`; `flip` (only that); `deeplab` (random scale, crop and flip, as the
    authors); `deeplab_colours` (and SSD's colours).
    """

    policy: Policy = "flip"
    """One of the four above."""
    scale_least: float = 0.5
    """The smallest random scale of the image, above 0 to `scale_most`."""
    scale_most: float = 2.0
    """The largest, up to 8."""
    scale_step: float = 0.25
    """Between two scales that can be drawn; 0 for any scale between the two."""

    def __post_init__(self) -> None:
        check_choice("policy", self.policy, get_args(Policy))
        check_number("scale_least", self.scale_least, above=0, most=self.scale_most)
        check_number("scale_most", self.scale_most, above=0, most=8)
        check_number("scale_step", self.scale_step)


@dataclass(frozen=True)
class SegmentationObjective:
    """What a recipe says of the cross entropy over pixels."""

    label_smoothing: float = 0.0
    """The share of each pixel's label that is spread over all classes, 0 to 1."""
    class_weights: tuple[float, ...] | Literal["none", "balanced", "root"] = "none"
    """Of each class's pixels in the loss: numbers from 0, one for each class; `none` for all the
    same, `balanced` for the median class's share of the training pixels over the class's own (as
    arXiv 1411.4734, section 6.3.2), `root` for the square root of that."""

    def __post_init__(self) -> None:
        weights = self.class_weights
        if isinstance(weights, list):
            object.__setattr__(self, "class_weights", tuple(weights))
        elif weights not in ("none", "balanced", "root") and not isinstance(weights, tuple):
            raise ValueError(
                f"class_weights must be none, balanced, root or numbers, got {weights!r}"
            )
        for weight in () if isinstance(weights, str) else weights:
            check_number("class_weights", weight)
        check_number("label_smoothing", self.label_smoothing, most=1)
