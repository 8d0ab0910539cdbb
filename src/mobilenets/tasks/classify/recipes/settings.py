"""What a recipe can say of a classifier's training images and loss."""

from dataclasses import dataclass
from typing import Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

Policy = Literal["none", "flip", "inception", "trivial"]


@dataclass(frozen=True)
class ClassificationAugmentation:
    """What happens to a training image.

    `policy`: `none`; `flip` (random crop and flip); `inception` (and colours, as the released
    code); `trivial` (and TrivialAugment).
    """

    policy: Policy = "flip"
    """One of the four above."""
    crop_scale: float = 0.35
    """The smallest share of the image's area that a random crop may keep, above 0 to 1; not of
    `none`."""
    erasing: float = 0.0
    """Chance that a rectangle of the image is wiped out, 0 to 1."""
    mixup: float = 0.0
    """Strength of MixUp, from 0 (none): alpha of the beta distribution that weighs two images."""
    cutmix: float = 0.0
    """Strength of CutMix, from 0 (none): the same for the patch that is pasted. With both, each
    batch has one of them."""
    train_scale: float = 1.0
    """The side of a training image as a share of the network's own, above 0: objects look smaller
    in whole images than in random crops."""

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
    """The share of each label that is spread over all classes, 0 to 1."""

    def __post_init__(self) -> None:
        check_number("label_smoothing", self.label_smoothing, most=1)
