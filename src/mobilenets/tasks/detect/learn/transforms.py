"""Training transforms of images with boxes, from torchvision, and what an anchor is to learn."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.ops import box_iou
from torchvision.transforms import InterpolationMode, v2

from mobilenets.card import Preprocessing
from mobilenets.tasks.detect.architecture.geometry import MATCH_IOU
from mobilenets.tasks.detect.formats.objects import Objects
from mobilenets.tasks.detect.recipes.settings import DetectionAugmentation
from mobilenets.tasks.values import Size

SMALLEST = 4
"""Pixels of a side that can be cropped."""
ENOUGH = 3
"""Times the network's pixels along each side, of which the transforms need no more."""
CHUNK = 4096
"""Objects that are matched at once: an image of a million must not take gigabytes."""


class DetectionTransform:
    """(PIL RGB, Objects) -> ((3, H, W) float32 normalised, (anchors, 5)): class and box.

    Each anchor gets the object that it is to find, as `match` says: its class + 1, 0 for the
    background, and its box: left, top, right, bottom in shares of the image. Crowds are not
    trained on.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        augmentation: DetectionAugmentation,
        anchors: NDArray[np.float32],
        iou: float,
    ) -> None:
        self.size = preprocessing.size
        self.anchors = torch.from_numpy(anchors)
        self.iou = iou
        fill = [round(255 * mean) for mean in _rgb(preprocessing, preprocessing.mean)]
        self.colours = v2.RandomPhotometricDistort() if augmentation.policy == "ssd" else None
        self.zoom = (
            v2.RandomZoomOut(fill=fill, side_range=(1.0, max(augmentation.zoom_out, 1.0)))
            if augmentation.policy == "ssd" and augmentation.zoom_out > 1
            else None
        )
        self.crop = v2.RandomIoUCrop() if augmentation.policy in ("ssd", "ssd_crop") else None
        self.flip = v2.RandomHorizontalFlip() if augmentation.policy != "none" else None
        mean, std = (_rgb(preprocessing, v) for v in (preprocessing.mean, preprocessing.std))
        self.finish = v2.Compose(
            [
                v2.Resize(self.size, InterpolationMode(preprocessing.interpolation)),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(mean, std),
            ]
        )
        self.reverse = preprocessing.order == "BGR"

    def __call__(self, image: Image.Image, target: Objects) -> tuple[Tensor, Tensor]:  # noqa: D102
        keep = ~target.crowd
        image, boxes = self.reduced(image, target.boxes[keep])
        sample: Any = (
            image,
            {
                "boxes": tv_tensors.BoundingBoxes(
                    torch.from_numpy(boxes), format="XYXY", canvas_size=image.size[::-1]
                ),
                "labels": torch.from_numpy(target.labels[keep]),
            },
        )
        for step in (self.colours, self.zoom):
            sample = step(*sample) if step else sample
        # A crop by overlap needs something to overlap with, and sides of which 0.3 is a pixel.
        if self.crop and len(sample[1]["boxes"]) and min(sample[0].size) >= SMALLEST:
            sample = self.crop(*sample)
        image, found = self.flip(*sample) if self.flip else sample
        sides = torch.tensor([*image.size, *image.size])
        shares = (found["boxes"].as_subclass(Tensor) / sides).clamp(0, 1)
        inside = (shares[:, 2:] > shares[:, :2]).all(1)  # a crop leaves nothing of those outside
        pixels = self.finish(image).as_subclass(Tensor)
        return (
            pixels.flip(0) if self.reverse else pixels,
            match(shares[inside], found["labels"][inside], self.anchors, self.iou),
        )

    def reduced(
        self, image: Image.Image, boxes: NDArray[np.float32]
    ) -> tuple[Image.Image, NDArray[np.float32]]:
        """The image and its boxes by a whole factor smaller, where it has many times our pixels.

        A canvas of sixteen times a photograph of twelve million takes a gigabyte.
        """
        height, width = self.size
        factor = min(image.width // (ENOUGH * width), image.height // (ENOUGH * height))
        if factor < 2:
            return image, boxes
        small = image.reduce(factor)
        ratio = (small.width / image.width, small.height / image.height)
        return small, boxes * np.array([*ratio, *ratio], np.float32)


def match(boxes: Tensor, labels: Tensor, anchors: Tensor, iou: float) -> Tensor:
    """(anchors, 5): class + 1 or 0, and the box of the object that each anchor is to find.

    `boxes` (n, 4) are left, top, right, bottom, `anchors` centre and sides, both in shares. An
    anchor gets the object that it overlaps most, if by `iou` at least; and every object gets the
    anchor that overlaps it most, however little (SSD, section 2.2: forced matches). Where two
    objects force the same anchor, the later one has it.
    """
    target = torch.zeros(len(anchors), 5)
    if not len(boxes):
        return target
    half = anchors[:, 2:] / 2
    corners = torch.cat([anchors[:, :2] - half, anchors[:, :2] + half], 1)
    best, owner = torch.zeros(len(anchors)), torch.zeros(len(anchors), dtype=torch.long)
    forced = []
    for start in range(0, len(boxes), CHUNK):
        overlap = box_iou(boxes[start : start + CHUNK], corners)  # (chunk, anchors)
        value, index = overlap.max(0)
        owner = torch.where(value > best, index + start, owner)
        best = torch.maximum(value, best)
        forced.append(overlap.argmax(1))
    taken = best >= iou
    anchor = torch.cat(forced)
    owner[anchor] = torch.arange(len(boxes))
    taken[anchor] = True
    target[taken, 0] = (labels[owner[taken]] + 1).float()
    target[taken, 1:] = boxes[owner[taken]].float()
    return target


def targets_of(objects: Objects, size: Size, anchors: Tensor, *, mirrored: bool = False) -> Tensor:
    """(anchors, 5), as `match` has it: what a whole image of `size` teaches, without augmentation.

    `mirrored`: left is right in it. Crowds are left out.
    """
    keep, (width, height) = ~objects.crowd, size
    shares = objects.boxes[keep] / np.array([width, height, width, height], np.float32)
    if mirrored:
        shares[:, [0, 2]] = 1 - shares[:, [2, 0]]
    labels = torch.from_numpy(objects.labels[keep])
    return match(torch.from_numpy(shares), labels, anchors, MATCH_IOU)


def _rgb(preprocessing: Preprocessing, values: tuple[float, float, float]) -> list[float]:
    """Values in the network's order, in RGB's."""
    return list(values[::-1] if preprocessing.order == "BGR" else values)
