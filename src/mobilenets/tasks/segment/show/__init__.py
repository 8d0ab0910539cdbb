"""Segmentations for people and programs."""

from typing import Any

from PIL import Image

from mobilenets.tasks.segment.read import Segmented
from mobilenets.tasks.segment.show.masks import draw_mask, mask_image


def describe(decoded: Segmented) -> list[tuple[str, float]]:
    """Rows (label, share of the image)."""
    return [(region.label, region.score) for region in decoded.regions]


def to_json(decoded: Segmented) -> list[dict[str, Any]]:
    """[{"label", "index", "score"}, ...]; the score is the share of the image's pixels."""
    return [{"label": one.label, "index": one.index, "score": one.score} for one in decoded.regions]


def draw(image: Image.Image, decoded: Segmented) -> Image.Image:
    """The image under its classes' colours, with a legend."""
    return draw_mask(image, decoded.mask, decoded.labels)


MASKS = True
"""`mask` gives one for each image."""


def mask(decoded: Segmented) -> Image.Image:
    """A palette image of the image's size whose pixels are places in the labels."""
    return mask_image(decoded.mask)
