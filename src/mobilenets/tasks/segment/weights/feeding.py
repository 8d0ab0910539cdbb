"""How other people's segmentation networks are fed."""

from mobilenets.card import ResizeRule

VOC_SIDE = 513
"""The input that DeepLab's authors pad VOC's images to: those have at most 500 pixels a side."""


def resize_rule(size: tuple[int, int]) -> ResizeRule:
    """How an image comes to the input, by their input's size, (height, width).

    From 513 pixels on padded, as their authors evaluate. What is smaller cannot hold VOC's
    images and was made for phones, which squash the picture to it.
    """
    return "pad" if min(size) >= VOC_SIDE else "squash"
