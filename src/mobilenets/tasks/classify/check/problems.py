"""What can be wrong with images in a class each."""

from mobilenets.data.problems import Kinds, shared

KINDS: Kinds = {
    **shared("unreadable"),
    "narrow": ("image is one pixel wide or high", "images are one pixel wide or high"),
    "refused": (
        "reason for which training refuses this",
        "reasons for which training refuses this",
    ),
    "empty class": (
        "class folder has no image that is read",
        "class folders have no image that is read",
    ),
    "strange class": (
        "class is in another part and not in train",
        "classes are in other parts and not in train",
    ),
    "absent class": (
        "class of train has no image in another part",
        "classes of train have no image in another part",
    ),
    "one image": ("class has only one image in all", "classes have only one image in all"),
}
"""In the order in which they are told."""
