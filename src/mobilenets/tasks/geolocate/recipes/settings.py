"""Settings of the loss and of the augmentation of networks that locate."""

from dataclasses import dataclass
from typing import Literal, get_args

from mobilenets.tasks.checks import check_choice, check_number

PlacePolicy = Literal["none", "crop", "colours"]


@dataclass(frozen=True)
class PlaceAugmentation:
    """What happens to a training image: no mirror images, since signs and traffic have sides."""

    policy: PlacePolicy = "crop"
    """`none` scales alone; `crop` is a random crop; `colours` jitters its colours too: weather and
    hours change, places stay."""
    crop_scale: float = 0.35
    """The least share of the image that a crop keeps, above 0 to 1; not of `none`."""

    def __post_init__(self) -> None:
        check_choice("policy", self.policy, get_args(PlacePolicy))
        check_number("crop_scale", self.crop_scale, above=0, most=1)


@dataclass(frozen=True)
class PlaceObjective:
    """Cross entropy with shares of the cells around a photograph."""

    smoothing_km: float = 0.0
    """Kilometres over which a cell's share of the target falls to 1/e, from 0. 0: the
    median distance between the middle of a cell's photographs and the nearest other one."""

    def __post_init__(self) -> None:
        check_number("smoothing_km", self.smoothing_km)
