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
    cell_most: int = 0
    """Photographs of a cell of the map from which on it is split into four, PlaNet's t1; 0: the
    square root of their number, 8 at least."""
    cell_least: int = 0
    """Photographs below which a cell is left out with them, PlaNet's t2; 0: a 200th of the most."""

    def __post_init__(self) -> None:
        check_number("smoothing_km", self.smoothing_km)
        for name in ("cell_most", "cell_least"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} must be an integer from 0, got {value!r}")
        if self.cell_most and self.cell_least > self.cell_most:
            raise ValueError(
                f"cell_least must be cell_most, {self.cell_most}, at most, got {self.cell_least}"
            )
