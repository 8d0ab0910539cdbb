"""What a recipe can say of the training images and the loss of attributes."""

from dataclasses import dataclass
from typing import Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

Policy = Literal["none", "flip", "inception", "trivial"]
Loss = Literal["plain", "balanced", "asymmetric"]


@dataclass(frozen=True)
class AttributesAugmentation:
    """What happens to a training image.

    `policy`: `none`; `flip` (random crop and flip); `inception` (and colours); `trivial` (and
    TrivialAugment). Colours are no good where an attribute is one.
    """

    policy: Policy = "flip"
    """One of the four above."""
    crop_scale: float = 0.5
    """The smallest share of the image's area that a random crop may keep, above 0 to 1; not of
    `none`. What is cropped away is still said to be there."""
    erasing: float = 0.0
    """Chance that a rectangle of the image is wiped out, 0 to 1."""
    train_scale: float = 1.0
    """The side of a training image as a share of the network's own, above 0."""

    def __post_init__(self) -> None:
        check_choice("policy", self.policy, get_args(Policy))
        check_number("crop_scale", self.crop_scale, above=0, most=1)
        check_number("erasing", self.erasing, most=1)
        check_number("train_scale", self.train_scale, above=0)


@dataclass(frozen=True)
class AttributesObjective:
    """Binary cross entropy of each attribute, the mean over all that is known.

    `loss`: `plain`; `balanced`, where the rarer side of each attribute weighs more, by
    exp(1 - its share) (Li et al. 2015); `asymmetric`, for many rare tags (Ridnik et al. 2021,
    https://arxiv.org/abs/2009.14119).
    """

    loss: Loss = "plain"
    """One of the three above."""
    label_smoothing: float = 0.0
    """What is taken from each mark towards a half, 0 to 1."""
    focus_yes: float = 0.0
    """Of `asymmetric`: the power of an attribute's error that its loss is multiplied with where it
    is there; from 0."""
    focus_no: float = 4.0
    """The same where it is not."""
    clip: float = 0.05
    """Of `asymmetric`: scores up to here cost nothing where an attribute is not there, 0 to 1."""
    groups: str = ""
    """Attributes of which an image has exactly one: `child,adult,senior; day,night`. They share a
    softmax. An image without exactly one of a group says nothing of it."""
    shares: tuple[float, ...] = ()
    """Of `balanced`: the share of images with each attribute, taken from the training data."""

    def __post_init__(self) -> None:
        check_choice("loss", self.loss, get_args(Loss))
        check_number("label_smoothing", self.label_smoothing, most=1)
        check_number("focus_yes", self.focus_yes)
        check_number("focus_no", self.focus_no)
        check_number("clip", self.clip, most=1)
        if not isinstance(self.groups, str):
            raise ValueError(f"groups must be text such as a,b;c,d, got {self.groups!r}")
        for name in self.shares:
            check_number("shares", name, most=1)
        for group in self.named_groups():
            if len(group) < 2:
                raise ValueError(f"groups must have two attributes each, got {', '.join(group)!r}")

    def named_groups(self) -> list[list[str]]:
        """The groups as lists of names."""
        parts = [part.strip() for part in self.groups.split(";")]
        return [[name.strip() for name in part.split(",")] for part in parts if part]
