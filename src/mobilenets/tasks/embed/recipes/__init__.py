"""Recipes for embeddings, each saying what it is known to give."""

from mobilenets.tasks.embed.recipes.settings import EmbeddingAugmentation, EmbeddingObjective
from mobilenets.tasks.recipe import Recipe, by_name, on_features


def embedding() -> Recipe:
    """From random weights: SGD on a cosine margin, for many images of many classes.

    The rate and the length are those of margin losses on faces (arXiv 1801.07698), the rest as
    classifiers are trained here; not run on such a set.
    """
    return Recipe(
        "embedding",
        epochs=30,
        batch_size=256,
        learning_rate=0.1,
        weight_decay=5e-4,
        warmup_epochs=1.0,
        objective=EmbeddingObjective(scale=30.0, margin=0.35),
        ema_decay=0.999,
        augmentation=EmbeddingAugmentation("flip", crop_scale=0.5),
        norm_momentum=0.1,
    )


def embedding_finetune() -> Recipe:
    """The default with `--from`: from features that are good already, on few or many images.

    The norms keep their statistics, and the weights are averaged. Fewer than 5000 images change
    the features less: the rate falls in proportion. docs/embeddings.md has what it gives on birds
    of 100 species, measured on 50 others, with the command.
    """
    return on_features(
        "embedding_finetune",
        EmbeddingAugmentation("flip", crop_scale=0.5),
        EmbeddingObjective(),
        learning_rate=0.005,
        norm="frozen",
        enough_images=5000,
        gentle={"learning_rate": 0.0},
    )


RECIPES = by_name(embedding, embedding_finetune)
SCRATCH, FINETUNE = "embedding", "embedding_finetune"
