"""Recipes to locate photographs, each saying what it is known to give."""

from mobilenets.tasks.geolocate.recipes.settings import PlaceAugmentation, PlaceObjective
from mobilenets.tasks.recipe import Recipe, by_name, on_features


def modern_planet() -> Recipe:
    """From scratch: SGD, cosine with warm-up, crops and colours, an average of the weights.

    For some ten thousand photographs and more. Not run on a large set here.
    """
    return Recipe(
        "modern_planet",
        epochs=100,
        batch_size=256,
        learning_rate=0.2,
        weight_decay=4e-5,
        warmup_epochs=5.0,
        ema_decay=0.999,
        augmentation=PlaceAugmentation("colours", 0.2),
        objective=PlaceObjective(),
        norm_momentum=0.03,
    )


def finetune_planet() -> Recipe:
    """The default with `--from`: few photographs of one's own, from features that are good already.

    The head is fitted first, to distances as the loss has them; after it fewer than 1000
    photographs change the features less, as when classifying. docs/geolocation.md has what it
    gives on street views, with the command.
    """
    return on_features(
        "finetune_planet",
        PlaceAugmentation("crop", 0.35),
        PlaceObjective(),
        enough_images=1000,
        gentle={"learning_rate": 0.0, "crop_scale": 1.0, "norm": "frozen"},
    )


RECIPES = by_name(modern_planet, finetune_planet)
SCRATCH, FINETUNE = "modern_planet", "finetune_planet"
