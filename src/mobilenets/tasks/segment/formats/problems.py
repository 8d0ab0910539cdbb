"""What can be wrong with data of masks."""

from mobilenets.data.problems import Kinds, shared

KINDS: Kinds = {
    **shared("missing", "unreadable", "unlisted", "overlap"),
    "narrow": ("image is one pixel wide or high", "images are one pixel wide or high"),
    "lost part": ("part has nothing that can be used", "parts have nothing that can be used"),
    "same name": (
        "image has the name of another, from which its mask cannot be told, left out",
        "images have the names of others, from which their masks cannot be told, left out",
    ),
    "no mask": ("image has no mask, left out", "images have no mask, left out"),
    "stray mask": ("mask has no image", "masks have no image"),
    "bad mask": (
        "mask cannot be used, left out with its image",
        "masks cannot be used, left out with their images",
    ),
    "other size": (
        "mask has another size than its image, left out with it",
        "masks have other sizes than their images, left out with them",
    ),
    "all void": (
        "mask is void everywhere, left out with its image",
        "masks are void everywhere, left out with their images",
    ),
    "out of range": (
        "mask has ids that are no class, which are taken as void",
        "masks have ids that are no class, which are taken as void",
    ),
    "storage": (
        "mask is stored in another way than most, its values are taken as ids all the same",
        "masks are stored in another way than most, their values are taken as ids all the same",
    ),
    "mask turned": (
        "mask lies as its image is stored, turned upright with it",
        "masks lie as their images are stored, turned upright with them",
    ),
    "turn unsure": (
        "image is turned by EXIF and its mask fits both ways, taken as upright",
        "images are turned by EXIF and their masks fit both ways, taken as upright",
    ),
}
"""In the order in which they are told."""
