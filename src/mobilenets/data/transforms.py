"""Training transforms, from torchvision; inference has its own single implementation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from mobilenets.card import Preprocessing

Policy = Literal["none", "flip", "inception", "trivial"]


@dataclass(frozen=True)
class Augmentation:
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
        if self.policy not in get_args(Policy):
            choices = ", ".join(get_args(Policy))
            raise ValueError(f"policy must be one of {choices}, got {self.policy!r}")
        check_number("crop_scale", self.crop_scale, above=0, most=1)
        check_number("erasing", self.erasing, most=1)
        check_number("mixup", self.mixup)
        check_number("cutmix", self.cutmix)
        check_number("train_scale", self.train_scale, above=0)


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


class ClassificationTransform:
    """(PIL RGB, class) -> ((3, H, W) float32 normalised as the card says, class).

    An object and not a closure: where processes are spawned, it is pickled for the readers.
    """

    def __init__(self, preprocessing: Preprocessing, augmentation: Augmentation) -> None:
        self.pipeline = v2.Compose(_steps(preprocessing, augmentation))

    def __call__(self, image: Image.Image, target: int) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self.pipeline(image).as_subclass(Tensor), torch.tensor(target)


def _flip_colours(x: Tensor) -> Tensor:
    return x.flip(0)


def _steps(preprocessing: Preprocessing, augmentation: Augmentation) -> list[Any]:
    height, width = (max(round(s * augmentation.train_scale), 1) for s in preprocessing.size)
    interpolation = InterpolationMode(preprocessing.interpolation)
    steps: list[Any] = []
    if augmentation.policy == "none":
        steps.append(v2.Resize((height, width), interpolation))
    else:
        scale = (augmentation.crop_scale, 1.0)
        steps += [
            v2.RandomResizedCrop((height, width), scale, interpolation=interpolation),
            v2.RandomHorizontalFlip(),
        ]
    if augmentation.policy == "inception":
        steps.append(v2.ColorJitter(brightness=32 / 255, contrast=0.5, saturation=0.5, hue=0.2))
    elif augmentation.policy == "trivial":
        steps.append(v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR))
    steps += [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(list(preprocessing.mean), list(preprocessing.std)),
    ]
    if preprocessing.order == "BGR":
        # The mean and deviation are in the network's order, the image is in RGB until here.
        steps.insert(-1, v2.Lambda(_flip_colours))
    if augmentation.erasing:
        steps.append(v2.RandomErasing(augmentation.erasing))
    return steps


def mixer(augmentation: Augmentation, classes: int) -> Callable[..., Any] | None:
    """MixUp and CutMix with the recipe's strengths, one of them per batch; None for neither."""
    choices: list[Any] = []
    if augmentation.mixup:
        choices.append(v2.MixUp(alpha=augmentation.mixup, num_classes=classes))
    if augmentation.cutmix:
        choices.append(v2.CutMix(alpha=augmentation.cutmix, num_classes=classes))
    return v2.RandomChoice(choices) if choices else None
