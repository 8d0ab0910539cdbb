"""What a recipe can say of a detector's training images and loss."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

Policy = Literal["none", "flip", "ssd_crop", "ssd"]


@dataclass(frozen=True)
class DetectionAugmentation:
    """What happens to a training image.

    `policy`: `none`; `flip` (only that); `ssd_crop` (SSD's crop by overlap, and flip: the
    authors' for MobileNets); `ssd` (and colours, and zooming out: SSD, section 2.2), where the
    canvas has at most `zoom_out` times the image's sides.
    """

    policy: Policy = "flip"
    """One of the four above."""
    zoom_out: float = 4.0
    """Of `ssd`: the largest canvas, in sides of the image, 1 or more."""

    def __post_init__(self) -> None:
        check_choice("policy", self.policy, get_args(Policy))
        check_number("zoom_out", self.zoom_out)
        if self.zoom_out < 1:
            raise ValueError(f"zoom_out must be 1 or more, got {self.zoom_out!r}")


@dataclass(frozen=True)
class DetectionObjective:
    """What a recipe says of SSD's loss."""

    label_smoothing: float = 0.0
    """The share of each label that is spread over all classes, 0 to 1; of sigmoid scores half of
    it, of each class by itself. The focal loss has none."""
    box_weight: float = 1.0
    """Of the boxes' smooth L1 against the classes' loss, from 0."""
    negatives: float = 3.0
    """Hard negatives for each matched anchor, from 0 (SSD, section 2.2)."""
    negative_nms: float = 0.0
    """Overlap, to 1, from which negatives count once, as the authors do with 0.99; 0 for never."""
    focal_gamma: float = 0.0
    """Above 0: focal loss (arXiv 1708.02002) over all anchors instead of hard negatives."""
    focal_alpha: float = 0.25
    """Of the focal loss: the weight of matched anchors, 0 to 1; the others have the rest."""

    def __post_init__(self) -> None:
        for name, most in (
            ("label_smoothing", 1),
            ("negative_nms", 1),
            ("focal_alpha", 1),
            ("box_weight", math.inf),
            ("negatives", math.inf),
            ("focal_gamma", math.inf),
        ):
            check_number(name, getattr(self, name), most=most)
