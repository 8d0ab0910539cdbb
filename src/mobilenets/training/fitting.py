"""A recipe made to fit the data at hand and the machine."""

from dataclasses import replace

from mobilenets.tasks.recipe import Recipe

MICRO_BATCH, MICRO_SIDE = 64, 224
MANY = 12
"""Images of which a norm's statistics are too few to learn from, in DeepLab's code."""
STEPS = 8
"""Optimizer steps that an epoch should have at least."""


def split(made: Recipe, pixels: int = MICRO_SIDE**2) -> Recipe:
    """The recipe with its batches computed in parts of at most 64 images of 224 x 224 pixels.

    And as many fewer of larger ones, `pixels` each. A CPU is no faster with more, and V2 at 224
    pixels takes 80 MB an image in training. Norms that learn only from enough images keep them.
    """
    wanted = made.batch_size * pixels / (MICRO_BATCH * MICRO_SIDE**2)
    batch = made.batch_size
    least = MANY + 1 if made.norm == "auto" else 2
    even = [n for n in range(1, batch // least + 1) if batch % n == 0] or [1]
    parts = next((n for n in even if n >= wanted), even[-1])
    return replace(made, accumulate=parts)


def settle_norm(made: Recipe, images: int, *, scratch: bool = False) -> tuple[Recipe, str]:
    """The recipe with its norms trained or frozen where it leaves that open, and why, in words.

    `images` are those of the data set: a batch has no more. From `scratch` there are no
    statistics to keep.
    """
    if made.norm != "auto":
        return made, ""
    if scratch:
        return replace(made, norm="train"), "batch normalisation learns: it starts from nothing"
    together = min(made.batch_size, images) // made.accumulate
    if together > MANY:
        why = f"batch normalisation learns: {together} images are normalised together, {MANY + 1}"
        return replace(made, norm="train"), f"{why} are enough"
    why = f"batch normalisation keeps its statistics: {together} images are normalised together"
    return replace(made, norm="frozen"), f"{why}, to learn them takes {MANY + 1} or more"


def fit(made: Recipe, images: int, *, smallest: int = 16, keep_rate: bool = False) -> Recipe:
    """The recipe with its batch halved, and its rate with it, until an epoch has enough steps.

    A recipe for ImageNet has batches that a small data set would see a few times only. A rate
    that was asked for by number is kept with `keep_rate`.
    """
    batch = made.batch_size
    while batch // 2 >= smallest and images // batch < STEPS:
        batch //= 2
    rate = made.learning_rate * (1.0 if keep_rate else batch / made.batch_size)
    return replace(made, batch_size=batch, learning_rate=rate)
