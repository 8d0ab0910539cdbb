"""A recipe made to fit the data at hand and the machine."""

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from torch import nn

from mobilenets.data.listing import count
from mobilenets.tasks.recipe import Recipe
from mobilenets.tasks.task import Task
from mobilenets.training.recipes import changed, setting
from mobilenets.training.runs.limits import Limits

MICRO_BATCH, MICRO_SIDE = 64, 224
MANY = 12
"""Images of which a norm's statistics are too few to learn from, in DeepLab's code."""
EVEN = 8
"""A batch of all images, if these are many, is a multiple of it: it has equal parts."""
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


def global_batch(made: Recipe, images: int, processes: int, task: Task) -> int:
    """The recipe's batch, or all of `images` where they are fewer; ValueError if it has no parts.

    Nor may a part that is normalised together be smaller than the use allows.
    """
    parts = processes * made.accumulate
    batch = made.batch_size
    if batch > images >= parts:
        batch = images - images % parts
    if batch % parts or batch > images:
        raise ValueError(
            f"batch_size must be a multiple of processes x accumulate "
            f"({processes} x {made.accumulate}), got {batch}"
        )
    smallest = task.learn.SMALLEST_BATCH
    if made.norm == "train" and batch // made.accumulate < smallest:
        raise ValueError(
            f"batch_size must be accumulate x {smallest} at least to {task.name}, "
            f"got {made.accumulate} x {batch // made.accumulate}"
        )
    return batch


def set_dropout(model: nn.Module, share: float | None) -> None:
    """Set every dropout of the network; None leaves each. ValueError where there is none to set."""
    if share is None:
        return
    found = [module for module in model.modules() if isinstance(module, nn.Dropout)]
    if not found:
        raise ValueError("dropout is for a network that has any, this one has none")
    for module in found:
        module.p = share


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


def fit(
    made: Recipe,
    images: int,
    *,
    smallest: int = 16,
    keep_batch: bool = False,
    keep_rate: bool = False,
) -> Recipe:
    """The recipe with its batch halved, and its rate with it, until an epoch has enough steps.

    A recipe for ImageNet has batches that a small data set would see a few times only. What was
    asked for by number is kept with `keep_batch` and `keep_rate`; but a batch is never larger than
    the data, and the rate follows it there too.
    """
    batch = made.batch_size
    while not keep_batch and batch // 2 >= smallest and images // batch < STEPS:
        batch //= 2
    if batch > images:
        batch = images - images % EVEN if images > MICRO_BATCH else images
    rate = made.learning_rate * (1.0 if keep_rate else batch / made.batch_size)
    return replace(made, batch_size=batch, learning_rate=rate)


def gentler(
    made: Recipe, own: Recipe, images: int, given: Collection[str]
) -> dict[str, float | str]:
    """The settings of a run on so many images that are not the recipe's own, by name.

    A number lies between what `made.gentle` has and its own value, as `images` do between 0 and
    `made.enough_images`; a word is taken where the batch is smaller than that of `own`, the recipe
    as it is written. What was `given` by name stays. {} where the images are enough.

    After a probe the head fits the training images as well as a head does. Of few images, steps at
    the recipe's own rate then teach the features these very images, and cost what they knew of
    others (Kumar et al. 2022, https://arxiv.org/abs/2202.10054).
    """
    share = images / made.enough_images if made.enough_images else 1.0
    found: dict[str, float | str] = {}
    for name, least in made.gentle.items() if share < 1 else ():
        if name in given:
            continue
        if not isinstance(least, str):
            found[name] = float(f"{least + share * (setting(made, name) - least):.3g}")
        elif made.batch_size < own.batch_size:
            found[name] = least
    return found


def settle_gently(
    made: Recipe,
    own: Recipe,
    images: int,
    given: Collection[str],
    begun: Mapping[str, str] | None,
) -> tuple[Recipe, str]:
    """The recipe for so many images, and in words what is not as `own`, as it is written, has it.

    A run that goes on has what it was begun with: `begun` is its fingerprint, with JSON values.
    """
    found: dict[str, Any] = gentler(made, own, images, given)
    if begun is not None:
        found = {name: json.loads(begun[name]) for name in found if name in begun}
    other = {name: value for name, value in found.items() if value != setting(made, name)}
    settled = changed(made, other)
    if not other:
        return made, ""
    new = ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in other.items())
    why = f"{made.name} is made for {count(made.enough_images, 'image', 'images')} or more"
    return settled, f"{why}; on {images} it goes gently: {new}"


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def planned_epochs(made: Recipe, steps: int) -> int:
    """Epochs of `steps` optimizer steps each: the recipe's, or as many as its least steps take."""
    return max(made.epochs, math.ceil(made.least_steps / steps))


def epochs_of(epochs: int, limits: Limits) -> str:
    """How long a run of `epochs` is to be, in words."""
    if limits.minutes is None:
        return count(epochs, "epoch", "epochs")
    most = f", {limits.epochs} at most" if limits.epochs else ""
    return f"{limits.minutes:g} minutes{most}: epochs"


def rate_of(made: Recipe, own: Recipe) -> str:
    """The learning rate, and where it comes from if it followed the batch from the recipe's own."""
    followed = own.learning_rate * made.batch_size / own.batch_size
    if made.batch_size == own.batch_size or not math.isclose(made.learning_rate, followed):
        return f"{made.learning_rate:g}"
    return (
        f"{made.learning_rate:g} (in proportion: {own.learning_rate:g} at batch {own.batch_size})"
    )
