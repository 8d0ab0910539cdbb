"""Training transforms, from torchvision; inference has its own single implementation."""

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from mobilenets.card import Preprocessing
from mobilenets.tasks.classify.recipes.settings import ClassificationAugmentation


class ClassificationTransform:
    """(PIL RGB, class) -> ((3, H, W) float32 normalised as the card says, class).

    An object and not a closure: where processes are spawned, it is pickled for the readers.
    """

    def __init__(
        self, preprocessing: Preprocessing, augmentation: ClassificationAugmentation
    ) -> None:
        self.pipeline = v2.Compose(_steps(preprocessing, augmentation))

    def __call__(self, image: Image.Image, target: int) -> tuple[Tensor, Tensor]:  # noqa: D102
        return self.pipeline(image).as_subclass(Tensor), torch.tensor(target)


def _flip_colours(x: Tensor) -> Tensor:
    return x.flip(0)


def _steps(preprocessing: Preprocessing, augmentation: ClassificationAugmentation) -> list[Any]:
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


def mixer(augmentation: ClassificationAugmentation, classes: int) -> Callable[..., Any] | None:
    """MixUp and CutMix with the recipe's strengths, one of them per batch; None for neither."""
    choices: list[Any] = []
    if augmentation.mixup:
        choices.append(v2.MixUp(alpha=augmentation.mixup, num_classes=classes))
    if augmentation.cutmix:
        choices.append(v2.CutMix(alpha=augmentation.cutmix, num_classes=classes))
    return v2.RandomChoice(choices) if choices else None
