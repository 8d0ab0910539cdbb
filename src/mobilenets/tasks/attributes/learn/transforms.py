"""Training transforms, from torchvision; inference has its own single implementation."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from mobilenets.card import Preprocessing
from mobilenets.tasks.attributes.recipes.settings import AttributesAugmentation


class AttributesTransform:
    """(PIL RGB, marks) -> ((3, H, W) float32 normalised as the card says, (attributes,) int8).

    An object and not a closure: where processes are spawned, it is pickled for the readers.
    """

    def __init__(self, preprocessing: Preprocessing, augmentation: AttributesAugmentation) -> None:
        self.pipeline = v2.Compose(_steps(preprocessing, augmentation))

    def __call__(self, image: Image.Image, target: Any) -> tuple[Tensor, Tensor]:  # noqa: D102
        marks = torch.from_numpy(np.asarray(target, np.int8).copy())
        return self.pipeline(image).as_subclass(Tensor), marks


class SquashedCrop:
    """A part of the image, brought to `size`, (height, width), as the whole image would be.

    Its area is a share of the image's from `least` to 1. Its sides are shares of the image's sides
    with a ratio of 3 : 4 to 4 : 3, so that a tall picture gives tall parts.
    """

    def __init__(self, size: tuple[int, int], least: float, smooth: InterpolationMode) -> None:
        self.size, self.least, self.smooth = size, least, smooth

    def __call__(self, image: Image.Image) -> Image.Image:  # noqa: D102
        wide, high = 1.0, 1.0
        for _ in range(10):
            share, turn = torch.rand(2).tolist()
            area = self.least + share * (1 - self.least)
            ratio = (4 / 3) ** (2 * turn - 1)
            if max(area * ratio, area / ratio) <= 1:
                wide, high = (area * ratio) ** 0.5, (area / ratio) ** 0.5
                break
        left, top = ((1 - side) * float(torch.rand(())) for side in (wide, high))
        width, height = image.size
        box = (left * width, top * height, (left + wide) * width, (top + high) * height)
        resample = Image.Resampling[self.smooth.name]
        return image.resize(self.size[::-1], resample, box=box)


def _flip_channels(x: Tensor) -> Tensor:
    return x.flip(0)


def _steps(preprocessing: Preprocessing, augmentation: AttributesAugmentation) -> list[Any]:
    height, width = (max(round(s * augmentation.train_scale), 1) for s in preprocessing.size)
    smooth = InterpolationMode(preprocessing.interpolation)
    whole = augmentation.policy == "none"
    steps: list[Any] = [
        SquashedCrop((height, width), 1.0 if whole else augmentation.crop_scale, smooth)
    ]
    if not whole:
        steps.append(v2.RandomHorizontalFlip())
    if augmentation.policy == "inception":
        steps.append(v2.ColorJitter(brightness=32 / 255, contrast=0.5, saturation=0.5, hue=0.2))
    elif augmentation.policy == "trivial":
        steps.append(v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR))
    steps += [v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    if preprocessing.order == "BGR":  # mean and deviation are in the network's order
        steps.append(v2.Lambda(_flip_channels))
    steps.append(v2.Normalize(list(preprocessing.mean), list(preprocessing.std)))
    if augmentation.erasing:
        steps.append(v2.RandomErasing(augmentation.erasing))
    return steps
