"""What a recipe can say of a classifier's training images and loss."""

from dataclasses import dataclass
from typing import Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

Policy = Literal["none", "flip", "inception", "trivial"]


@dataclass(frozen=True)
class ClassificationAugmentation:
    """What happens to a training image.

    `policy`: `none`; `flip` (random crop and flip); `inception` (and colours, as the released
    code); `trivial` (and TrivialAugment). `crop_scale` is the smallest share of the image's area
    that a random crop may keep. `train_scale` is the side of a training image as a share of the
    network's own: objects look smaller in whole images than in random crops.
    """

    policy: Policy = "flip"
    crop_scale: float = 0.35
    erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    train_scale: float = 1.0

    def __post_init__(self) -> None:
        check_choice("policy", self.policy, get_args(Policy))
        check_number("crop_scale", self.crop_scale, above=0, most=1)
        check_number("erasing", self.erasing, most=1)
        check_number("mixup", self.mixup)
        check_number("cutmix", self.cutmix)
        check_number("train_scale", self.train_scale, above=0)


@dataclass(frozen=True)
class ClassificationObjective:
    """Cross entropy: the share of each label that is spread over all classes."""

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_number("label_smoothing", self.label_smoothing, most=1)
