"""Recipes for attributes, each saying what it is known to give."""

from dataclasses import replace

from mobilenets.tasks.attributes.recipes.settings import (
    AttributesAugmentation,
    AttributesObjective,
)
from mobilenets.tasks.recipe import Recipe, adamw_from_scratch, by_name


def modern_attributes() -> Recipe:
    """From scratch: AdamW, cosine with warm-up, crops and flips, an average of the weights.

    For data sets of some thousand images and more. Not run on a large one here.
    """
    return adamw_from_scratch(
        "modern_attributes",
        epochs=100,
        batch_size=128,
        augmentation=AttributesAugmentation("flip"),
        objective=AttributesObjective(),
        initialization="he",
    )


def finetune_attributes() -> Recipe:
    """The default with `--from`: few epochs on few images, from features that are already good.

    AdamW at a rate that leaves the features be, and an average of the weights. The head starts
    from a probe, and the norms keep their statistics: where they learned, the head no longer fitted
    what came of them. Mean AP of validation images, the probe and the best later epoch: faces at 96
    pixels .839 and .874, with norms that learn .865; the built-in shapes .749 and .735, with norms
    that learn .693. docs/attributes.md has what it gives on 1000 faces, with the command.
    """
    return replace(
        modern_attributes(),
        name="finetune_attributes",
        epochs=10,
        least_steps=200,
        batch_size=32,
        learning_rate=0.0005,
        warmup_epochs=1.0,
        warmup_steps=10,
        ema_decay=0.99,
        norm="frozen",
        norm_momentum=0.1,
        initialization="released",
    )


RECIPES = by_name(modern_attributes, finetune_attributes)
SCRATCH, FINETUNE = "modern_attributes", "finetune_attributes"
