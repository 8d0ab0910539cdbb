"""What happens to training images, as frozen data: a recipe's part."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

Policy = Literal[
    "none", "flip", "inception", "trivial", "ssd_crop", "ssd", "deeplab", "deeplab_colours"
]


@dataclass(frozen=True)
class Augmentation:
    """What happens to a training image.

    `policy`: `none`; `flip` (random crop and flip); `inception` (and colours, as the released
    code); `trivial` (and TrivialAugment). `crop_scale` is the smallest share of the image's area
    that a random crop may keep. `train_scale` is the side of a training image as a share of the
    network's own: objects look smaller in whole images than in random crops.

    For detectors: `none`; `flip` (only that); `ssd_crop` (SSD's crop by overlap, and flip: the
    authors' for MobileNets); `ssd` (and colours, and zooming out: SSD, section 2.2), where the
    canvas has at most `zoom_out` times the image's sides.

    For segmentation: `none`; `flip` (only that); `deeplab` (random scale, crop and flip, as the
    authors); `deeplab_colours` (and SSD's colours). The scale is between `scale_least` and
    `scale_most`, in steps of `scale_step`, or any where that is 0.
    """

    policy: Policy = "flip"
    crop_scale: float = 0.35
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    train_scale: float = 1.0
    zoom_out: float = 4.0
    scale_least: float = 0.5
    scale_most: float = 2.0
    scale_step: float = 0.25

    def __post_init__(self) -> None:
        if self.policy not in get_args(Policy):
            choices = ", ".join(get_args(Policy))
            raise ValueError(f"policy must be one of {choices}, got {self.policy!r}")
        check_number("crop_scale", self.crop_scale, above=0, most=1)
        check_number("erasing", self.erasing, most=1)
        check_number("mixup", self.mixup)
        check_number("cutmix", self.cutmix)
        check_number("train_scale", self.train_scale, above=0)
        check_number("zoom_out", self.zoom_out)
        check_number("scale_least", self.scale_least, above=0, most=self.scale_most)
        check_number("scale_most", self.scale_most, above=0, most=8)
        check_number("scale_step", self.scale_step)
        if self.zoom_out < 1:
            raise ValueError(f"zoom_out must be 1 or more, got {self.zoom_out!r}")


def check_number(
    name: str, value: object, *, above: float | None = None, most: float = math.inf
) -> None:
    """ValueError unless `value` is a number above `above` (from 0 where None), at most `most`."""
    if above is not None:
        allowed = f"above {above}" + (f" and at most {most}" if most < math.inf else "")
    else:
        allowed = f"from 0 to {most}" if most < math.inf else "0 or more"
    if isinstance(value, bool) or not isinstance(value, int | float):
        comma = "," if allowed[0] == "0" else ""
        raise ValueError(f"{name} must be a number{comma} {allowed}, got {value!r}")
    if not (value > above if above is not None else value >= 0) or not value <= most:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
