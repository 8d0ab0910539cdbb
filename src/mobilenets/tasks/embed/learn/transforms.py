"""Training transforms, from torchvision; inference has its own single implementation."""

from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from mobilenets.card import Preprocessing
from mobilenets.tasks.embed.formats.targets import label_of
from mobilenets.tasks.embed.recipes.settings import EmbeddingAugmentation


class EmbeddingTransform:
    """(PIL RGB, target) -> ((3, H, W) float32 normalised as the card says, class).

    An object and not a closure: where processes are spawned, it is pickled for the readers.
    """

    def __init__(self, preprocessing: Preprocessing, augmentation: EmbeddingAugmentation) -> None:
        interpolation = InterpolationMode(preprocessing.interpolation)
        mean, std = preprocessing.mean, preprocessing.std
        if preprocessing.order == "BGR":  # these are in the network's order, the image in RGB
            mean, std = mean[::-1], std[::-1]
        steps: list[Any] = [v2.Resize(preprocessing.size, interpolation)]
        if augmentation.policy == "flip":
            scale = (augmentation.crop_scale, 1.0)
            crop = v2.RandomResizedCrop(preprocessing.size, scale, interpolation=interpolation)
            steps = [crop, v2.RandomHorizontalFlip()]
        steps += [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(mean), list(std)),
        ]
        if augmentation.erasing:
            steps.append(v2.RandomErasing(augmentation.erasing))
        self.pipeline = v2.Compose(steps)
        self.flip = preprocessing.order == "BGR"

    def __call__(self, image: Image.Image, target: object) -> tuple[Tensor, Tensor]:  # noqa: D102
        x = self.pipeline(image).as_subclass(Tensor)
        return x.flip(0) if self.flip else x, torch.tensor(label_of(target))
