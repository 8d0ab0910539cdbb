"""Training transforms of images with masks, from torchvision."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import InterpolationMode, v2

from mobilenets.card import Preprocessing
from mobilenets.runtime.preprocess import fitted, nearest, preprocess, scaled_mask
from mobilenets.tasks.segment.formats.masks import VOID
from mobilenets.tasks.segment.recipes.settings import SegmentationAugmentation


class SegmentationTransform:
    """(PIL RGB, (H, W) classes) -> ((3, h, w) float32 normalised, (h, w) uint8 classes).

    `none` and `flip` are what inference does. `deeplab` scales the image that fits the input by
    a random factor, and takes a random part of the input's size: the mean and void where the
    image ends. Raises ValueError for a card whose images are cropped.
    """

    def __init__(
        self, preprocessing: Preprocessing, augmentation: SegmentationAugmentation
    ) -> None:
        self.preprocessing, self.augmentation = preprocessing, augmentation
        self.interpolation = InterpolationMode(preprocessing.interpolation)
        self.colours = (
            v2.RandomPhotometricDistort() if augmentation.policy == "deeplab_colours" else None
        )
        self.crop = v2.RandomCrop(
            preprocessing.size,
            pad_if_needed=True,
            fill={tv_tensors.Image: 0, tv_tensors.Mask: VOID, "others": 0},
        )
        self.flip = v2.RandomHorizontalFlip() if augmentation.policy != "none" else None
        reverse = preprocessing.order == "BGR"
        mean, std = (
            list(values[::-1] if reverse else values)
            for values in (preprocessing.mean, preprocessing.std)
        )
        self.finish = v2.Compose(
            [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize(mean, std)]
        )
        self.reverse = reverse

    def __call__(  # noqa: D102
        self, image: Image.Image, target: NDArray[np.uint8]
    ) -> tuple[Tensor, Tensor]:
        if self.augmentation.policy.startswith("deeplab"):
            pixels, mask = self.scaled(image, target)
        else:
            pixels = torch.from_numpy(preprocess(image, self.preprocessing))
            mask = torch.from_numpy(nearest(target, self.preprocessing, VOID))[None]
        sample: Any = tv_tensors.Image(pixels), tv_tensors.Mask(mask)
        if self.augmentation.policy.startswith("deeplab"):
            sample = self.crop(*sample)
        pixels, mask = self.flip(*sample) if self.flip else sample
        return pixels.as_subclass(Tensor).contiguous(), mask.as_subclass(Tensor)[0].contiguous()

    def scaled(self, image: Image.Image, target: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """The normalised image and the mask, (3, h, w) and (1, h, w), at a random scale."""
        width, height = fitted(image.size, self.preprocessing)
        scale = self.scale()
        size = [max(round(side * scale), 1) for side in (height, width)]
        image = v2.functional.resize(image, size, self.interpolation)
        # Not by torchvision, whose nearest pixel is half a pixel beside the image's.
        mask = torch.from_numpy(scaled_mask(target, (size[1], size[0])))[None]
        pixels = self.finish(self.colours(image) if self.colours else image).as_subclass(Tensor)
        return (pixels.flip(0) if self.reverse else pixels), mask

    def scale(self) -> float:
        """A random scale: one of the steps, or any where there is no step."""
        least, most = self.augmentation.scale_least, self.augmentation.scale_most
        step = self.augmentation.scale_step
        if step == 0:
            return least + (most - least) * float(torch.rand(()))
        steps = int((most - least) / step + 1e-6) + 1
        return least + step * int(torch.randint(steps, ()))
